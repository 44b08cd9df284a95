package feedback_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

// life plays updates of every end, and returns what GitHub is to show in the end besides
// what is inactive.
func (s *site) life() (want []string) {
	committed, superseded := s.order("prod", "api", "1.0.0", sha), s.order("prod", "web", "1.0.0", sha)
	s.pass(30 * time.Second)
	s.ends(committed, gitops.ActionCommit, "")
	failed := s.order("prod", "web", "1.0.1", other)
	s.ends(superseded, gitops.ActionSupersede, "1.0.1 took its place")
	s.ends(failed, gitops.ActionFail, "no such key")
	s.pass(time.Hour)
	return []string{"shop/api prod 1a2b3c4 1.0.0: success", "shop/web prod 2a2b3c4 1.0.1: failure"}
}

// ended is what GitHub shows that is not inactive, with the last states alone and without
// their order.
func (s *site) ended() (all []string) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	for _, d := range s.hub.made {
		if d.state() != "inactive" {
			all = append(all, fmt.Sprintf("%s %s %.7s %s: %s", d.repository, d.Environment, d.Revision, d.Payload.Tag, d.state()))
		}
	}
	slices.Sort(all)
	return all
}

// repeated reports whether a Deployment was given the same status twice in a row.
func (s *site) repeated() bool {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return slices.ContainsFunc(s.hub.made, func(d *made) bool {
		return len(slices.Compact(slices.Clone(d.statuses))) < len(d.statuses)
	})
}

// A replica that dies at any call of GitHub or of the store leaves its successor one
// Deployment of each update at most, and the last status is right. The call was made, or not.
func TestACrashAtEachStep(t *testing.T) {
	lives := map[string]func(s *site) []string{"until they are written": (*site).life, "until they run": (*site).rollouts}
	for name, live := range lives {
		for _, where := range []string{"before a call of GitHub", "after one", "at the store"} {
			t.Run(name+", "+where, func(t *testing.T) {
				n := 1
				for n < 100 && crashAt(t, live, where, n) { // the store is asked for ever
					n++
				}
				if n < 10 {
					t.Errorf("there are %d calls", n)
				}
			})
		}
	}
}

// crashAt plays a life in which the first replica dies at its nth call. It returns whether it
// came to that.
func crashAt(t *testing.T, live func(s *site) []string, where string, n int) (died bool) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		var stop, kill func()
		launched := make(chan struct{})
		die := func(call int) {
			if call == n {
				died = true
				<-launched
				kill()
			}
		}
		switch where {
		case "before a call of GitHub":
			s.hub.before = die
		case "after one":
			s.hub.after = die
		default:
			s.store.before = die
		}
		stop, kill = s.launch("first")
		close(launched)
		defer stop()
		synctest.Wait()
		defer s.start("second")()
		want := live(s)
		if diff := cmp.Diff(want, s.ended()); diff != "" {
			t.Errorf("died at call %d: %s", n, diff)
		}
		if s.repeated() {
			t.Errorf("died at call %d: a status was set twice: %q", n, s.hub.shown())
		}
		s.check()
	})
	return died
}

// Each call that fails, done or not, is made again, and once when it was done.
func TestEachCallThatFails(t *testing.T) {
	for _, code := range []gitops.Code{gitops.Unavailable, gitops.RateLimited, gitops.Forbidden, gitops.NotFound, gitops.Internal} {
		for _, done := range []bool{false, true} {
			if done && code != gitops.Unavailable && code != gitops.Internal {
				continue // it is GitHub's answer, which did nothing
			}
			for n := range 14 {
				synctest.Test(t, func(t *testing.T) {
					s := newSite(t)
					s.hub.faults = make([]fault, n+2)
					s.hub.faults[n] = fault{gitops.Errorf(code, "it fails"), done}
					s.hub.faults[n+1] = fault{gitops.Errorf(code, "it fails"), false}
					defer s.start("this")()
					if diff := cmp.Diff(s.life(), s.ended()); diff != "" {
						t.Errorf("%s at call %d, done %t: %s", code, n, done, diff)
					}
					if s.repeated() {
						t.Errorf("%s at call %d, done %t: a status was set twice: %q", code, n, done, s.hub.shown())
					}
					s.check()
				})
			}
		}
	}
}

// One replica follows; the next one does when the first has gone, and goes on from there.
func TestOneReplicaFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		first := s.start("first")
		defer s.start("second")()
		want := s.life()
		first()
		s.ends(s.order("prod", "api", "1.0.2", other), gitops.ActionCommit, "")
		s.pass(time.Minute)
		want[0] = "shop/api prod 2a2b3c4 1.0.2: success"
		if diff := cmp.Diff(want, s.ended()); diff != "" || s.repeated() {
			t.Error(diff, s.hub.shown())
		}
		s.check()
	})
}

// A store that is away costs nothing but time, and is said once.
func TestAStoreThatIsAway(t *testing.T) {
	play(t, func(s *site) {
		s.order("prod", "api", "1.0.0", sha)
		s.store.fail(gitops.Errorf(gitops.Unavailable, "the store is away"))
		s.pass(time.Hour)
		s.expect()
		s.store.fail(nil)
		s.pass(time.Minute)
		s.expect("shop/api prod 1a2b3c4 1.0.0: queued")
		if n := len(s.log.Lines("store does not answer")); n != 1 {
			t.Errorf("logged %d times", n)
		}
	})
}

// A store that lost its newest changes has no such cursor: it is followed from its newest on.
func TestACursorThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.must(s.store.Model.SetCheckpoint(t.Context(), "job/feedback", `{"cursor":"999999"}`))
		defer s.start("this")()
		s.ends(s.order("prod", "api", "1.0.0", sha), gitops.ActionCommit, "")
		s.pass(time.Minute)
		s.expect("shop/api prod 1a2b3c4 1.0.0: success")
		if len(s.log.Lines("goes on from the newest change")) != 1 {
			t.Error("nothing is said of it")
		}
	})
}
