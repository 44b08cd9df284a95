package follow_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/server/follow"
)

// Revert implements [follow.Reverter].
func (s *site) Revert(ctx context.Context, update string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reverts = append(s.reverts, update)
	if ctx.Err() != nil {
		return gitops.Errorf(gitops.Unavailable, "given up").WithCause(ctx.Err())
	}
	return s.revertErr
}

func (s *site) revertFails(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revertErr = err
}

// wantsRevert has api gone back from where it fails, as it does now.
func (s *site) wantsRevert() {
	s.configure("api", func(how *follow.Followed) { how.Revert = true })
	s.hubs[0].tune("api", func(a *app) { a.change = failedSync })
}

// failedSync is an Application whose last sync failed.
func failedSync(a *rollout.Application) {
	a.Status.OperationState = &rollout.OperationState{Phase: "Failed", Message: "one or more objects failed to apply", StartedAt: now(), FinishedAt: a.Status.ReconciledAt, SyncResult: &rollout.SyncResult{Revision: a.Status.Sync.Revision}}
}

// What fails is gone back from, where that is wanted, and once.
func TestWhatFailsIsReverted(t *testing.T) {
	play(t, func(s *site) {
		s.wantsRevert()
		id := s.write("api", "1.0.0")
		s.pass(time.Minute)
		s.expect(id, gitops.RolloutSyncFailed, "one or more objects failed to apply")
		if got := strings.Join(s.reverts, " "); got != id {
			t.Errorf("reverted %q", got)
		}
	})
}

// What is superseded, times out or is not wanted back is left.
func TestWhatIsNotReverted(t *testing.T) {
	play(t, func(s *site) {
		s.wantsRevert()
		s.hubs[0].tune("api", func(a *app) { a.change = nil })
		s.hubs[0].tune("api", func(a *app) { a.takes = time.Hour })
		s.write("api", "1.0.0")
		s.pass(time.Second)
		s.write("api", "1.0.1")
		s.pass(16 * time.Minute)
		s.configure("api", func(how *follow.Followed) { how.Revert = false })
		s.hubs[0].tune("api", func(a *app) { a.change = func(a *rollout.Application) { a.Status.Health.Status = "Degraded" } })
		id := s.write("api", "1.0.2")
		s.pass(time.Minute)
		s.expect(id, gitops.RolloutDegraded, "")
		if len(s.reverts) > 0 {
			t.Errorf("reverted %q", s.reverts)
		}
	})
}

// While it is not known whether to go back it is asked again, also by the next replica: the
// checkpoint does not move past it. A refusal is final, and said.
func TestARevertThatIsNotKnownYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		s.wantsRevert()
		s.revertFails(gitops.Errorf(gitops.Unavailable, "the git server does not answer"))
		first := s.start("first")
		s.write("api", "1.0.0")
		s.pass(5 * time.Minute)
		if n := len(s.reverts); n < 25 || n > 31 {
			t.Errorf("asked %d times", n)
		}
		first()
		s.revertFails(gitops.Errorf(gitops.Conflict, "api in prod is not reverted: no tag was seen healthy there"))
		before := len(s.reverts)
		defer s.start("second")()
		s.pass(5 * time.Minute)
		if n := len(s.reverts) - before; n != 1 || len(s.log.Lines("no tag was seen healthy there")) != 1 {
			t.Errorf("asked %d times after that", n)
		}
		s.check()
	})
}

// Nothing is tried for ever: who looks at what failed an hour ago decides by himself.
func TestARevertThatIsNeverKnown(t *testing.T) {
	play(t, func(s *site) {
		s.wantsRevert()
		s.revertFails(gitops.Errorf(gitops.Unavailable, "the git server does not answer"))
		s.write("api", "1.0.0")
		s.pass(2 * time.Hour)
		before := len(s.reverts)
		s.pass(time.Hour)
		if n := len(s.reverts) - before; n > 0 || len(s.log.Lines("not reverted")) != 1 {
			t.Errorf("asked %d times in the third hour", n)
		}
	})
}

// A replica that does not know yet how the app is configured goes back when it does.
func TestARevertOfAnAppThatIsKnownLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		s.wantsRevert()
		s.revertFails(gitops.Errorf(gitops.Unavailable, "the git server does not answer"))
		first := s.start("first")
		id := s.write("api", "1.0.0")
		s.pass(30 * time.Second)
		first()
		how := s.in.how[apiInProd]
		s.replace(func(c *inForce) { delete(c.how, apiInProd); c.unsettled = true })
		s.reverts = nil
		s.revertFails(nil)
		defer s.start("second")()
		s.pass(5 * time.Minute)
		if len(s.reverts) > 0 {
			t.Errorf("reverted %q, and it is not known whether to", s.reverts)
		}
		s.reload(func(c *inForce) { c.how[apiInProd], c.unsettled = how, false })
		s.pass(15 * time.Second)
		if got := strings.Join(s.reverts, " "); got != id {
			t.Errorf("reverted %q", got)
		}
		s.check()
	})
}

// A revert that must wait, as for a git server, holds up none of another app.
func TestARevertHoldsUpNoOther(t *testing.T) {
	play(t, func(s *site) {
		s.wantsRevert()
		s.hubs[0].deploy("web", func(a *app) { a.change = failedSync })
		s.configure("web", func(how *follow.Followed) { how.Revert = true })
		s.revertFails(gitops.Errorf(gitops.Unavailable, "the git server does not answer"))
		api := s.write("api", "1.0.0")
		s.pass(time.Minute)
		web := s.write("web", "1.0.0")
		s.pass(time.Minute)
		if !slices.Contains(s.reverts, web) || !slices.Contains(s.reverts[len(s.reverts)-3:], api) {
			t.Errorf("reverted %q", s.reverts)
		}
	})
}
