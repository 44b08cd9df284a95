package lane_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Away implements lane.Writer.
func (w *fakeWriter) Away(string) ([]string, *queue.Outage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away == nil {
		return nil, nil
	}
	return w.away()
}

// payIsAway is the manifest repository of pay that is away until a time, tried again
// every minute.
func (w *fakeWriter) payIsAway(until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	began := time.Now()
	w.away = func() ([]string, *queue.Outage) {
		if !time.Now().Before(until) {
			return nil, nil
		}
		retry := began.Add((time.Since(began)/time.Minute + 1) * time.Minute)
		return []string{"pay"}, &queue.Outage{Repository: "pay", Code: gitops.Unavailable, Reason: "no answer", RetryAt: retry}
	}
}

// without commits everything but the updates of pay, of which nothing is known.
func (w *fakeWriter) without(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
	w.payIsAway(time.Now().Add(10 * time.Second))
	ofPay := func(t gitops.WriteTask) bool { return t.Update.App == "pay" }
	r, err := commitAll(ctx, slices.DeleteFunc(slices.Clone(tasks), ofPay))
	for _, t := range tasks {
		if ofPay(t) {
			r.Unknown = append(r.Unknown, t.Update.ID)
		}
	}
	return r, err
}

// A manifest repository that is away holds up the updates of its apps alone, and they
// keep their order.
func TestARepositoryThatIsAwayHoldsUpNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("pay 1", "api 1", "pay 2")
		s.writer.then(s.writer.without)
		s.Start()
		elapse(time.Second)
		s.accept("pay 3", "api 2")
		elapse(time.Second)
		equal(t, "what others get", []string{"api 1 committed", "api 2 committed"}, s.happened())
		if b := s.backlog(); b.Outage == nil || b.Outage.Repository != "pay" || b.Outage.Reason != "no answer" || b.Pending != 3 {
			t.Errorf("the backlog is %+v", b)
		}
		equal(t, "writes", [][]string{{"pay 1", "api 1", "pay 2"}, {"api 2"}}, s.writer.asked())
		elapse(10 * time.Second)
		equal(t, "writes when it is back", [][]string{{"pay 1", "pay 2", "pay 3"}}, s.writer.asked())
		equal(t, "what it gets", []string{"pay 1 committed", "pay 2 committed", "pay 3 committed"}, s.happened())
		if b := s.backlog(); b.Outage != nil {
			t.Errorf("the outage is not over: %+v", b.Outage)
		}
		s.Stop(t.Context())
		if !s.releasedClean() {
			t.Error("nothing is in doubt any more, and the lease says otherwise")
		}
	})
}

// What may have been pushed to a manifest repository that is away is in doubt for the next
// holder, too.
func TestAStopWhileARepositoryIsAwayLeavesDoubt(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("pay 1")
		s.writer.then(s.writer.without)
		s.Start()
		elapse(time.Second)
		s.Stop(t.Context())
		if s.releasedClean() {
			t.Error("pay 1 may be on the branch, and the lease says that nothing is in doubt")
		}
	})
}

// While a manifest repository is away, what was never sent to it can be cancelled. What may
// be there is looked for first, when it is back.
func TestCancelWhileARepositoryIsAway(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("pay 1")
		s.writer.then(s.writer.without, find)
		s.Start()
		elapse(time.Second)
		s.accept("pay 2")
		s.decide(gitops.ActionCancel, "pay 1")
		s.decide(gitops.ActionCancel, "pay 2")
		elapse(2 * time.Second)
		equal(t, "meanwhile", []string{"pay 2 cancelled"}, s.happened())
		equal(t, "writes", [][]string{{"pay 1"}}, s.writer.asked())
		elapse(10 * time.Second)
		equal(t, "then", []string{"pay 1 committed"}, s.happened())
		equal(t, "looks", [][]string{{"? pay 1"}}, s.writer.asked())
		s.Stop(t.Context())
	})
}

