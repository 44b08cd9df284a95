package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
	"github.com/tallyman-dev/tallyman/server/notify"
)

// A backup that is made in the middle of a rollout has it, what ran last, and how far
// receivers were told: after it is restored the rollout is followed to its verdict, and told
// again is the verdict that was found since, and nothing from before.
func TestARestoreInTheMiddleOfARollout(t *testing.T) {
	h, c := clusterOf(t)
	u := c.standing(h)
	backup := filepath.Join(h.dir, "a.backup")
	if _, errs, exit := run(t, "backup", "--config", h.config(), backup); exit != 0 {
		t.Fatalf("exit %d: %s", exit, errs)
	}
	c.app.Promote()
	c.once(h.base, u)
	if !c.awaitTold(notify.KindHealthy, u.Tag, 1, time.Minute) {
		t.Error("the verdict is not told")
	}
	h.must(h.child.stop())
	if _, errs, exit := run(t, "restore", "--replace", "--config", h.config(), backup); exit != 0 {
		t.Fatalf("exit %d: %s", exit, errs)
	}
	c.mu.Lock()
	c.told = nil
	c.mu.Unlock()
	h.begin()
	c.once(h.base, u)
	c.goesOn(h.base, u, "healthy main-2222222")
}

// What the backup does not know was written over it: the rollout of the older update does not
// end as a failure.
func TestARestoreFromBeforeANewerUpdate(t *testing.T) {
	h, c := clusterOf(t)
	u := c.standing(h)
	backup := filepath.Join(h.dir, "a.backup")
	if _, errs, exit := run(t, "backup", "--config", h.config(), backup); exit != 0 {
		t.Fatalf("exit %d: %s", exit, errs)
	}
	c.app.Promote()
	c.once(h.base, u)
	c.app.Change(func(b *argocdtest.Behaviour) { b.Pauses = false })
	c.once(h.base, c.order(h.base, "main-2222223"))
	h.must(h.child.stop())
	if _, errs, exit := run(t, "restore", "--replace", "--config", h.config(), backup); exit != 0 {
		t.Fatalf("exit %d: %s", exit, errs)
	}
	h.begin()
	c.awaitRollout(h.base, u, gitops.RolloutSuperseded)
}

// A store that is moved to PostgreSQL in the middle of a rollout takes the rollout with it,
// and how far receivers were told.
func TestMigrateStoreInTheMiddleOfARollout(t *testing.T) {
	h, c := clusterOf(t)
	u := c.standing(h)
	h.must(h.child.stop())
	from, to := "sqlite://"+h.dir+"/tallyman.db", postgrestest.Start(t).Schema(t)
	if _, errs, exit := run(t, "migrate-store", "--from", from, "--to", to); exit != 0 {
		t.Fatalf("exit %d: %s", exit, errs)
	}
	h.useStore(to)
	c.app.Promote()
	h.begin()
	c.once(h.base, u)
	c.goesOn(h.base, u, "committed main-2222222", "healthy main-2222222")
}

// standing begins a tallyman, and returns an update of it whose rollout is paused, and of
// which the commit is told.
func (c *cluster) standing(h *heldSite) gitops.Update {
	h.t.Helper()
	h.begin()
	c.begun(h.base)
	u := c.order(h.base, "main-2222222")
	c.awaitRollout(h.base, u, gitops.RolloutPaused)
	if !c.awaitTold(notify.KindCommitted, u.Tag, 1, time.Minute) {
		h.t.Error("the commit is not told")
	}
	return u
}

// goesOn has the next update come to run after u, and wants that told behind what is told of u.
func (c *cluster) goesOn(base string, u gitops.Update, told ...string) {
	c.t.Helper()
	next := c.order(base, "main-3333333")
	c.awaitRollout(base, next, gitops.RolloutPaused)
	c.app.Promote()
	c.once(base, next)
	c.once(base, u)
	c.toldInOrder(append(told, "committed main-3333333", "healthy main-3333333")...)
}
