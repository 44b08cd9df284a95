package sqlite

import (
	"context"
	"errors"
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
// that grows with time.
func TestPlans(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), nil)
	defer s.Close()
	useEverything(t, s)
	checked := 0
	check := func(_ context.Context, c *connection) error {
		for _, text := range slices.Sorted(maps.Keys(c.compiled)) {
			if strings.HasPrefix(text, "--") || !strings.Contains(text, " updates") && !strings.Contains(text, " deliveries") && !strings.Contains(text, " steps") {
				continue
			}
			checked++
			err := c.query(t.Context(), `EXPLAIN QUERY PLAN `+text, make([]any, strings.Count(text, "?")), func(r row) error {
				step := r.text(3)
				small := step == "SCAN l" || step == "SCAN lanes" || step == "SCAN CONSTANT ROW" ||
					step == "SCAN updates USING COVERING INDEX updates_pending" // what waits is counted once, at the start
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

// askEverything reads every kind of list, and follows the changes.
func (s *Store) askEverything(ctx context.Context) error {
	page := queue.Page{Limit: 10}
	var errs []error
	keep := func(err error) { errs = append(errs, err) }
	for _, f := range []queue.DeliveryFilter{{}, {Outcome: gitops.OutcomeAccepted}} {
		_, _, err := s.Deliveries(ctx, f, page)
		keep(err)
	}
	for _, f := range []queue.UpdateFilter{{}, {Environment: "dev"}, {App: "api"}} {
		_, _, err := s.Updates(ctx, f, page)
		keep(err)
	}
	_, err := s.Changes(ctx, "", 10)
	keep(err)
	_, err = s.Latest(ctx)
	keep(err)
	_, err = s.Known(ctx, "github", []string{"1"})
	keep(err)
	_, err = s.prunable(ctx, time.Now(), 1)
	keep(err)
	return errors.Join(errs...)
}

// useEverything has the writer and each reader compile every statement.
func useEverything(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	var errs []error
	keep := func(err error) { errs = append(errs, err) }
	for i := range 2 {
		_, _, err := s.Accept(ctx, numbered(1))
		keep(err)
		_, _, err = s.Accept(ctx, numbered(2))
		keep(err)
		l, err := s.Claim(ctx, "dev", "one", time.Minute)
		keep(err)
		for range readers {
			_, err = s.Pending(ctx, l, 10)
			keep(err)
			_, err = s.Backlogs(ctx)
			keep(err)
			_, err = s.Update(ctx, "update-1")
			keep(err)
			_, err = s.Delivery(ctx, numbered(1).Key())
			keep(err)
			keep(s.askEverything(ctx))
		}
		keep(s.Defer(ctx, l, queue.Deferral{Updates: []string{"update-2"}, Reason: "waiting"}))
		keep(s.Settle(ctx, l, []gitops.Settlement{{Update: "update-1", State: gitops.Failed}, {Update: "update-2", State: gitops.Failed}}))
		_, err = s.Retry(ctx, "update-2", "ann")
		keep(err)
		_, err = s.Prune(ctx, time.Now().Add(time.Hour), 10)
		keep(err)
		keep(s.Release(ctx, l, i == 1))
	}
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
