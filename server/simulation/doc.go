// Package simulation plays the whole service against everything that can go
// wrong with it, thousands of times, and has no code of the service itself.
//
// # A schedule
//
// A seed makes a schedule: several replicas on one store, one manifest
// repository, and for some minutes deliveries, crashes, restarts, pauses,
// partitions, clocks that jump, people who push, and calls that fail before or
// after they took effect. Then everything heals, and all that was accepted must
// be settled in time.
//
// # What is real
//
// The receivers with their signatures, the policy, the lanes and the manifest
// writer are the service's own. Around them stand a network that is an
// http.RoundTripper in front of a small and strict git server over real git
// objects, and a store in memory that passes the suite which the real stores
// pass. A schedule runs in one bubble of testing/synctest: its clock is fake, so
// minutes cost milliseconds. Every call across a boundary takes a time of its own
// that the seed has drawn, which puts the calls into one order: the same seed
// plays the same schedule again.
//
// # What is checked
//
// One checker is told of every change of the branch and of the store at the
// moment it happens, and holds it against what was promised; see its comment.
//
//	go test ./server/simulation -schedules=1000         the first thousand seeds
//	go test ./server/simulation -run TestSchedules -seed=42 -v   one of them, told step by step
//
// Three bugs are planted in the service behind build tags (mutation_fence,
// mutation_settle, mutation_edit); TestPlantedBugsAreFound shows that the
// simulation finds each.
package simulation
