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

// An image that is there is written with what the registry said of it.
func TestWhatWasFoundGoesToTheWriter(t *testing.T) {
	inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
		s.accept("api 1")
		s.writer.then(func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			equal(t, "found", found("1"), tasks[0].Update.Found)
			return commitAll(ctx, tasks)
		})
		s.Start()
		synctest.Wait()
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		equal(t, "kept", found("1"), s.update("dev", "api 1").Found)
		equal(t, "inspected", []string{"api 1"}, images.inspected())
		s.Stop(t.Context())
	})
}

// What is being looked at is left alone with what is younger of its app, and goes on as soon as
// more is known. Older ones and other apps do not wait, whenever they come; and the lane
// rests meanwhile.
func TestWhatIsLookedAtHoldsUpItsAppAlone(t *testing.T) {
	inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
		images.is(looking, "api 2")
		s.accept("api 1", "api 2", "api 3", "web 1")
		s.Start()
		synctest.Wait()
		equal(t, "happened", []string{"api 1 committed", "web 1 committed"}, s.happened())
		takes := s.queue.count("Take")
		elapse(8 * time.Second)
		if n := s.queue.count("Take") - takes; n > 10 {
			t.Errorf("it looked %d times at the queue in 8 s", n)
		}
		s.accept("web 2")
		synctest.Wait()
		equal(t, "happened meanwhile", []string{"web 2 committed"}, s.happened())
		images.there("api 2")
		synctest.Wait()
		equal(t, "happened then", []string{"api 2 committed", "api 3 committed"}, s.happened())
		s.Stop(t.Context())
		equal(t, "released clean", true, s.releasedClean())
	})
}

// What becomes known while the lane writes, or while others of its updates are another
// replica's, is not missed.
func TestWhatBecomesKnownMeanwhileIsNotMissed(t *testing.T) {
	inspecting(t, lane.Config{
		Rollout: time.Hour, Configured: func(_, app string) bool { return app != "theirs" },
	}, func(t *testing.T, s *site, images *fakeImages) {
		images.is(looking, "api 1", "job 1")
		s.accept("theirs 1", "api 1", "job 1", "web 1")
		s.writer.then(func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			images.there("api 1")
			return commitAll(ctx, tasks)
		})
		s.Start()
		synctest.Wait()
		equal(t, "happened", []string{"web 1 committed", "api 1 committed"}, s.happened())
		elapse(300 * time.Millisecond)
		images.there("job 1")
		synctest.Wait()
		equal(t, "happened at once", []string{"job 1 committed"}, s.happened())
		s.Stop(t.Context())
	})
}

// However many images are looked at, what is behind them in the queue is written.
func TestManyThatAreLookedAtHideNothing(t *testing.T) {
	inspecting(t, lane.Config{BatchSize: 50}, func(t *testing.T, s *site, images *fakeImages) {
		apps := numbered("api", 170)
		images.is(looking, apps...)
		s.accept(apps...)
		s.accept("web 1")
		s.Start()
		synctest.Wait()
		equal(t, "happened", []string{"web 1 committed"}, s.happened())
		if n := s.queue.count("Take"); n > 8 {
			t.Errorf("it looked %d times at the queue", n)
		}
		s.writer.asked()
		images.there(apps...)
		synctest.Wait()
		var sizes []int
		for _, batch := range s.writer.asked() {
			writes := 0
			for _, task := range batch {
				if task[0] != '?' {
					writes++
				}
			}
			sizes = append(sizes, writes)
		}
		equal(t, "batches", []int{50, 50, 50, 20}, sizes)
		s.Stop(t.Context())
	})
}

// An image that is not there blocks its update alone, which costs nothing until it was found,
// and counts as late from then on.
func TestWhatWaitsForItsImage(t *testing.T) {
	for name, until := range map[string]time.Duration{"until a deadline": time.Hour, "for as long as it takes": 0} {
		t.Run(name, func(t *testing.T) {
			inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
				var deadline time.Time
				if until > 0 {
					deadline = time.Now().Add(until).UTC()
				}
				images.is(waiting(deadline), "api 1")
				s.accept("api 1", "web 1")
				s.Start()
				synctest.Wait()
				equal(t, "happened", []string{"api 1 image", "web 1 committed"}, s.happened())
				block := s.update("dev", "api 1").BlockedBy[0]
				equal(t, "until", deadline, block.Until)
				if !s.logged("update waits for its image") || s.logged("update blocked") {
					t.Error("it is not logged as waiting for its image")
				}
				takes := s.queue.count("Take")
				elapse(14 * time.Minute)
				equal(t, "looks at the queue meanwhile", takes, s.queue.count("Take"))
				// Every quarter of an hour it is asked about again, and then waits as before.
				elapse(36 * time.Minute)
				if more := s.queue.count("Take") - takes; more < 3*2 || more > 3*3 { // a hint may come twice
					t.Errorf("it looked at the queue %d times in 50 minutes", more)
				}
				equal(t, "happened meanwhile", []string{"api 1 image", "api 1 image", "api 1 image"}, s.happened())
				images.there("api 1")
				synctest.Wait()
				equal(t, "happened at once", []string{"api 1 committed"}, s.happened())
				if s.recorder.slowest > 60 {
					t.Errorf("it counts as late by %v s", s.recorder.slowest)
				}
				s.Stop(t.Context())
			})
		})
	}
}

