package queuetest

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

func notFound(s *script) {
	s.accept(s.order("dev/api"))
	_, err := s.q.Delivery(s.t.Context(), gitops.DeliveryKey{Source: "github", ID: "nobody"})
	s.code("Delivery", err, gitops.NotFound)
	_, err = s.q.Delivery(s.t.Context(), gitops.DeliveryKey{Source: "eventbridge", ID: "delivery-1"})
	s.code("Delivery", err, gitops.NotFound)
	_, err = s.q.Update(s.t.Context(), "nobody")
	s.code("Update", err, gitops.NotFound)
}

// backlogs is about lanes that have had an update; check compares them.
func backlogs(s *script) {
	s.check()
	s.claim("idle", "one", time.Minute)
	first := s.accept(s.order("dev/api"))
	s.advance(time.Second)
	s.accept(s.order("dev/api", "prod/api"))
	l := s.claim("dev", "one", time.Minute)
	s.settle(l, committed(first.Updates[0]))
	s.accept(s.event(s.clock.now().Add(-time.Hour), "prod/api"))
	s.settle(s.claim("prod", "one", time.Minute), committed(s.model.pending("prod")[0]))
	s.crash()
}

// calls are all calls of a queue, for what is true of each.
func (s *script) calls(ctx context.Context) map[string]error {
	d := s.order("dev/api")
	l := queue.Lease{Environment: "dev", Holder: "one", Token: 1}
	errs := make(map[string]error)
	_, _, errs["Accept"] = s.q.Accept(ctx, d)
	_, errs["Claim"] = s.q.Claim(ctx, "dev", "one", time.Minute)
	_, errs["Extend"] = s.q.Extend(ctx, l, time.Minute)
	errs["Release"] = s.q.Release(ctx, l, true)
	_, errs["Pending"] = s.q.Pending(ctx, l, 1)
	errs["Settle"] = s.q.Settle(ctx, l, nil)
	errs["Defer"] = s.q.Defer(ctx, l, queue.Deferral{})
	_, errs["Delivery"] = s.q.Delivery(ctx, d.Key())
	_, errs["Update"] = s.q.Update(ctx, "nobody")
	_, errs["Backlogs"] = s.q.Backlogs(ctx)
	_, _, errs["Deliveries"] = s.q.Deliveries(ctx, queue.DeliveryFilter{}, queue.Page{Limit: 1})
	_, _, errs["Updates"] = s.q.Updates(ctx, queue.UpdateFilter{}, queue.Page{Limit: 1})
	_, errs["Changes"] = s.q.Changes(ctx, "", 1)
	_, errs["Latest"] = s.q.Latest(ctx)
	_, errs["Retry"] = s.q.Retry(ctx, "nobody", "ann")
	_, errs["Known"] = s.q.Known(ctx, "github", []string{"1"})
	_, errs["Mark"] = s.q.Mark(ctx, "name")
	errs["SetMark"] = s.q.SetMark(ctx, "name", "value")
	errs["Spend"] = s.q.Spend(ctx, "credential", d.Key(), s.clock.now())
	_, errs["Prune"] = s.q.Prune(ctx, s.clock.now(), 1)
	errs["Ping"] = s.q.Ping(ctx)
	return errs
}

func closed(s *script) {
	s.accept(s.order("dev/api"))
	wake := s.q.Wake("dev")
	for range 2 {
		if err := s.q.Close(); err != nil {
			s.t.Fatalf("Close: %v", err)
		}
		for call, err := range s.calls(s.t.Context()) {
			s.code(call+" after Close", err, gitops.Unavailable)
		}
	}
	if s.q.Changed() == nil || wake == nil || s.q.Wake("prod") == nil {
		s.t.Fatal("Wake or Changed returned no channel")
	}
	s.again()
}

func endedContext(s *script) {
	ctx, cancel := context.WithCancel(s.t.Context())
	cancel()
	s.accept(s.order("dev/api"))
	for call, err := range s.calls(ctx) {
		s.code(call+" with an ended context", err, gitops.Unavailable)
	}
	s.check()
}
