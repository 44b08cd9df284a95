package follow_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/server/follow"
)

// argo-cd#12211, #10274: what runs already at the first look ends at once.
func TestTrapAlreadyLiveEndsAtOnce(t *testing.T) {
	play(t, func(s *site) {
		id := s.write("api", "1.0.0")
		s.pass(500 * time.Millisecond)
		s.expect(id, gitops.RolloutHealthy, "")
	})
}

// argo-cd#28392, #28306: a refresh that is swallowed is asked for again.
func TestTrapASwallowedRefreshIsAskedAgain(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].set(func() { s.hubs[0].lost = true })
		s.hubs[0].tune("api", func(a *app) { a.forget = 3 })
		id := s.write("api", "1.0.0")
		s.pass(22 * time.Second)
		s.expect(id, gitops.RolloutWaiting, "has not looked at this commit")
		s.pass(3 * time.Second)
		s.expect(id, gitops.RolloutHealthy, "")
		if s.refreshed[follow.FirstRefresh] != 1 || s.refreshed[follow.NextRefresh] != 3 {
			t.Errorf("refreshed %v", s.refreshed)
		}
	})
}

// kargo#3258: a wait holds up no newer update, which ends it.
func TestTrapAWaitHoldsUpNoNewerUpdate(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = 10 * time.Second })
		first := s.write("api", "1.0.0")
		s.pass(5 * time.Second)
		second := s.write("api", "1.0.1")
		s.pass(time.Second)
		s.expect(first, gitops.RolloutSuperseded, "1.0.1 was written after it (update "+second+")")
		s.pass(20 * time.Second)
		s.expect(second, gitops.RolloutHealthy, "")
	})
}

// argo-cd#6055, #17314: an operation that runs for ever meets the deadline.
func TestTrapRunningForEverMeetsTheDeadline(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(of *app) {
			of.change = func(a *rollout.Application) {
				a.Status.OperationState = &rollout.OperationState{Phase: "Running", StartedAt: now(), SyncResult: &rollout.SyncResult{Revision: a.Status.Sync.Revision}}
			}
		})
		id := s.write("api", "1.0.0")
		s.pass(15*time.Minute - time.Second)
		s.expect(id, gitops.RolloutSyncing, "")
		s.pass(2 * time.Second)
		s.expect(id, gitops.RolloutTimedOut, "did not run within 15m: it is syncing")
	})
}

// argo-watcher#304: the deadline counts from when the update was written, also for a replica
// that came later.
func TestTrapTheDeadlineIsWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		first := s.start("first")
		s.hubs[0].tune("api", func(a *app) { a.takes = time.Hour })
		id := s.write("api", "1.0.0")
		s.pass(5 * time.Minute)
		first()
		s.pass(8 * time.Minute)
		defer s.start("second")()
		s.pass(time.Minute)
		s.expect(id, gitops.RolloutProgressing, "")
		s.pass(time.Minute + 2*time.Second)
		s.expect(id, gitops.RolloutTimedOut, "")
		s.check()
	})
}

// The deadline stands still while a person is awaited, also over a failover, and goes on then.
func TestTheDeadlineStandsWhileAPersonIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		first := s.start("first")
		s.hubs[0].tune("api", func(a *app) {
			a.change = func(a *rollout.Application) { a.Spec.SyncPolicy, a.Status.Sync.Status = nil, "OutOfSync" }
		})
		id := s.write("api", "1.0.0")
		s.pass(30 * time.Minute)
		first()
		defer s.start("second")()
		s.pass(30 * time.Minute)
		s.expect(id, gitops.RolloutPerson, "")
		s.hubs[0].tune("api", func(a *app) { a.change, a.takes = nil, 3*time.Hour })
		s.pass(14 * time.Minute)
		s.expect(id, gitops.RolloutProgressing, "")
		s.pass(2 * time.Minute)
		s.expect(id, gitops.RolloutTimedOut, "")
		s.check()
	})
}

// kargo#60, argo-cd#6287: 5 s of Degraded are no failure; 20 s are.
func TestTrapAShortDegradedIsNoFailure(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = 30 * time.Second })
		degraded := func(a *rollout.Application) { a.Status.Health.Status = "Degraded" }
		id := s.write("api", "1.0.0")
		s.pass(5 * time.Second)
		s.hubs[0].tune("api", func(a *app) { a.change = degraded })
		s.pass(5 * time.Second)
		s.hubs[0].tune("api", func(a *app) { a.change = nil })
		s.pass(40 * time.Second)
		s.expect(id, gitops.RolloutHealthy, "")
		s.hubs[0].tune("api", func(a *app) { a.change = degraded })
		id = s.write("api", "1.0.1")
		s.pass(50 * time.Second)
		s.expect(id, gitops.RolloutDegraded, "")
	})
}

