package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/cmd/tallyman/client"
	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
	"github.com/tallyman-dev/tallyman/server/api"
)

// Three replicas on one PostgreSQL: a random one is killed every second, the
// database is stopped twice, once in order and once as by a crash, and every fifth
// push fails.
func TestNothingIsLostByReplicasThatAreKilled(t *testing.T) {
	server := postgrestest.Start(t)
	f := newFleet(t, deliveriesOf(t), 3, server.Schema(t))
	f.pace = 10 * time.Millisecond
	f.failPushes()
	f.run(func(done <-chan struct{}) {
		var killing sync.WaitGroup
		killing.Go(func() { f.killEverySecond(done) })
		for _, how := range []syscall.Signal{postgrestest.Fast, postgrestest.Immediate} {
			f.awaitAnswers(len(f.deliveries) / 3)
			if err := server.Stop(how); err != nil {
				t.Error(err)
			}
			if err := server.Start(); err != nil {
				t.Error(err)
			}
		}
		killing.Wait()
	})
}

// The same for one process with SQLite.
func TestNothingIsLostByAProcessThatIsKilled(t *testing.T) {
	f := newFleet(t, deliveriesOf(t), 1, "")
	f.pace = 10 * time.Millisecond
	f.failPushes()
	f.run(f.killEverySecond)
}

// Replicas are stopped in order and started again, one after another, under load:
// nothing is lost, nothing is doubled, and no sender is answered with a 5xx but the
// 503 of one that is about to go.
func TestRollingRestart(t *testing.T) {
	server := postgrestest.Start(t)
	f := newFleet(t, 600, 3, server.Schema(t))
	f.pace = 5 * time.Millisecond
	f.run(func(<-chan struct{}) {
		for round := range 2 {
			for i, m := range f.members {
				f.awaitAnswers(50)
				// A load balancer learns of it only afterwards.
				if err := m.child.cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Error(err)
				}
				c := f.away(m)
				if err := c.cmd.Wait(); err != nil {
					t.Errorf("round %d, replica %d: %v", round, i, err)
				}
				f.up(m)
			}
		}
	})
}

// A replica is stopped (SIGSTOP) while its push is at the git server, and goes on
// when its lease is long over and another replica has done its work: whether the
// server had taken the push or takes it only then, nothing is doubled and nothing
// out of order.
func TestReplicaThatIsPaused(t *testing.T) {
	for _, taken := range []bool{true, false} {
		t.Run(fmt.Sprintf("taken=%t", taken), func(t *testing.T) {
			server := postgrestest.Start(t)
			f := newFleet(t, 90, 2, server.Schema(t))
			first, second := f.members[0], f.members[1]
			f.up(first)
			f.sendSome(0, 3) // one for each lane: they are the first's now
			f.must(first.child.awaitUpdates(f.ctx, 3))
			f.up(second)

			pushing, goOn := make(chan struct{}), make(chan struct{})
			fault := gitserver.Fault{On: gitserver.Push, Before: func() { close(pushing) }}
			if taken {
				fault.Hold = goOn
			} else {
				fault.Wait = goOn
			}
			f.git.Inject(fault)
			f.sendSome(3, 30)
			<-pushing
			paused := f.away(first)
			f.must(paused.cmd.Process.Signal(syscall.SIGSTOP))
			f.sendSome(30, 60)
			f.awaitDrained(second)
			close(goOn)
			f.must(paused.cmd.Process.Signal(syscall.SIGCONT))
			f.must(paused.await(f.ctx, func(line map[string]any) bool {
				return line["msg"] == "lease lost" || line["msg"] == "results not recorded, the next holder of the lane searches for them"
			}))
			f.sendSome(60, 90)
			f.awaitDrained(second)
			for _, m := range f.members {
				if err := f.away(m).stop(); err != nil {
					t.Errorf("after SIGTERM: %v", err)
				}
			}
			f.check(nil)
		})
	}
}

// With three replicas each of which is killed in turn, an order is committed within
// 3 s of the kill in every environment, whichever replica held its lane: a lease ends
// with its holder's database session, long before it runs out.
func TestLanesOfAKilledReplicaGoOn(t *testing.T) {
	server := postgrestest.Start(t)
	f := newFleet(t, 0, 3, server.Schema(t))
	text, err := os.ReadFile(f.config())
	f.must(err)
	f.must(os.WriteFile(f.config(), bytes.Replace(text, []byte("lease: 3s\n"), []byte("lease: 1m\n"), 1), 0o600))
	for _, m := range f.members {
		f.up(m)
	}
	f.orderEverywhere(f.members[0], "main-0000001")
	var waits []time.Duration
	moved := 0 // lanes that a kill took from their holder
	for round := range 6 {
		victim, survivor := f.members[round%3], f.members[(round+1)%3]
		before := f.holders(survivor)
		f.must(f.away(victim).kill())
		waits = append(waits, f.orderEverywhere(survivor, fmt.Sprintf("main-%07x", round+2)))
		for environment, holder := range f.holders(survivor) {
			if holder != before[environment] {
				moved++
			}
		}
		f.up(victim)
	}
	slices.Sort(waits)
	t.Logf("until an order was committed in every environment: %s; %d lanes moved", waits, moved)
	if longest := waits[len(waits)-1]; longest > 3*time.Second || moved < 3 {
		t.Errorf("after a kill a lane stood still for %s; %d lanes moved", longest, moved)
	}
}

// holders are the holders of the lanes, by environment.
func (f *fleet) holders(m *member) map[string]string {
	f.t.Helper()
	c, err := client.New(m.base, "s3cret-of-the-api-and-long")
	f.must(err)
	now, err := c.Environments(f.ctx)
	f.must(err)
	holders := make(map[string]string)
	for _, e := range now.Environments {
		holders[e.Name] = e.Lane.Holder
	}
	return holders
}

// orderEverywhere requests a tag in every environment, and returns how long it took
// until all of it was committed.
func (f *fleet) orderEverywhere(m *member, tag string) time.Duration {
	f.t.Helper()
	began := time.Now()
	c, err := client.New(m.base, "s3cret-of-the-api-and-long")
	f.must(err)
	var all sync.WaitGroup
	for _, environment := range []string{"dev", "staging", "prod"} {
		all.Go(func() {
			d, err := c.Order(f.ctx, environment+"-"+tag, api.OrderRequest{App: []string{"app-00"}, Environment: []string{environment}, Tag: tag})
			if err == nil {
				err = c.Await(f.ctx, d.Updates, func(u gitops.Update) bool { return u.State.Final() }, func(gitops.Update) {})
			}
			if err != nil || d.Updates[0].State != gitops.Committed {
				f.t.Errorf("%s in %s: %+v, %v", tag, environment, d.Updates, err)
			}
		})
	}
	all.Wait()
	return time.Since(began)
}
