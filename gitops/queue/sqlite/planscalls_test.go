package sqlite

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// askEverything reads every kind of list, and follows the changes.
func (s *Store) askEverything(ctx context.Context) error {
	page := queue.Page{Limit: 10}
	var errs []error
	keep := func(err error) { errs = append(errs, err) }
	scope := &queue.Scope{Principal: "token:ops", Areas: []queue.Area{{Environment: "dev", App: "api"}, {App: "web"}, {Environment: "prod"}}}
	for _, f := range []queue.DeliveryFilter{{}, {Outcome: gitops.OutcomeAccepted}, {Within: scope}} {
		_, _, err := s.Deliveries(ctx, f, page)
		keep(err)
	}
	for _, f := range []queue.AuditFilter{{}, {Environment: "dev"}, {App: "api"}, {Principal: "token:ops"}, {Until: time.Now()}, {Within: scope}} {
		_, _, err := s.AuditEntries(ctx, f, page)
		keep(err)
	}
	for _, f := range []queue.UpdateFilter{{}, {Environment: "dev"}, {App: "api"}, {Within: scope}} {
		_, _, err := s.Updates(ctx, f, page)
		keep(err)
	}
	_, err := s.Changes(ctx, "", 10)
	keep(err)
	_, err = s.Latest(ctx)
	keep(err)
	_, err = s.NotRunning(ctx)
	keep(err)
	_, err = s.HoldsInForce(ctx)
	keep(err)
	for _, ended := range []bool{false, true} {
		_, _, err = s.HoldsListed(ctx, queue.HoldFilter{Ended: ended}, page)
		keep(err)
	}
	_, err = s.ExistingIDs(ctx, "github", []string{"1"})
	keep(err)
	_, _, err = s.WaitingDeliveries(ctx, page)
	keep(err)
	_, err = s.WaitingCount(ctx)
	keep(err)
	_, err = s.prunable(ctx, time.Now(), 1)
	keep(err)
	_, err = s.unaccepted(ctx, time.Now(), 1)
	keep(err)
	return errors.Join(errs...)
}

// lookIntoLanes does what a lane's holder and a person read.
func (s *Store) lookIntoLanes(ctx context.Context, l queue.Lease, n int) error {
	var errs []error
	keep := func(err error) { errs = append(errs, err) }
	for _, newestOnly := range []bool{false, true} {
		_, err := s.Take(ctx, l, queue.TakeOptions{Limit: 10, NewestOnly: newestOnly, NewestHeld: true, Unresolved: []string{updateOf(n)}})
		keep(err)
	}
	_, err := s.Ready(ctx, []string{"dev", "prod"})
	keep(err)
	_, err = s.Backlogs(ctx)
	keep(err)
	_, err = s.Failures(ctx)
	keep(err)
	_, err = s.Overtaken(ctx, []string{updateOf(n)})
	keep(err)
	_, err = s.Head(ctx, "dev", "api")
	keep(err)
	_, err = s.Update(ctx, updateOf(n))
	keep(err)
	_, err = s.Delivery(ctx, numbered(n).Key())
	keep(err)
	return errors.Join(errs...)
}

// acceptTwice sends a delivery, and its body under another id.
func (s *Store) acceptTwice(ctx context.Context, n int) error {
	d := numbered(n)
	d.BodyDigest = []byte(d.ID)
	_, _, err := s.Accept(ctx, d)
	d.ID += " again"
	_, duplicate, again := s.Accept(ctx, d)
	if again == nil && !duplicate {
		again = fmt.Errorf("the body of delivery %d counted twice", n)
	}
	return errors.Join(err, again)
}

// placeAndLift places a hold with an order, twice, blocks an update by it, and lifts it.
func (s *Store) placeAndLift(ctx context.Context, l queue.Lease, n int) error {
	order := numbered(1000 + n)
	hold := gitops.Hold{Kind: gitops.HoldBad, Environments: []string{"dev"}, Apps: []string{"api"}, Tag: "v9", Principal: "token:ops", Actor: "token:ops", Reason: "no"}
	stop := gitops.Hold{Kind: gitops.HoldStop, Principal: "token:ops", Actor: "token:ops"}
	p := queue.Placement{Holds: []gitops.Hold{hold, stop}, Order: &order}
	placed, err := s.Place(ctx, p)
	_, again := s.Place(ctx, p)
	blocked := queue.Blocked{Update: updateOf(1000 + n), BlockedBy: []gitops.Block{{Kind: gitops.BlockStop, Reason: "stopped"}}}
	_, reported := s.Report(ctx, l, queue.Report{Blocks: []queue.Blocked{blocked}})
	errs := []error{err, again, reported}
	for _, dry := range []bool{true, false} {
		for _, h := range placed.Holds {
			_, err := s.Lift(ctx, queue.Lifting{IDs: []string{h.ID}, DryRun: dry})
			errs = append(errs, err)
		}
	}
	for range readers {
		errs = append(errs, s.lookIntoLanes(ctx, l, 1000+n))
	}
	return errors.Join(errs...)
}

