package lane_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
)

func TestWritesInOrderAndReports(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1", "web 1", "api 2")
		s.Start()
		synctest.Wait()
		equal(t, "happened", []string{"api 1 committed", "web 1 committed", "api 2 committed"}, s.happened())
		s.accept("api 3")
		synctest.Wait() // woken, not polled: the clock has not moved
		equal(t, "writes", [][]string{{"api 1", "web 1", "api 2"}, {"api 3"}}, s.writer.asked())
		equal(t, "counted", "map[committed:4]", s.recorder.counts())
		s.Stop(t.Context())
		equal(t, "released clean", true, s.releasedClean())
	})
}

// What a hint did not tell is found within a second or so.
func TestAMissedHintIsMadeUpFor(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.queue.deaf = true
		s.Start()
		elapse(500 * time.Millisecond)
		s.accept("api 1")
		elapse(time.Second)
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		s.Stop(t.Context())
	})
}

func TestBatchesAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("a 1", "b 1", "c 1", "d 1", "e 1")
		r := s.with(lane.Config{BatchSize: 2})
		r.Start()
		synctest.Wait()
		equal(t, "writes", [][]string{{"a 1", "b 1"}, {"c 1", "d 1"}, {"e 1"}}, s.writer.asked())
		r.Stop(t.Context())
	})
}

func TestAnUpdatesOwnFaultHoldsUpNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1", "web 1", "api 2")
		s.writer.then(func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			r, err := commitAll(ctx, tasks)
			r.Transitions[1] = gitops.Transition{Update: tasks[1].Update.ID, Action: gitops.ActionFail, Code: gitops.NotFound, Reason: "no such file"}
			return r, err
		})
		s.Start()
		synctest.Wait()
		equal(t, "happened", []string{"api 1 committed", "web 1 failed", "api 2 committed"}, s.happened())
		for _, message := range []string{"update committed", "update failed"} {
			if !s.logged(message) {
				t.Errorf("nothing is logged as %q", message)
			}
		}
		s.Stop(t.Context())
	})
}

// An outage leaves everything pending, is a row of the lane and not a step of each
// update, and ends with the next write.
func TestAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1", "web 1")
		for range 12 {
			s.writer.then(fails(errGitDown))
		}
		s.Start()
		synctest.Wait()
		outage := s.backlog().Outage
		if outage == nil || outage.Code != gitops.Unavailable || outage.Reason != errGitDown.Message || !outage.RetryAt.After(time.Now()) {
			t.Errorf("the outage is %+v", outage)
		}
		elapse(15 * time.Minute)
		equal(t, "happened", []string{"api 1 committed", "web 1 committed"}, s.happened())
		equal(t, "steps", 1, len(s.update("dev", "api 1").Steps))
		if b := s.backlog(); b.Outage != nil {
			t.Errorf("the outage is not over: %+v", b)
		}
		waits := s.recorder.backOffs()
		equal(t, "waits, and the end of them", 13, len(waits))
		equal(t, "the end of them", 0, waits[12])
		for _, cause := range s.recorder.causes {
			equal(t, "the cause", lane.CauseRepository, cause)
		}
		for i, wait := range waits[:12] {
			longest := min(time.Second<<i, time.Minute)
			if wait < longest/2 || wait > longest {
				t.Errorf("wait %d is %s", i, wait)
			}
		}
		s.Stop(t.Context())
	})
}

// An outage that nothing waits for any more is over, also one of an earlier holder.
func TestAnIdleLaneHasNoOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1")
		s.writer.then(fails(errGitDown))
		s.Start()
		synctest.Wait()
		s.Stop(t.Context())
		if s.backlog().Outage == nil {
			t.Fatal("there is no outage")
		}
		s.decide(gitops.ActionCancel, "api 1")
		next := s.with(lane.Config{})
		next.Start()
		synctest.Wait()
		equal(t, "happened", []string{"api 1 cancelled"}, s.happened())
		if b := s.backlog(); b.Outage != nil {
			t.Errorf("the outage is not over: %+v", b.Outage)
		}
		next.Stop(t.Context())
	})
}

func TestRetryAfterIsObeyed(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1")
		s.writer.then(fails(&gitops.Error{Code: gitops.RateLimited, Message: "slow down", RetryAfter: 90 * time.Second}))
		s.Start()
		elapse(89 * time.Second)
		equal(t, "writes before", 1, len(s.writer.asked()))
		elapse(2 * time.Second)
		equal(t, "writes after", 1, len(s.writer.asked()))
		s.Stop(t.Context())
	})
}

func TestPartOfABatchIsReportedTheRestWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1", "web 1")
		s.writer.then(func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			r, _ := commitAll(ctx, tasks[:1])
			return r, errGitDown
		})
		s.Start()
		synctest.Wait()
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		elapse(2 * time.Second)
		equal(t, "writes", [][]string{{"api 1", "web 1"}, {"web 1"}}, s.writer.asked())
		s.Stop(t.Context())
	})
}

// A writer that takes for ever is given up, and the batch tried again.
func TestAWriteIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1")
		s.writer.then(untilGivenUp)
		s.Start()
		elapse(5*time.Minute + 2*time.Second)
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		s.Stop(t.Context())
	})
}

// What is on the branch must not be written again because the store was away.
func TestTheReportIsTriedAgainNotTheWrite(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied %t", applied), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				s.accept("api 1")
				s.queue.fail("Report", fault{errStoreDown, applied}, fault{errStoreDown, applied}, fault{errStoreDown, false})
				s.Start()
				elapse(10 * time.Second)
				equal(t, "happened", []string{"api 1 committed"}, s.happened())
				equal(t, "writes", [][]string{{"api 1"}}, s.writer.asked())
				equal(t, "counted once", "map[committed:1]", s.recorder.counts())
				s.Stop(t.Context())
			})
		})
	}
}

// Of each app only the newest is written, and what may be on the branch is looked
// for, because it may be newer than the record says.
func TestCoalesce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1", "web 1", "api 2")
		r := s.with(lane.Config{Environments: []lane.Environment{{Name: "dev", Coalesce: true}}})
		s.writer.then(fails(errGitDown))
		r.Start()
		synctest.Wait()
		equal(t, "nothing is superseded before anything is written", []string(nil), s.happened())
		s.accept("api 3")
		elapse(2 * time.Second)
		equal(t, "writes", [][]string{{"web 1", "api 2"}, {"web 1", "? api 2", "api 3"}}, s.writer.asked())
		equal(t, "happened", []string{"web 1 committed", "api 3 committed", "api 1 superseded", "api 2 superseded"}, s.happened())
		equal(t, "counted", "map[committed:2 superseded:2]", s.recorder.counts())
		if !s.logged("update superseded") {
			t.Error("nothing is logged of what was superseded")
		}
		r.Stop(t.Context())
	})
}

// A newer update that cannot be written does not take the older one with it.
func TestCoalesceDropsNothingForAnUpdateThatFails(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1", "api 2")
		r := s.with(lane.Config{Environments: []lane.Environment{{Name: "dev", Coalesce: true}}})
		s.writer.then(func(_ context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			return gitops.WriteResult{Transitions: []gitops.Transition{{Update: tasks[0].Update.ID, Action: gitops.ActionFail, Code: gitops.Invalid, Reason: "no digest"}}}, nil
		})
		r.Start()
		synctest.Wait()
		equal(t, "happened", []string{"api 2 failed", "api 1 committed"}, s.happened())
		r.Stop(t.Context())
	})
}
