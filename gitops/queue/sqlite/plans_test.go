package sqlite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// TestPlans holds every statement to its indexes: none may look through a table
// that grows with time. An export is left out, which reads everything.
func TestPlans(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), nil)
	defer s.Close()
	useEverything(t, s)
	checked := 0
	check := func(_ context.Context, c *connection) error {
		for _, text := range slices.Sorted(maps.Keys(c.compiled)) {
			if strings.HasPrefix(text, "--") || !strings.Contains(text, " updates") && !strings.Contains(text, " deliveries") && !strings.Contains(text, " steps") &&
				!strings.Contains(text, " audit") && !strings.Contains(text, " orders") && !strings.Contains(text, " memories") &&
				!strings.Contains(text, " holds ") && !strings.Contains(text, " hold_") && !strings.Contains(text, " images") {
				continue
			}
			checked++
			err := c.query(t.Context(), `EXPLAIN QUERY PLAN `+text, make([]any, strings.Count(text, "?")), func(r row) error {
				step := r.text(3)
				small := slices.Contains(smallScans, step)
				if strings.HasPrefix(step, "SCAN") && !small || strings.Contains(step, "TEMP B-TREE") {
					t.Errorf("%s\n\t%s", text, step)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	for range readers {
		if err := s.read(t.Context(), check); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.writer.do(t.Context(), func(tx *tx) error { return check(t.Context(), tx.connection) }); err != nil {
		t.Fatal(err)
	}
	if checked < 40 {
		t.Errorf("only %d statements were checked", checked)
	}
}

// TestPlansOfLanes holds what lanes ask all day to the indexes in which what is
// blocked costs nothing.
func TestPlansOfLanes(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), nil)
	defer s.Close()
	useEverything(t, s)
	allowed := []string{
		"SEARCH updates USING COVERING INDEX updates_ready (environment=?)",
		"SEARCH updates USING COVERING INDEX updates_lifting (environment=? AND ready_at>? AND ready_at<?)",
		"SEARCH updates USING INDEX updates_cancel (environment=?)",
		"SEARCH updates USING COVERING INDEX updates_ready (environment=? AND sequence>? AND sequence<?)",
		"SEARCH updates USING COVERING INDEX updates_ready (environment=? AND sequence>?)",
		"SEARCH updates USING INDEX updates_held (environment=?)", "SEARCH updates USING INDEX updates_held (environment=? AND app=?)",
		"SEARCH updates USING INDEX updates_images (environment=?)",
		"SEARCH updates USING INDEX updates_blocked (environment=? AND rowid>? AND rowid<?)",
		"SEARCH updates USING COVERING INDEX updates_listed (environment=? AND state=? AND rowid>? AND rowid<?)",
		"SEARCH updates USING INDEX updates_blocked_app (environment=? AND app=? AND rowid>? AND rowid<?)",
		"SEARCH updates USING COVERING INDEX updates_app (environment=? AND app=? AND state=? AND rowid>? AND rowid<?)",
		"LIST SUBQUERY 1", "SCAN json_each VIRTUAL TABLE INDEX 1:", "CREATE BLOOM FILTER", // of the apps that are left out
	}
	seen := make(map[string]bool)
	err := s.read(t.Context(), func(ctx context.Context, c *connection) error {
		for _, text := range []string{readyFirst, readyExcept, readyApps, readyAfter, lifted, cancelled, something, openReady, openBlocked, openProposed, openNotReady, freeIn, freeOf, freedImages} {
			err := c.query(ctx, `EXPLAIN QUERY PLAN `+text, make([]any, max(strings.Count(text, "?"), 3)), func(r row) error {
				step := r.text(3)
				if strings.Contains(step, "SCALAR SUBQUERY") || strings.HasPrefix(step, "SCAN CONSTANT") {
					return nil
				}
				if !slices.Contains(allowed, step) {
					t.Errorf("%s\n\t%s", text, step)
				}
				seen[step] = true
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || len(seen) != len(allowed) {
		t.Errorf("the plans have %d of %d steps: %v (%v)", len(seen), len(allowed), slices.Sorted(maps.Keys(seen)), err)
	}
}

// smallScans are the steps of plans that look through all of something small.
var smallScans = []string{
	"SCAN l", "SCAN lanes", "SCAN CONSTANT ROW", "SCAN hold_numbers",
	"SCAN json_each VIRTUAL TABLE INDEX 1:", "SCAN json_each EXISTS VIRTUAL TABLE INDEX 1:", // what blocks one update, or the apps that are left out
	"SCAN updates USING COVERING INDEX updates_failed", // for one row
	"SCAN (subquery-1)", "SCAN f", // an app that has a failed update
	"SCAN memories USING COVERING INDEX memories_received",                                                      // for one row
	"SCAN deliveries USING COVERING INDEX deliveries_waiting", "SCAN deliveries USING INDEX deliveries_waiting", // at most queue.MaxWaiting
	"SCAN updates USING COVERING INDEX updates_ready", "SCAN updates USING INDEX updates_blocked", // counted once, at the start
}

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
		keep(s.Release(ctx, l, i == 1))
		_, err = s.Prune(ctx, time.Now().Add(time.Hour), 10)
		keep(err)
		keep(s.acceptTwice(ctx, first))
	}
}