// proposeAndClose has a person close the proposal of a tag, which is asked for again.
func (s *Store) proposeAndClose(ctx context.Context, l queue.Lease, n int) error {
	known := queue.Proposed{Update: updateOf(2000 + n), Proposal: gitops.Proposal{Number: n, OpenedAt: time.Now()}}
	var errs []error
	for _, r := range []queue.Report{
		{Transitions: []gitops.Transition{{Update: known.Update, Action: gitops.ActionPropose}}, Proposals: []queue.Proposed{known}},
		{Transitions: []gitops.Transition{{Update: known.Update, Action: gitops.ActionClose}}},
	} {
		_, _, err := s.Accept(ctx, numbered(2000+n))
		_, reported := s.Report(ctx, l, r)
		errs = append(errs, err, reported)
	}
	again := numbered(3000 + n)
	_, _, err := s.Accept(ctx, again)
	for range readers {
		errs = append(errs, s.lookIntoLanes(ctx, l, 2000+n))
	}
	return errors.Join(append(errs, err)...)
}

// seeImages records what a push and a person tell of an image, and asks for it.
func (s *Store) seeImages(ctx context.Context, n int) error {
	pushed := numbered(200 + n)
	pushed.Principal, pushed.Updates[0].Digest = "push:eventbridge/1", "sha256:a"
	_, _, err := s.Accept(ctx, pushed)
	errs := []error{err, s.RecordImages(ctx, []gitops.SeenImage{{Tag: "v1", Digest: "sha256:b", Named: true}}), s.Rejudge(ctx, gitops.BlockImage, nil)}
	for range readers {
		_, err := s.SeenImages(ctx, "registry.example/api", []string{"v1", "v2"})
		_, read := s.Heads(ctx, "dev", []string{"api", "web"})
		errs = append(errs, err, read)
	}
	return errors.Join(errs...)
}

// useEverything has the writer and each reader compile every statement.
func useEverything(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	keep := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 {
		first := 3 * i
		for n := range 3 {
			keep(s.acceptTwice(ctx, first+n))
		}
		pushed := numbered(100 + i)
		pushed.Updates[0].App, pushed.Updates[0].Tag, pushed.Updates[0].OnlyUp = "web", "1.2.3", true
		_, _, err := s.Accept(ctx, pushed)
		keep(err)
		l := s.claim(t, "one")
		refused := queue.Blocked{Update: updateOf(first + 1), BlockedBy: []gitops.Block{{Kind: gitops.BlockRefused, Reason: "protected"}}}
		for range 2 {
			_, err := s.Report(ctx, l, queue.Report{Blocks: []queue.Blocked{refused}, Outage: &queue.Outage{Reason: "away"}})
			keep(err)
		}
		for range readers {
			keep(s.lookIntoLanes(ctx, l, first+1))
			keep(s.askEverything(ctx))
		}
		keep(s.placeAndLift(ctx, l, i))
		keep(s.seeImages(ctx, i))
		if i == 0 {
			for _, a := range []gitops.Action{gitops.ActionCancel, gitops.ActionRetry} {
				_, err := s.Decide(ctx, queue.Decision{Update: updateOf(first + 1), Action: a})
				keep(err)
			}
		}
		_, err = s.Report(ctx, l, queue.Report{Transitions: []gitops.Transition{{Update: updateOf(first), Action: gitops.ActionFail}, {Update: updateOf(first + 2), Action: gitops.ActionCommit}}})
		keep(err)
		keep(s.UseOnce(ctx, "token", numbered(1).Key(), time.Now()))
		keep(s.SetCheckpoint(ctx, "sweep", "1"))
		_, err = s.Decide(ctx, queue.Decision{Update: updateOf(first), Action: gitops.ActionRetry})
		if gitops.CodeOf(err) != gitops.Conflict {
			t.Fatalf("Retry of an older one: %v", err)
		}
		keep(s.proposeAndClose(ctx, l, i))
		keep(s.rollOut(ctx, l, first+2))
		keep(s.Release(ctx, l, i == 1))
		_, err = s.Prune(ctx, time.Now().Add(time.Hour), 10)
		keep(err)
		keep(s.acceptTwice(ctx, first))
	}
}
