package lane_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
)

func TestStopWaitsForTheBatchAtHand(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		goOn := make(chan struct{})
		s.accept("api 1", "api 2")
		s.writer.then(func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			<-goOn
			return commitAll(ctx, tasks)
		})
		s.queue.fail("Report", fault{errStoreDown, false}) // and the store fails just then
		s.Start()
		synctest.Wait()
		stopped := make(chan struct{})
		go func() { s.Stop(context.Background()); close(stopped) }()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("stopped in the middle of a write")
		default:
		}
		close(goOn)
		<-stopped
		equal(t, "happened", []string{"api 1 committed", "api 2 committed"}, s.happened())
		equal(t, "released clean", true, s.releasedClean())
	})
}

func TestStopGivesTheBatchUpAtTheDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1")
		s.writer.then(untilGivenUp)
		s.Start()
		synctest.Wait()
		stopWithin(s, time.Second)
		equal(t, "happened", []string(nil), s.happened())
		if outage := s.backlog().Outage; outage == nil || !outage.RetryAt.IsZero() {
			t.Errorf("given up, with the outage %+v", outage)
		}
		equal(t, "released clean", false, s.releasedClean())
	})
}

// What landed while the lane was being given up is reported all the same.
func TestAWriteThatLandsAfterTheDeadlineIsReported(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1")
		s.writer.then(func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			<-ctx.Done()
			return commitAll(ctx, tasks)
		})
		s.Start()
		synctest.Wait()
		stopWithin(s, time.Second)
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		equal(t, "released clean", true, s.releasedClean())
	})
}

// What a failed write may have pushed need not be in the next batch: releasing the
// lease must not vouch for it.
func TestWhatWasSentAndIsNotInTheNextBatchIsNotVouchedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("web 1", "api 1")
		r := s.with(lane.Config{BatchSize: 1})
		draining := make(chan struct{})
		s.writer.then(
			func(_ context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
				return gitops.WriteResult{Transitions: []gitops.Transition{{Update: tasks[0].Update.ID, Action: gitops.ActionFail, Code: gitops.NotFound, Reason: "no such file"}}}, nil
			},
			fails(errGitDown),
			func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
				<-draining
				return commitAll(ctx, tasks)
			})
		r.Start()
		synctest.Wait()
		s.decide(gitops.ActionRetry, "web 1") // it goes before the other, in its old place
		elapse(2 * time.Second)
		go r.Stop(context.Background())
		synctest.Wait()
		close(draining)
		synctest.Wait()
		equal(t, "writes", [][]string{{"web 1"}, {"api 1"}, {"web 1"}}, s.writer.asked())
		equal(t, "released clean", false, s.releasedClean())
	})
}

func TestStopDoesNotWaitForABackOff(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1")
		s.writer.then(fails(&gitops.Error{Code: gitops.RateLimited, Message: "later", RetryAfter: time.Hour}))
		s.Start()
		synctest.Wait()
		before := time.Now()
		s.Stop(context.Background())
		equal(t, "stopped after", time.Duration(0), time.Since(before))
		equal(t, "writes", 1, len(s.writer.asked()))
		if s.logged("lane recovered") {
			t.Error("the log says that an outage is over that lasts")
		}
	})
}
