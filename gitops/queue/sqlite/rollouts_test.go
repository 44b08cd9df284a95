package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// rollOut reports where a written update stands in the cluster, and asks what is on its way.
func (s *Store) rollOut(ctx context.Context, l queue.Lease, n int) error {
	var errs []error
	for _, state := range []gitops.RolloutState{gitops.RolloutWaiting, gitops.RolloutHealthy} {
		_, err := s.ReportRollouts(ctx, l, []queue.RolloutReport{{Update: updateOf(n), Rollout: gitops.Rollout{State: state}}})
		errs = append(errs, err)
		for range readers {
			_, err := s.OpenRollouts(ctx)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// TestOpenRolloutsReadWhatIsOpen has many updates of which nothing is on its way any more: the
// index has one entry for each that is, and none for the others.
func TestOpenRolloutsReadWhatIsOpen(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), nil)
	defer s.Close()
	l := s.claim(t, "one")
	const written, left = 200, 3
	report := func(state gitops.RolloutState, from int) {
		t.Helper()
		var reports []queue.RolloutReport
		for n := from; n < written; n++ {
			reports = append(reports, queue.RolloutReport{Update: updateOf(n), Rollout: gitops.Rollout{State: state}})
		}
		if _, err := s.ReportRollouts(t.Context(), queue.Lease{}, reports); err != nil {
			t.Fatal(err)
		}
	}
	for n := range written {
		_, _, err := s.Accept(t.Context(), numbered(n))
		_, reported := s.Report(t.Context(), l, queue.Report{Transitions: []gitops.Transition{{Update: updateOf(n), Action: gitops.ActionCommit}}})
		if err := errors.Join(err, reported); err != nil {
			t.Fatal(err)
		}
	}
	report(gitops.RolloutWaiting, 0)
	report(gitops.RolloutSuperseded, left)
	open, err := s.OpenRollouts(t.Context())
	if err != nil || len(open) != left || open[0].ID != updateOf(0) {
		t.Errorf("%d are open, %v", len(open), err)
	}
	var entries int
	err = s.read(t.Context(), func(ctx context.Context, c *connection) error {
		_, err := c.one(ctx, `SELECT count(*) FROM updates INDEXED BY updates_rolling WHERE rolling IS NOT NULL`, nil, func(r row) { entries = int(r.number(0)) })
		return err
	})
	if err != nil || entries != left {
		t.Errorf("the index has %d entries, %v", entries, err)
	}
}

// TestAReportOfRolloutsWakesNoLane reports that an update runs while a lane waits for work: the
// lane is not woken, and whoever follows the changes is.
func TestAReportOfRolloutsWakesNoLane(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), nil)
	defer s.Close()
	_, _, err := s.Accept(t.Context(), numbered(0))
	_, reported := s.Report(t.Context(), s.claim(t, "one"), queue.Report{Transitions: []gitops.Transition{{Update: updateOf(0), Action: gitops.ActionCommit}}})
	if err := errors.Join(err, reported); err != nil {
		t.Fatal(err)
	}
	wake := s.Wake("dev")
	select {
	case <-wake: // of what was accepted
	default:
	}
	changed := s.Changed()
	deadline := time.Now().Add(15 * time.Minute)
	for i, state := range []gitops.RolloutState{gitops.RolloutWaiting, gitops.RolloutHealthy, gitops.RolloutHealthy} {
		reports := []queue.RolloutReport{{Update: updateOf(0), Rollout: gitops.Rollout{State: state, Deadline: deadline}}}
		if _, err := s.ReportRollouts(t.Context(), queue.Lease{}, reports); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
			if changed = s.Changed(); i == 2 {
				t.Error("a report that changes nothing is a change")
			}
		default:
			if i < 2 {
				t.Errorf("report %d is no change", i)
			}
		}
	}
	select {
	case <-wake:
		t.Error("the lane was woken")
	default:
	}
}
