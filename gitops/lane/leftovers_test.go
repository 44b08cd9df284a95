package lane_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

func onlyAPI(environment, app string) bool { return environment == "dev" && app == "api" }

func TestUpdatesOfAnAppThatIsNotConfiguredAreCancelled(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("web 1", "api 1")
		r := s.with(lane.Config{Configured: onlyAPI})
		r.Start()
		synctest.Wait()
		equal(t, "happened", []string{"web 1 cancelled", "api 1 committed"}, s.happened())
		equal(t, "why", `app "web" is not configured for environment "dev"`, s.update("dev", "web 1").Reason)
		r.Stop(t.Context())
	})
}

// What was accepted with another image than its app has now is not written. While replicas
// are replaced, another may know more.
func TestUpdatesOfAnotherImageAreCancelled(t *testing.T) {
	another := func(u gitops.Update) string {
		if u.App == "web" {
			return "its repository is another now"
		}
		return ""
	}
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("web 1", "api 1")
		r := s.with(lane.Config{AnotherImage: another, Rollout: 10 * time.Minute})
		r.Start()
		elapse(9 * time.Minute)
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		elapse(2 * time.Minute)
		equal(t, "happened after", []string{"web 1 cancelled"}, s.happened())
		equal(t, "why", "its repository is another now", s.update("dev", "web 1").Reason)
		r.Stop(t.Context())
	})
}

// While replicas are replaced, another may know an app that this one does not.
func TestDuringARolloutOthersMayKnowMore(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("web 1", "api 1")
		r := s.with(lane.Config{Configured: onlyAPI, Rollout: 10 * time.Minute})
		r.Start()
		elapse(9 * time.Minute)
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		elapse(2 * time.Minute)
		equal(t, "happened after", []string{"web 1 cancelled"}, s.happened())
		r.Stop(t.Context())
	})
}

// An app that left and came back, of which this replica does not know yet: what a person
// retries of before is left to the others as what they accept.
func TestDuringARolloutARetryIsLeftToOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		var out atomic.Bool
		r := s.with(lane.Config{Rollout: 10 * time.Minute, Configured: func(_, app string) bool { return app != "web" || !out.Load() }})
		s.writer.then(func(_ context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			return gitops.WriteResult{Transitions: []gitops.Transition{{Update: tasks[0].Update.ID, Action: gitops.ActionFail, Reason: "no such key"}}}, nil
		})
		s.accept("web 1")
		r.Start()
		elapse(time.Hour)
		out.Store(true)
		if _, err := s.queue.Model.Decide(t.Context(), queue.Decision{Update: id("dev", "web 1"), Action: gitops.ActionRetry, Actor: "a person"}); err != nil {
			t.Fatal(err)
		}
		elapse(9 * time.Minute)
		equal(t, "happened", []string{"web 1 failed", "web 1 pending"}, s.happened())
		elapse(2 * time.Minute)
		equal(t, "happened after", []string{"web 1 cancelled"}, s.happened())
		r.Stop(t.Context())
	})
}

// A replica that rejected the newest configuration does not know what the others know, for
// however long; and a retry is as good as an acceptance.
func TestAReplicaThatIsOutdatedCancelsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		var outdated atomic.Bool
		outdated.Store(true)
		s.accept("web 1", "api 1")
		s.acceptIn("qa", "api 1")
		r := s.with(lane.Config{Configured: onlyAPI, Rollout: 10 * time.Minute, Outdated: outdated.Load})
		r.Start()
		elapse(time.Hour)
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		outdated.Store(false)
		elapse(2 * time.Minute)
		equal(t, "happened after", []string{"api 1 cancelled", "web 1 cancelled"}, s.sortedHappened())
		r.Stop(t.Context())
	})
}

// However many updates are left to others, they hold up no other.
func TestWhatIsLeftAloneHoldsUpNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("web 1", "db 1", "mail 1", "web 2", "db 2", "api 1", "api 2", "api 3")
		r := s.with(lane.Config{Configured: onlyAPI, Rollout: 10 * time.Minute, BatchSize: 2})
		r.Start()
		synctest.Wait()
		equal(t, "happened", []string{"api 1 committed", "api 2 committed", "api 3 committed"}, s.happened())
		for _, call := range s.writer.asked() {
			if len(call) > 2 {
				t.Errorf("%d updates are written at once, want two at most", len(call))
			}
		}
		taken := s.queue.count("Take")
		elapse(time.Minute)
		if n := s.queue.count("Take") - taken; n > 61 {
			t.Errorf("the queue is asked %d times in a minute", n)
		}
		r.Stop(t.Context())
	})
}

// An environment that is not configured has its updates cancelled, also those that
// wait for a person, and those that may be on the branch only after a look.
func TestAnEnvironmentThatIsNotConfiguredIsClosed(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.acceptIn("qa", "api 1", "api 2", "web 1")
		theirs, err := s.queue.Model.Claim(t.Context(), "other", []string{"qa"}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		stale := []gitops.Block{{Kind: gitops.BlockStale, Reason: "retry or cancel it"}}
		_, err = s.queue.Model.Report(t.Context(), theirs[0], queue.Report{Blocks: []queue.Blocked{{Update: id("qa", "web 1"), BlockedBy: stale}}})
		if err != nil {
			t.Fatal(err)
		}
		s.queue.KillHolder("other")
		s.happened()
		s.writer.then(find, find) // the lane may be claimed before all is requested
		s.Start()
		elapse(2 * time.Minute)
		equal(t, "writes", []string{"? api 1", "? api 2", "? web 1"}, slices.Concat(s.writer.asked()...))
		equal(t, "happened", []string{"api 1 committed", "api 2 committed", "web 1 committed"}, s.happened())
		s.acceptIn("qa", "api 3")
		elapse(2 * time.Minute)
		equal(t, "happened then", []string{"api 3 cancelled"}, s.happened())
		equal(t, "why", `environment "qa" is not configured`, s.update("qa", "api 3").Reason)
		equal(t, "the holder", "", s.backlog().Holder)
		if !s.logged("environment is not configured, cancelling its updates") || !s.logged("update cancelled") {
			t.Error("nothing is logged of it")
		}
		s.Stop(t.Context())
	})
}

// So are those of an app that left a configured environment, although no lane
// takes what waits for a person.
func TestABlockedUpdateThatIsNotConfiguredIsCancelled(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("web 1", "api 1")
		elapse(8 * 24 * time.Hour)
		s.Start()
		synctest.Wait()
		s.Stop(t.Context())
		equal(t, "happened", []string{"web 1 stale", "api 1 stale"}, s.happened())
		r := s.with(lane.Config{Configured: onlyAPI})
		r.Start()
		elapse(2 * time.Second)
		equal(t, "happened then", []string{"web 1 cancelled"}, s.happened())
		r.Stop(t.Context())
	})
}
