package follow_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/follow"
)

// life has four updates written: of one the webhook is lost, the second takes the place of the
// first, the third of another app is never ready, and the fourth cannot be applied.
func (s *site) life() (ids [4]string) {
	s.hubs[0].set(func() { s.hubs[0].lost = true })
	s.hubs[0].tune("web", func(a *app) { a.takes = time.Hour })
	ids[0] = s.write("api", "1.0.0")
	s.pass(time.Second)
	ids[1] = s.write("api", "1.0.1")
	ids[2] = s.write("web", "2.0.0")
	ids[3] = s.write("job", "3.0.0")
	s.pass(6 * time.Minute)
	return ids
}

// newLife makes a site for a life.
func newLife(t *testing.T) *site {
	s := newSite(t, 1)
	s.hubs[0].deploy("web")
	s.follow("web", 5*time.Minute)
	s.hubs[0].deploy("job", func(a *app) { a.change = failedSync })
	s.configure("job", func(how *follow.Followed) { how.Revert = true })
	s.start("the one before")() // there is a checkpoint: without one nothing of before is followed
	s.store.calls, s.hubs[0].calls = 0, nil
	return s
}

// lived holds a life to its verdicts. Each was counted once, or not at all by who died.
func (s *site) lived(ids [4]string, what string) {
	s.t.Helper()
	for n, want := range []gitops.RolloutState{gitops.RolloutSuperseded, gitops.RolloutHealthy, gitops.RolloutTimedOut, gitops.RolloutSyncFailed} {
		if r := s.rollout(ids[n]); r.State != want {
			s.t.Errorf("%s: update %d is %s, %q, not %s", what, n, r.State, r.Reason, want)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.reverts, ids[3]) {
		s.t.Errorf("%s: reverted %v", what, s.reverts)
	}
	all := slices.Clone(s.ended)
	slices.Sort(all)
	if once := slices.Compact(slices.Clone(all)); len(once) != len(all) {
		s.t.Errorf("%s: counted %v", what, all)
	}
}

// A replica that dies at any call leaves one verdict of each update, once. The call was made,
// or not.
func TestACrashAtEachCall(t *testing.T) {
	for _, where := range []string{"before a call of Argo CD", "after one", "before a call of the store", "after one of those"} {
		t.Run(where, func(t *testing.T) {
			n := 1
			for n < 60 && crashAt(t, where, n) { // both are asked for as long as something is open
				n++
			}
			if n < 20 {
				t.Errorf("there are %d calls", n)
			}
		})
	}
}

// crashAt plays a life in which the first replica dies at its nth call. It returns whether it
// came to that.
func crashAt(t *testing.T, where string, n int) (died bool) {
	synctest.Test(t, func(t *testing.T) {
		s := newLife(t)
		var stop, kill func()
		launched := make(chan struct{})
		die := func(call int) {
			if call == n && !died {
				died = true
				<-launched
				kill()
			}
		}
		switch where {
		case "before a call of Argo CD":
			s.hubs[0].before = die
		case "after one":
			s.hubs[0].after = die
		case "before a call of the store":
			s.store.before = die
		default:
			s.store.after = die
		}
		stop, kill = s.launch("first")
		close(launched)
		defer stop()
		synctest.Wait()
		defer s.start("second")()
		s.lived(s.life(), fmt.Sprintf("died %s, at call %d", where, n))
		s.check()
	})
	return died
}

// Each call of the store that fails, done or not, and fails again, is made until it succeeds.
func TestEachCallOfTheStoreThatFails(t *testing.T) {
	for _, code := range []gitops.Code{gitops.Unavailable, gitops.Internal} {
		for _, done := range []bool{false, true} {
			for n := range 30 {
				synctest.Test(t, func(t *testing.T) {
					s := newLife(t)
					s.store.faults = make([]fault, n+2)
					s.store.faults[n] = fault{gitops.Errorf(code, "it fails"), done}
					s.store.faults[n+1] = fault{gitops.Errorf(code, "it fails"), false}
					defer s.start("this")()
					s.lived(s.life(), fmt.Sprintf("%s at call %d, done %t", code, n, done))
					s.check()
				})
			}
		}
	}
}

// Each call of Argo CD that fails twice changes no verdict.
func TestEachCallOfArgoCDThatFails(t *testing.T) {
	faults := []error{
		away(gitops.Unauthorized, "the token is not accepted"), away(gitops.RateLimited, "rate limited"), away(gitops.Unavailable, "answers with status 502"),
		gitops.Errorf(gitops.Forbidden, "forbidden or not there"), gitops.Errorf(gitops.NotFound, "not found"), gitops.Errorf(gitops.Rejected, "rejected"),
		gitops.Errorf(gitops.Unavailable, "answers with status 500"), gitops.Errorf(gitops.TooLarge, "response too large"),
		gitops.Errorf(gitops.Unavailable, "not compared").WithCause(follow.ErrNotCompared),
	}
	for _, err := range faults {
		for n := range 16 {
			synctest.Test(t, func(t *testing.T) {
				s := newLife(t)
				s.hubs[0].faults = make([]fault, n+2)
				s.hubs[0].faults[n], s.hubs[0].faults[n+1] = fault{err, false}, fault{err, false}
				defer s.start("this")()
				s.lived(s.life(), fmt.Sprintf("%v at call %d", err, n))
				s.check()
			})
		}
	}
}
