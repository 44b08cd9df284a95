package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// faultsOfAPush are a push that git never sees and one that it takes, both without an
// answer: each tells when it is there, and goes on when the process is dead.
func faultsOfAPush(now, killed chan struct{}) map[string]gitserver.Fault {
	return map[string]gitserver.Fault{
		"not applied": {On: gitserver.Push, Before: func() { close(now) }, Wait: killed, Cut: true},
		"applied":     {On: gitserver.Push, Replace: func(answer []byte) []byte { close(now); <-killed; return answer }},
	}
}

// dieAtAPush kills the server at its next push, starts it again, and waits until so many
// updates are committed.
func (h *heldSite) dieAtAPush(how string, before func(), committed int) {
	h.t.Helper()
	now, killed := make(chan struct{}), make(chan struct{})
	h.git.Inject(faultsOfAPush(now, killed)[how])
	before()
	select {
	case <-now:
	case <-h.ctx.Done():
		h.t.Fatal("nothing was pushed")
	}
	h.must(h.child.kill())
	close(killed)
	h.begin()
	h.must(h.child.awaitUpdates(h.ctx, committed))
}

// A process that is killed after a rollback was answered, before its push and after it,
// leaves the whole of it: the next one writes it once, and what was rolled back is held.
func TestARollbackOutlivesAKill(t *testing.T) {
	for how := range faultsOfAPush(nil, nil) {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			h := newHeldSite(t)
			h.begin()
			for _, tag := range []string{"main-1111111", "main-2222222"} {
				h.dispatch(h.base, tag)
				h.must(h.child.awaitUpdates(h.ctx, 1))
			}
			h.dieAtAPush(how, func() {
				h.ask("POST", h.base+"/api/v1/rollbacks", `{"app": "app-00", "environment": "prod", "reason": "incident 4711"}`, nil)
			}, 1)
			if got := fmt.Sprint(h.inForce()); got != "[pin bad]" {
				t.Errorf("in force are %s", got)
			}
			h.dispatch(h.base, "main-2222222b")
			h.awaitHeld(h.child)
			h.expectSubjects(bumped("main-1111111"), bumped("main-2222222"), "revert: app-00 back to main-1111111 (prod)")
		})
	}
}

// A process that is killed when a freeze ends, in the push that this begins, and one that
// is killed before the end and is back after it, leave nothing frozen, lost or doubled.
func TestAFreezeEndsWhileTheServerIsKilled(t *testing.T) {
	freeze := func(h *heldSite, lasts time.Duration) (ends time.Time) {
		h.begin()
		ends = time.Now().Add(lasts)
		h.place(h.base, fmt.Sprintf(`{"kind": "freeze", "environments": ["prod"], "reason": "inventory", "until": %q}`, ends.UTC().Format(time.RFC3339Nano)))
		for _, tag := range []string{"main-1111111", "main-2222222"} {
			h.dispatch(h.base, tag)
			h.awaitHeld(h.child)
		}
		h.expectSubjects()
		return ends
	}
	for how := range faultsOfAPush(nil, nil) {
		t.Run("in its push "+how, func(t *testing.T) {
			t.Parallel()
			h := newHeldSite(t)
			h.dieAtAPush(how, func() { freeze(h, 3*time.Second) }, 1)
			h.expectSubjects(bumped("main-2222222"))
		})
	}
	t.Run("before it", func(t *testing.T) {
		t.Parallel()
		h := newHeldSite(t)
		ends := freeze(h, 3*time.Second)
		h.must(h.child.kill())
		h.begin()
		h.must(h.child.awaitUpdates(h.ctx, 1))
		if late := time.Since(ends); late < 0 || late > 5*time.Second {
			t.Errorf("it was written %s after the freeze's end", late)
		}
		h.expectSubjects(bumped("main-2222222"))
	})
}
