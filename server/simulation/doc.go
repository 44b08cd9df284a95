// Package simulation plays the whole service against everything that can go
// wrong with it, thousands of times, and has no code of the service itself.
//
// # A schedule
//
// A seed makes a schedule: several replicas on one store, one manifest
// repository, and for some minutes deliveries, crashes, restarts, pauses,
// partitions, clocks that jump, people who push, a server that refuses some of
// what is pushed, stores that are restored, and calls that fail before or after they
// took effect. People hold updates, lift that, roll back and order past it, and freezes are
// configured in zones whose clocks are changed meanwhile. Then everything heals, all holds
// are lifted, and all that was accepted must end in time. In some schedules images are
// inspected: two registries have them at once, late or never, have tags move, and refuse,
// throttle or hang for a while. In some of these an environment polls: tags are pushed that no
// event tells of, and lists are old, cut short, or fail. In some an environment is written by pull
// request: people merge by merge commit, squash, rebase and queue, close, open again, and push onto,
// force and delete its branches, at any moment and right before a call of a replica; the forge limits,
// hangs, and fails before or after it did what it was asked for. In the end each of its updates has
// ended or is in an open pull request that agrees with it, and people merge or close all of these.
// In some environments what is written is followed into a cluster, whose Argo CD hears of pushes or does
// not, swallows refreshes, refuses or hangs for a while, and shows for a moment what was there before; some
// tags cannot be applied, or do not run, and the health of others flaps.
//
// # What is real
//
// The receivers with their signatures, the policy, the lanes, the room that inspects
// images, the poll, the follower with its verdicts, the manifest writer, the room of pull requests with its topic branches, and the
// sweep of missed deliveries are the service's own. Around them stand a network that is an
// http.RoundTripper in front of a small and strict git server over real git objects, a forge in
// memory over the same objects, and a store: one in memory that passes the suite which the real
// stores pass, or the real one on a PostgreSQL server. What transactions do that run at
// once on PostgreSQL is not in it: see queuetest.Race.
//
// A schedule runs in one bubble of testing/synctest: its clock is fake, so minutes
// cost milliseconds. Every call across a boundary takes a time of its own that the
// seed has drawn, which puts the calls into one order: the same seed plays the same
// schedule again.
//
// # On PostgreSQL
//
// TestSchedulesOnPostgres plays the schedules of the same seeds, and each process has
// a store of its own with its pool and its session. The server's time is the fake clock's,
// which stands still while a call is under way. A process that dies ends its session; a
// backup is the rows of all tables, and what docs/operations.md says is run after it was
// restored; in a failover sessions are replaced, or are gone until the next call. The
// checker is told what each call has answered and what the tables then hold.
//
// # What is checked
//
// One checker is told of every change of the branch and of the store at the
// moment it happens, and holds it against what was promised; see its comment.
//
//	go test ./server/simulation -schedules=1000         the first thousand seeds
//	go test ./server/simulation -run TestSchedules$ -seed=42 -v   one of them, told step by step
//	go test ./server/simulation -run TestSchedulesOnPostgres -postgres=100   the first hundred on PostgreSQL
//
// TestPlantedBugsAreFound plants bugs in the service, by overlays of its files, and
// shows that the simulation finds each. TestPlantedSQLBugsAreFound does the same in the
// database's functions.
package simulation