// What is not there at the deadline is asked about once more, and fails.
func TestTheDeadlineIsReached(t *testing.T) {
	inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
		images.is(waiting(time.Now().Add(5*time.Minute)), "api 1")
		s.accept("api 1")
		s.Start()
		elapse(4 * time.Minute)
		images.hideFree = true
		images.is(failing(), "api 1")
		equal(t, "happened", []string{"api 1 image"}, s.happened())
		elapse(time.Minute + 2*time.Second)
		equal(t, "happened after the deadline", []string{"api 1 failed"}, s.happened())
		u := s.update("dev", "api 1")
		equal(t, "why", "rejected: the image is for another platform", string(u.Code)+": "+u.Reason)
		equal(t, "writes", [][]string(nil), s.writer.asked())
		images.there("api 1")
		s.decide(gitops.ActionRetry, "api 1")
		synctest.Wait()
		equal(t, "happened after a retry", []string{"api 1 pending", "api 1 committed"}, s.happened())
		s.Stop(t.Context())
	})
}

// What holds, or cancels, or is only to be looked for is not asked about.
func TestOnlyWhatIsToBeWrittenIsInspected(t *testing.T) {
	inspecting(t, lane.Config{Environments: []lane.Environment{{Name: "dev", Coalesce: true}}}, func(t *testing.T, s *site, images *fakeImages) {
		s.accept("api 1", "api 2", "web 1", "job 1")
		s.holds.hold("web", gitops.BlockStop, time.Time{})
		s.dies()
		s.decide(gitops.ActionCancel, "job 1")
		s.Start()
		elapse(2 * time.Second)
		equal(t, "inspected", []string{"api 2"}, images.inspected()[:1])
		equal(t, "happened", []string{"job 1 cancelled", "api 2 committed", "api 1 superseded", "web 1 stop"}, s.happened())
		s.Stop(t.Context())
	})
}

// A failure that was found by a configuration that has changed since does not count: the
// update is asked about again.
func TestAFailureOfBeforeAReloadIsNotReported(t *testing.T) {
	inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
		images.is(failing(), "api 1")
		images.asking = func(gitops.Update) {
			images.asking = nil
			s.Configure([]lane.Environment{{Name: "dev"}}, func() { images.there("api 1") })
		}
		images.known["api 1"] = failing()
		s.accept("api 1")
		s.Start()
		synctest.Wait()
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		s.Stop(t.Context())
	})
}

// While the git server is away, it is said what waits for its image and what fails by it.
func TestWhatWaitsForItsImageDuringAnOutage(t *testing.T) {
	inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
		images.is(looking, "api 1", "job 1")
		s.accept("web 1", "api 1", "job 1")
		s.writer.then(fails(&gitops.Error{Code: gitops.RateLimited, Message: "later", RetryAfter: time.Minute}))
		s.Start()
		synctest.Wait()
		images.is(waiting(time.Time{}), "api 1")
		images.is(failing(), "job 1")
		elapse(2 * time.Second)
		equal(t, "happened during the outage", []string{"job 1 failed", "api 1 image"}, s.happened())
		if s.backlog().Outage == nil {
			t.Error("the outage is over")
		}
		elapse(2 * time.Minute)
		equal(t, "happened after it", []string{"web 1 committed"}, s.happened())
		s.Stop(t.Context())
	})
}

// An outage is not over while all that is left is being looked at, and may meet it.
func TestAnOutageLastsWhileImagesAreLookedAt(t *testing.T) {
	inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
		s.accept("api 1")
		s.writer.then(func(context.Context, []gitops.WriteTask) (gitops.WriteResult, error) {
			images.is(looking, "api 1") // what was known is too old by the time of the next try
			return gitops.WriteResult{}, errGitDown
		})
		s.Start()
		elapse(5 * time.Second)
		if s.backlog().Outage == nil {
			t.Error("the outage is over")
		}
		images.there("api 1")
		synctest.Wait()
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		equal(t, "outage", (*queue.Outage)(nil), s.backlog().Outage)
		s.Stop(t.Context())
	})
}

// A store that lost its last reports has an update wait whose image was found long ago, and
// the room does not tell that again: it is looked at again within a quarter of an hour.
func TestWhatWaitsAgainAfterAFailover(t *testing.T) {
	inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
		images.hideFree = true
		s.startWaiting(images)
		images.there("api 1")
		elapse(14 * time.Minute)
		equal(t, "happened so far", []string{"api 1 image"}, s.happened())
		elapse(2 * time.Minute)
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		s.Stop(t.Context())
	})
}
