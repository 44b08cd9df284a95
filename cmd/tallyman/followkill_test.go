package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
	"github.com/tallyman-dev/tallyman/server/notify"
)

// A process that is killed while it follows a rollout, while it asks Argo CD, or while it
// tells of the verdict, leaves it to the next one: there is one verdict, and each message is
// told at least once, in order, again only with its id.
func TestAKillWhileFollowing(t *testing.T) {
	for name, die := range map[string]func(h *heldSite, c *cluster){
		"between two looks": func(h *heldSite, c *cluster) {
			h.must(h.child.kill())
			c.app.Promote()
		},
		"while it asks": func(h *heldSite, c *cluster) {
			before := len(c.argo.Requests())
			lift := c.argo.Fail(argocdtest.Fault{Hang: true})
			for len(c.argo.Requests()) == before {
				select {
				case <-time.After(50 * time.Millisecond): // another process: there is nothing to wait on
				case <-h.ctx.Done():
					h.t.Fatal("Argo CD is not asked")
				}
			}
			h.must(h.child.kill())
			lift()
			c.app.Promote()
		},
		"while it tells": func(h *heldSite, c *cluster) {
			came := c.leaveOpen(notify.KindHealthy)
			c.app.Promote()
			<-came
			h.must(h.child.kill())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, c := clusterOf(t)
			u := c.standing(h)
			die(h, c)
			h.begin()
			c.once(h.base, u)
			if name == "while it tells" && !c.awaitTold(notify.KindHealthy, u.Tag, 2, time.Minute) {
				t.Error("what was not answered is not told again")
			}
			c.goesOn(h.base, u, "committed main-2222222", "healthy main-2222222")
		})
	}
}

// Of two replicas the one that follows and tells is killed, or stands still until its leases
// are over and goes on then: there is one verdict, and each message is told at least once,
// in order.
func TestReplicasFollowOnce(t *testing.T) {
	server := postgrestest.Start(t)
	for _, how := range []string{"killed", "paused"} {
		t.Run(how, func(t *testing.T) {
			f := newFleet(t, 0, 2, server.Schema(t))
			c := f.clustered(f.ctx)
			first, second := f.members[0], f.members[1]
			f.up(first)
			c.begun(first.base)
			u := c.order(first.base, "main-2222222")
			c.awaitRollout(first.base, u, gitops.RolloutPaused)
			if !c.awaitTold(notify.KindCommitted, u.Tag, 1, time.Minute) {
				t.Error("the commit is not told")
			}
			f.up(second)
			other := f.away(first)
			if how == "killed" {
				f.must(other.kill())
			} else {
				f.must(other.cmd.Process.Signal(syscall.SIGSTOP))
				server.Exec(t, `DO $$ DECLARE s text; BEGIN FOR s IN SELECT schemaname FROM pg_tables WHERE tablename = 'lanes' LOOP
					EXECUTE format('UPDATE %I.lanes SET expires_at = now() WHERE lease = ''held''', s); END LOOP; END $$`)
			}
			c.app.Promote()
			c.once(second.base, u)
			if how == "paused" {
				f.must(other.cmd.Process.Signal(syscall.SIGCONT))
				f.must(other.await(f.ctx, func(line map[string]any) bool {
					return line["msg"] == "another replica may follow now: the lease was lost"
				}))
			}
			c.goesOn(second.base, u, "committed main-2222222", "healthy main-2222222")
			f.must(f.away(second).stop())
			if how == "paused" {
				f.must(other.stop())
			}
			if n := c.argo.MostPerSecond(); n > 20 {
				t.Errorf("%d requests in a second", n)
			}
		})
	}
}