// Unknown results in a row do not keep the lane busy.
func TestUnknownResultsAreNotAskedForAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("pay 1")
		for range 5 {
			s.writer.then(func(_ context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
				return gitops.WriteResult{Unknown: []string{tasks[0].Update.ID}}, nil
			})
		}
		s.Start()
		elapse(2500 * time.Millisecond)
		if calls := len(s.writer.asked()); calls > 4 { // the first may come with a hint
			t.Errorf("%d writes in 2.5 s, want one each second or so", calls)
		}
		s.Stop(t.Context())
	})
}

// An outage of one manifest repository writes to the store when it is tried again, however
// many updates wait.
func TestARepositoryThatIsAwayCostsNoWriteForEachUpdate(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.writer.payIsAway(time.Now().Add(time.Hour))
		for n := range 500 {
			s.accept(fmt.Sprint("pay ", n))
		}
		s.Start()
		elapse(time.Hour - time.Second)
		if writes := s.queue.count("Report"); writes > 62 {
			t.Errorf("an hour costs %d writes, want one for each retry", writes)
		}
		elapse(5 * time.Second)
		if b := s.backlog(); b.Pending != 0 || b.Outage != nil {
			t.Errorf("when it is back, the backlog is %+v", b)
		}
		s.Stop(t.Context())
	})
}

// An update of an app that left the configuration may be in a manifest repository that is
// away although no app of the environment is: it waits alone, and the others go on.
func TestAnUpdateThatNobodyKnowsOfHoldsUpNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		var gone, answers atomic.Bool
		r := s.with(lane.Config{Configured: func(_, app string) bool { return app != "old" || !gone.Load() }})
		unknown := func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			ofOld := func(t gitops.WriteTask) bool { return t.Update.App == "old" && !answers.Load() }
			r, err := commitAll(ctx, slices.DeleteFunc(slices.Clone(tasks), ofOld))
			for _, t := range tasks {
				if ofOld(t) {
					r.Unknown = append(r.Unknown, t.Update.ID)
				}
			}
			return r, err
		}
		for range 1000 {
			s.writer.then(unknown)
		}
		s.accept("old 1")
		r.Start()
		synctest.Wait()
		r.Configure(environments("dev"), func() { gone.Store(true) })
		for n := range 5 {
			s.accept(fmt.Sprint("api ", n))
			elapse(2 * time.Second)
			equal(t, "what others get", []string{fmt.Sprintf("api %d committed", n)}, s.happened())
		}
		if calls := len(s.writer.asked()); calls > 20 {
			t.Errorf("%d calls of the writer in 10 s, want a look each second or so", calls)
		}
		answers.Store(true)
		elapse(3 * time.Second)
		equal(t, "when all can say that it is not there", []string{"old 1 cancelled"}, s.happened())
		r.Stop(t.Context())
	})
}

// A forge that is away is the outage of a lane whose updates wait for their pull requests, and
// is told once: nothing is reported of each update. It is over when the forge is back.
func TestAForgeThatIsAwayIsAnOutage(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1")
		p.opensNothing()
		s.accept("web 1", "api 2")
		elapse(time.Second)
		reports := s.queue.count("Report")
		p.goesAway("the forge is down")
		elapse(time.Minute)
		if b := s.backlog(); b.Outage == nil || b.Outage.Repository != "shop" || b.Outage.Code != gitops.Unavailable || b.Outage.Reason != "the forge is down" || b.Pending != 2 {
			t.Errorf("the backlog is %+v", b)
		}
		equal(t, "happened", []string(nil), s.happened())
		if n := s.queue.count("Report") - reports; n != 1 {
			t.Errorf("%d reports in a minute", n)
		}
		p.goesAway("")
		elapse(time.Second)
		if b := s.backlog(); b.Outage != nil {
			t.Errorf("the outage is not over: %+v", b.Outage)
		}
		s.Stop(t.Context())
	})
}
