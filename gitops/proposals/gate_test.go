package proposals_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

// A stop comes after the lane judged the update and before each of the calls that let it
// through: it is not made, and is when the stop has ended.
func TestHeldRightBefore(t *testing.T) {
	for name, why := range map[string]struct {
		reason string
		err    error
	}{"held": {reason: "stopped"}, "the store is away": {err: gitops.Errorf(gitops.Unavailable, "no store")}} {
		for _, op := range []string{"push", "create", "arm"} {
			t.Run(name+"/"+op, func(t *testing.T) {
				inWorld(t, func(s *site) {
					s.env.Merge = proposals.MergeAuto
					u := s.order("1.1.0")
					var held atomic.Bool
					s.gate = func(gitops.Update) (string, error) {
						if held.Load() {
							return why.reason, why.err
						}
						return "", nil
					}
					before := map[string]string{"push": "build", "create": "push", "arm": "create"}[op]
					s.w.Before(before, func() { held.Store(true) })
					s.want(u)
					s.after(time.Minute)
					s.count(0, op)
					s.baseHas("1.0.0")
					if b := s.blocked["1.1.0"]; b.Reason != "" {
						t.Errorf("blocked by %+v", b)
					}
					held.Store(false)
					s.after(20 * time.Second)
					s.is(u, gitops.Committed)
					s.count(1, op)
				})
			})
		}
	}
}

// What is proposed is kept up to date while it is held: a hold is of the merge alone.
func TestHeldIsKeptUpToDate(t *testing.T) {
	inWorld(t, func(s *site) {
		u := s.propose("1.1.0")
		s.gate = func(gitops.Update) (string, error) { return "stopped", nil }
		s.w.EditBase("prod", "api", "1.0.1", "ann")
		s.look()
		s.count(2, "push")
		s.is(u, gitops.Proposed)
	})
}

// What the forge may merge by itself is under way: whoever places a stop waits until it is
// taken back. Another process that finds it armed says so, too.
func TestArmedIsUnderWay(t *testing.T) {
	stopped := func(w *gitops.ProposalWish) { w.Held = []gitops.Block{{Kind: gitops.BlockStop, Reason: "stopped"}} }
	for name, end := range map[string]func(s *site, u *gitops.Update){
		"disarmed": func(s *site, u *gitops.Update) { s.want(u, stopped) },
		"merged":   func(s *site, _ *gitops.Update) { s.w.Fulfil(1) },
		"closed":   func(s *site, _ *gitops.Update) { s.w.Close(1, "bo") },
		"left":     func(s *site, _ *gitops.Update) { s.room.Leave("prod") },
		"ended":    func(s *site, _ *gitops.Update) { s.room.Close() },
		"queued": func(s *site, u *gitops.Update) {
			s.w.Enqueue(1)
			s.look()
			if n := s.passed.Load(); n != 1 {
				s.Errorf("%d are under way while it is queued", n)
			}
			s.want(u, stopped)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(s *site) {
				s.env.Merge = proposals.MergeAuto
				s.w.Set(protected)
				u := s.propose("1.1.0")
				for range 2 {
					if n := s.passed.Load(); n != 1 {
						t.Fatalf("%d are under way while it is armed", n)
					}
					s.restart()
					s.after(20 * time.Second)
				}
				end(s, u)
				s.look()
				s.after(20 * time.Second)
				if n := s.passed.Load(); n != 0 {
					t.Errorf("%d are under way still", n)
				}
			})
		})
	}
	t.Run("failed", func(t *testing.T) {
		inWorld(t, func(s *site) {
			s.env.Merge = proposals.MergeAuto
			s.w.Fail("arm", proposalstest.Fault{Err: gitops.Errorf(gitops.Forbidden, "no right")})
			s.propose("1.1.0")
			if n := s.passed.Load(); n != 0 {
				t.Errorf("%d are under way", n)
			}
		})
	})
}
