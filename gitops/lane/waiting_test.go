package lane_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// What the git server refuses alone waits alone, longer each time, whatever the
// difference between this process's clock and the store's.
func TestWhatIsRefusedWaitsAlone(t *testing.T) {
	for _, skew := range []time.Duration{0, 20 * time.Minute, -20 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				s.skew.Store(int64(skew))
				s.accept("api 1", "web 1", "api 2")
				for range 100 {
					s.writer.then(refuses("web"))
				}
				began := time.Now()
				s.Start()
				synctest.Wait()
				equal(t, "happened", []string{"api 1 committed", "api 2 committed", "web 1 refused"}, s.happened())
				block := s.update("dev", "web 1").BlockedBy[0]
				equal(t, "reason", "needs a review", block.Reason)
				elapse(10*time.Minute + 30*time.Second - time.Since(began))
				// At 0, 10, 20, 40, 80, 160, 320 and 640 s, and noticed within a second.
				equal(t, "writes", 7, len(s.writer.asked()))
				equal(t, "since", block.Since, s.update("dev", "web 1").BlockedBy[0].Since)
				s.accept("api 3")
				synctest.Wait()
				equal(t, "the others go on", [][]string{{"api 3"}}, s.writer.asked())
				s.Stop(t.Context())
				equal(t, "released clean", true, s.releasedClean())
			})
		})
	}
}

// A store's clock that is set while the lane is held, as that of a machine that was
// suspended is, neither has refused updates tried without a pause nor keeps them longer.
func TestWhatIsRefusedWaitsAlthoughTheClockIsSet(t *testing.T) {
	for _, set := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(set.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				s.Start()
				elapse(time.Second)
				s.skew.Store(int64(set))
				elapse(11 * time.Second) // the lease is extended
				for range 10 {
					s.writer.then(refuses("web"))
				}
				s.accept("web 1")
				elapse(30 * time.Second)
				equal(t, "writes at 0, 10 and 20 s", 3, len(s.writer.asked()))
				s.Stop(t.Context())
			})
		})
	}
}

// A refusal that came in spite of an outage is known, too.
func TestARefusalBesideAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("web 1", "api 1")
		s.writer.then(func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			r, _ := refuses("web")(ctx, tasks[:1])
			return r, errGitDown
		})
		s.Start()
		elapse(2 * time.Second)
		equal(t, "happened", []string{"web 1 refused", "api 1 committed"}, s.happened())
		s.Stop(t.Context())
	})
}

// What was pending for a week waits for a person, whose retry gives it another.
func TestWhatWaitedForAWeekIsStale(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1")
		elapse(7*24*time.Hour + time.Second)
		s.accept("web 1")
		s.Start()
		synctest.Wait()
		equal(t, "happened", []string{"api 1 stale", "web 1 committed"}, s.happened())
		s.decide(gitops.ActionRetry, "api 1")
		synctest.Wait()
		equal(t, "happened after the retry", []string{"api 1 committed"}, s.happened())
		s.Stop(t.Context())
	})
}

// An outage of a week leaves every update stale, but for one that landed.
func TestWhatMayBeOnTheBranchIsLookedForBeforeItIsStale(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1")
		s.writer.then(fails(&gitops.Error{Code: gitops.RateLimited, Message: "later", RetryAfter: 15 * time.Minute}), find)
		s.Start()
		synctest.Wait()
		s.Stop(t.Context())
		time.Sleep(8 * 24 * time.Hour)
		s.writer.asked()
		next := s.with(lane.Config{})
		next.Start()
		synctest.Wait()
		// The first holder did not vouch for it.
		equal(t, "writes", [][]string{{"? api 1"}}, s.writer.asked())
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		next.Stop(t.Context())
	})
}

func TestCancel(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1", "web 1")
		s.decide(gitops.ActionCancel, "api 1")
		s.Start()
		synctest.Wait()
		equal(t, "happened", []string{"api 1 cancelled", "web 1 committed"}, s.happened())
		equal(t, "writes", [][]string{{"web 1"}}, s.writer.asked())
		u := s.update("dev", "api 1")
		equal(t, "who and why", "ann: not wanted", u.Steps[len(u.Steps)-1].Actor+": "+u.Reason)
		s.Stop(t.Context())
	})
}

// During an outage what was never sent is cancelled at once, and the outage stays.
// What may be on the branch is looked for after it, before anything is written.
func TestCancelDuringAnOutage(t *testing.T) {
	for name, look := range map[string]writes{"it is not on the branch": commitAll, "it is on the branch": find} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				s.accept("api 1", "api 2", "web 1")
				r := s.with(lane.Config{BatchSize: 2})
				s.writer.then(fails(&gitops.Error{Code: gitops.RateLimited, Message: "later", RetryAfter: time.Minute}), look)
				r.Start()
				synctest.Wait()
				s.decide(gitops.ActionCancel, "web 1")
				s.decide(gitops.ActionCancel, "api 2")
				elapse(2 * time.Second)
				equal(t, "happened during the outage", []string{"web 1 cancelled"}, s.happened())
				if s.backlog().Outage == nil {
					t.Error("the outage is over")
				}
				elapse(time.Minute)
				writes := [][]string{{"api 1", "api 2"}, {"? api 1", "? api 2"}, {"api 1"}}
				happened := []string{"api 2 cancelled", "api 1 committed"}
				if name == "it is on the branch" {
					writes, happened = writes[:2], []string{"api 1 committed", "api 2 committed"}
				}
				equal(t, "writes", writes, s.writer.asked())
				equal(t, "happened after the outage", happened, s.happened())
				r.Stop(t.Context())
			})
		})
	}
}

// What of an app in hand may be on the branch goes to the writer, blocked or not.
func TestTheWriterIsToldWhatMayBeOnTheBranch(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1", "web 1")
		theirs := s.steal(time.Hour)
		block := []gitops.Block{{Kind: gitops.BlockRefused, Reason: "needs a review", Until: time.Now().Add(time.Hour)}}
		_, err := s.queue.Model.Report(t.Context(), theirs, queue.Report{Blocks: []queue.Blocked{{Update: id("dev", "api 1"), BlockedBy: block}}})
		if err != nil {
			t.Fatal(err)
		}
		s.queue.KillHolder("other")
		s.accept("api 2")
		s.writer.then(func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			for _, task := range tasks[:2] {
				if !task.Update.MaybePushed {
					t.Errorf("%s is not marked", task.Update.App)
				}
			}
			return commitAll(ctx, tasks)
		})
		s.Start()
		synctest.Wait()
		equal(t, "writes", [][]string{{"? api 1", "web 1", "api 2"}}, s.writer.asked())
		s.Stop(t.Context())
	})
}

// Two updates that the server refuses with the same words look like a branch that takes
// nothing. What comes meanwhile is tried soon, however long the lane has been refused.
func TestWhatComesWhileAllIsRefusedIsTriedSoon(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		rejected := gitops.Errorf(gitops.Rejected, "files of this path have owners")
		s.accept("api 1")
		for range 20 {
			s.writer.then(fails(rejected))
		}
		s.Start()
		for len(s.recorder.backOffs()) < 10 { // by then they are a minute
			elapse(time.Second)
		}
		s.writer.asked()
		s.writer.only(refuses("api"))
		s.accept("web 1")
		elapse(12 * time.Second)
		equal(t, "writes", [][]string{{"api 1", "web 1"}}, s.writer.asked())
		equal(t, "happened", []string{"web 1 committed", "api 1 refused"}, s.happened())
		s.Stop(t.Context())
	})
}
