package sqlite

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
		"SEARCH updates USING COVERING INDEX updates_closed (environment=?)",
		"SEARCH updates USING INDEX updates_closed (environment=? AND app=? AND tag=? AND rowid>?)",
		"LIST SUBQUERY 1", "SCAN json_each VIRTUAL TABLE INDEX 1:", "CREATE BLOOM FILTER", // of the apps that are left out
	}
	seen := make(map[string]bool)
	err := s.read(t.Context(), func(ctx context.Context, c *connection) error {
		for _, text := range []string{readyFirst, readyExcept, readyApps, readyAfter, lifted, cancelled, something, openReady, openBlocked, openProposed, openNotReady, freeIn, freeOf, freedImages, someClosed, closedOf} {
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
	"SCAN updates USING COVERING INDEX updates_proposed", // the same
	"SCAN u USING INDEX updates_not_running",             // what is on its way in the cluster, or failed there
}