// argo-cd#20106, #24807: a token that is refused does not loop: the client is asked for a new
// one every 10 s, and sends the refused one once a minute.
func TestTrapARefusedTokenDoesNotLoop(t *testing.T) {
	play(t, func(s *site) {
		refused := away(gitops.Unauthorized, "the token of /etc/tallyman/argocd-token is not accepted").(*gitops.Error)
		refused.RetryAfter = time.Minute
		s.hubs[0].set(func() { s.hubs[0].lost = true })
		s.hubs[0].set(func() { s.hubs[0].err = refused })
		id := s.write("api", "1.0.0")
		s.pass(time.Second)
		s.expect(id, gitops.RolloutUnknown, "the token of /etc/tallyman/argocd-token is not accepted")
		before := s.hubs[0].count("")
		s.pass(time.Hour)
		if n := s.hubs[0].count("") - before; n < 330 || n > 370 || !s.isAway(0) {
			t.Errorf("%d calls in an hour, away %t", n, s.isAway(0))
		}
		s.expect(id, gitops.RolloutUnknown, "")
		s.hubs[0].set(func() { s.hubs[0].err = nil })
		s.pass(15 * time.Second)
		s.expect(id, gitops.RolloutHealthy, "")
		if s.isAway(0) {
			t.Error("it is away still")
		}
	})
}

// argo-cd#13000, #21695: 403 is not "gone", and the deadline stands meanwhile.
func TestTrapForbiddenIsNotGone(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.err = gitops.Errorf(gitops.Forbidden, "forbidden or not there") })
		id := s.write("api", "1.0.0")
		s.pass(time.Hour)
		s.expect(id, gitops.RolloutUnknown, "forbidden or not there")
		s.hubs[0].tune("api", func(a *app) { a.err = nil })
		s.pass(15 * time.Second)
		s.expect(id, gitops.RolloutHealthy, "")
	})
}

// argo-watcher#519: what no Application reads ends early, with what came close. One that
// comes late, as of an ApplicationSet, is found.
func TestTrapWhatNoApplicationReadsEndsEarly(t *testing.T) {
	play(t, func(s *site) {
		s.follow("web", 15*time.Minute)
		s.follow("late", 15*time.Minute)
		id, late := s.write("web", "1.0.0"), s.write("late", "1.0.0")
		s.pass(45 * time.Second)
		s.expect(id, gitops.RolloutWaiting, "")
		s.hubs[0].deploy("late")
		s.pass(30 * time.Second)
		s.expect(id, gitops.RolloutUnmapped, "no Application reads apps/web/values-prod.yaml on main of "+repository+": other-prod is pinned to a tag")
		s.expect(late, gitops.RolloutHealthy, "")
		if n := s.hubs[0].count("list"); n > 10 {
			t.Errorf("%d lists", n)
		}
	})
}

// PR #4350: what a new leader does not know it reads: Applications are listed first.
func TestTrapANewLeaderReadsAgain(t *testing.T) {
	play(t, func(s *site) {
		s.pass(time.Second)
		if n := s.hubs[0].count("list"); n != 1 {
			t.Errorf("%d lists", n)
		}
	})
}

// argocd-notifications#338, argo-cd#19847: the same change twice is one look.
func TestTrapADoubledHintIsOneLook(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = time.Hour })
		s.write("api", "1.0.0")
		s.pass(500 * time.Millisecond)
		before := s.hubs[0].count("")
		for range 20 {
			s.order("other", "1.0.0") // a change of the feed
			s.pass(10 * time.Millisecond)
		}
		if n := s.hubs[0].count("") - before; n > 1 {
			t.Errorf("%d calls", n)
		}
	})
}

// kargo#2980, #5553: later commits of others keep it what it is.
func TestTrapCommitsOfOthersChangeNothing(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = 30 * time.Second })
		id := s.write("api", "1.0.0")
		for n := range 10 {
			s.pass(2 * time.Second)
			s.git.commit("other", fmt.Sprint(n))
			s.hubs[0].pushed()
		}
		s.pass(20 * time.Second)
		s.expect(id, gitops.RolloutHealthy, "")
		if r := s.rollout(id); r.Revision != hash(11) || strings.Contains(s.path(id), "superseded") {
			t.Errorf("%+v", r)
		}
	})
}
