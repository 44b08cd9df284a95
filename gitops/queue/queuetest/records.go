package queuetest

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

func notFound(s *script) {
	s.accept(s.order("dev/api"))
	_, err := s.q.Delivery(s.t.Context(), gitops.DeliveryKey{Source: "github", ID: "missing"})
	s.code("Delivery", err, gitops.NotFound)
	_, err = s.q.Delivery(s.t.Context(), gitops.DeliveryKey{Source: "eventbridge", ID: "delivery-1"})
	s.code("Delivery", err, gitops.NotFound)
	for _, id := range []string{"missing", "", gitops.UpdateID(gitops.DeliveryKey{Source: "github", ID: "missing"}, "dev", "api")} {
		_, err = s.q.Update(s.t.Context(), id)
		s.code("Update", err, gitops.NotFound)
	}
	s.checkHead("dev", "missing")
	s.checkHead("nowhere", "api")
}

// backlogs is about lanes that have had an update; check compares them.
func backlogs(s *script) {
	s.check()
	s.claim("one", time.Minute, "idle")
	first := s.accept(s.order("dev/api"))
	s.advance(time.Second)
	s.accept(s.order("dev/api", "prod/api"))
	s.transit(s.one("one", "dev"), committed(first.Updates[0]))
	s.accept(s.event(s.clock.Now().Add(-time.Hour), "prod/api"))
	prod := s.one("one", "prod")
	for _, u := range s.model.open("prod") {
		s.block(prod, u.ID, s.refused(time.Minute))
	}
	s.advance(time.Hour)
	s.transit(prod, committed(*s.model.open("prod")[0]))
	s.crash()
}

// calls are all calls of a queue, for what is true of each.
func (s *script) calls(ctx context.Context) map[string]error {
	d := s.order("dev/api")
	l := queue.Lease{Name: "dev", Holder: "one", Token: 1}
	errs := make(map[string]error)
	_, _, errs["Accept"] = s.q.Accept(ctx, d)
	_, _, errs["WaitingDeliveries"] = s.q.WaitingDeliveries(ctx, queue.Page{Limit: 1})
	_, errs["WaitingCount"] = s.q.WaitingCount(ctx)
	_, _, errs["Settle"] = s.q.Settle(ctx, d)
	_, errs["ExistingIDs"] = s.q.ExistingIDs(ctx, "github", []string{"1"})
	_, errs["Decide"] = s.q.Decide(ctx, queue.Decision{Update: "missing", Action: gitops.ActionRetry, Actor: "ann"})
	_, errs["Claim"] = s.q.Claim(ctx, "one", []string{"dev"}, time.Minute)
	_, errs["Extend"] = s.q.Extend(ctx, []queue.Lease{l}, time.Minute)
	errs["Release"] = s.q.Release(ctx, l, true)
	_, errs["Ready"] = s.q.Ready(ctx, []string{"dev"})
	_, errs["Take"] = s.q.Take(ctx, l, queue.TakeOptions{Limit: 1})
	errs["Nudge"] = s.q.Nudge(ctx, []string{"dev"})
	_, errs["Report"] = s.q.Report(ctx, l, queue.Report{})
	_, errs["ReportRollouts"] = s.q.ReportRollouts(ctx, queue.Lease{}, nil)
	_, errs["OpenRollouts"] = s.q.OpenRollouts(ctx)
	_, errs["Delivery"] = s.q.Delivery(ctx, d.Key())
	_, errs["Update"] = s.q.Update(ctx, "missing")
	_, errs["Head"] = s.q.Head(ctx, "dev", "api")
	_, errs["NotRunning"] = s.q.NotRunning(ctx)
	_, errs["Heads"] = s.q.Heads(ctx, "dev", []string{"api"})
	_, errs["SeenImages"] = s.q.SeenImages(ctx, "registry.example/api", []string{"v1"})
	errs["RecordImages"] = s.q.RecordImages(ctx, []gitops.SeenImage{{Repository: "registry.example/api", Tag: "v1"}})
	_, errs["Backlogs"] = s.q.Backlogs(ctx)
	_, _, errs["Deliveries"] = s.q.Deliveries(ctx, queue.DeliveryFilter{}, queue.Page{Limit: 1})
	_, _, errs["Updates"] = s.q.Updates(ctx, queue.UpdateFilter{}, queue.Page{Limit: 1})
	_, errs["Changes"] = s.q.Changes(ctx, "", 1)
	_, errs["Latest"] = s.q.Latest(ctx)
	_, errs["Checkpoint"] = s.q.Checkpoint(ctx, "name")
	_, errs["ProofKeys"] = s.q.ProofKeys(ctx)
	_, errs["BeginParsing"] = s.q.BeginParsing(ctx, "one", []gitops.ParsedObject{{Object: "a"}}, 1)
	errs["EndParsing"] = s.q.EndParsing(ctx, "one", []string{"a"})
	_, errs["HoldsInForce"] = s.q.HoldsInForce(ctx)
	_, errs["HoldsRevision"] = s.q.HoldsRevision(ctx)
	_, errs["Place"] = s.q.Place(ctx, queue.Placement{Holds: []gitops.Hold{stopOf("dev")}})
	_, errs["Lift"] = s.q.Lift(ctx, queue.Lifting{IDs: []string{"h1"}})
	errs["Rejudge"] = s.q.Rejudge(ctx, gitops.BlockFreeze, nil)
	_, _, errs["HoldsListed"] = s.q.HoldsListed(ctx, queue.HoldFilter{}, queue.Page{Limit: 1})
	_, errs["Suspects"] = s.q.Suspects(ctx)
	_, errs["ClearSuspect"] = s.q.ClearSuspect(ctx, "a", gitops.AuditEntry{})
	errs["SetCheckpoint"] = s.q.SetCheckpoint(ctx, "name", "value")
	errs["UseOnce"] = s.q.UseOnce(ctx, "credential", d.Key(), s.clock.Now())
	_, errs["Prune"] = s.q.Prune(ctx, s.clock.Now(), 1)
	errs["AppendAudit"] = s.q.AppendAudit(ctx, []gitops.AuditEntry{{Act: gitops.ActSecret}})
	_, _, errs["AuditEntries"] = s.q.AuditEntries(ctx, queue.AuditFilter{}, queue.Page{Limit: 1})
	_, errs["Usage"] = s.q.Usage(ctx)
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
