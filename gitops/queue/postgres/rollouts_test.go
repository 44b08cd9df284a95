package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// inState reports that updates are in a state in the cluster.
func inState(ids []string, state gitops.RolloutState) (reports []queue.RolloutReport) {
	for _, id := range ids {
		reports = append(reports, queue.RolloutReport{Update: id, Rollout: gitops.Rollout{State: state, Deadline: time.Now().Add(time.Hour)}})
	}
	return reports
}

// TestRolloutsCostWhatIsOpen has 10,000 written updates, all of them followed to their end but
// five: neither the question for those nor a report of one looks at the others, whatever the
// planner knows of the tables.
func TestRolloutsCostWhatIsOpen(t *testing.T) {
	a := schema(t)
	s := open(t, oneConnection(a))
	var ids []string
	for n := range 2 {
		d := order(fmt.Sprint(n), "")
		d.Updates = nil
		for i := range queue.MaxUpdates {
			d.Updates = append(d.Updates, gitops.Update{Environment: "dev", App: fmt.Sprintf("app-%d-%d", n, i), Tag: "v1"})
		}
		for _, u := range accept(t, s, d).Updates[:5] {
			ids = append(ids, u.ID)
		}
	}
	execute(t, a, `UPDATE updates SET state = 'committed', finished_at = accepted_at, rollout = '{"state": "healthy", "since": "2026-03-01T12:00:00Z"}'`)
	execute(t, a, `UPDATE updates SET rollout = NULL WHERE id = ANY ('{`+ids[0]+`,`+ids[1]+`,`+ids[7]+`,`+ids[8]+`,`+ids[9]+`}')`)
	ids = []string{ids[0], ids[1], ids[7], ids[8], ids[9]}
	for _, text := range []string{`VACUUM updates`, `VACUUM ANALYZE`} {
		execute(t, a, text)
		for what, call := range map[string]func() error{
			"a report of five": func() error {
				kept, err := s.ReportRollouts(t.Context(), queue.Lease{}, inState(ids, gitops.RolloutWaiting))
				return expect(err, len(kept), 5)
			},
			"OpenRollouts": func() error {
				if _, err := s.ReportRollouts(t.Context(), queue.Lease{}, inState(ids, gitops.RolloutWaiting)); err != nil {
					return err
				}
				found, err := s.OpenRollouts(t.Context())
				return expect(err, len(found), 5)
			},
		} {
			if n := rowsRead(t, a, s, call); n > 300 {
				t.Errorf("%s: the server looked at %d rows", what, n)
			}
		}
	}
	if _, err := s.ReportRollouts(t.Context(), queue.Lease{}, inState(ids, gitops.RolloutHealthy)); err != nil {
		t.Fatal(err)
	}
	if found, err := s.OpenRollouts(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("%d are open, %v", len(found), err)
	}
}

// TestFiveHundredRolloutsAtOnce are one report, well within the time of a call: whoever is
// accepted meanwhile waits for it.
func TestFiveHundredRolloutsAtOnce(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	d := order("1", "")
	d.Updates = nil
	for i := range 500 {
		d.Updates = append(d.Updates, gitops.Update{Environment: "dev", App: fmt.Sprintf("app-%d", i), Tag: "v1"})
	}
	var ids []string
	for _, u := range accept(t, s, d).Updates {
		ids = append(ids, u.ID)
	}
	execute(t, a, `UPDATE updates SET state = 'committed', finished_at = accepted_at`)
	for _, state := range []gitops.RolloutState{gitops.RolloutWaiting, gitops.RolloutSyncing, gitops.RolloutHealthy} {
		began := time.Now()
		kept, err := s.ReportRollouts(t.Context(), queue.Lease{}, inState(ids, state))
		if err != nil || len(kept) != len(ids) {
			t.Fatalf("%d are kept, %v", len(kept), err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %s", state, took)
		}
	}
}

// TestARolloutDuringPrune is an update that Prune forgets while its rollout is reported: there is
// no such update, and nothing of it is left.
func TestARolloutDuringPrune(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	id := accept(t, s, order("1", "api")).Updates[0].ID
	execute(t, a, `UPDATE updates SET state = 'committed', finished_at = accepted_at`)
	pruning, watcher := connect(t, a), connect(t, a)
	for _, text := range []string{`BEGIN`, `SELECT prune('{1}', now() + interval '1 hour', now())`} {
		if _, err := pruning.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	reported := make(chan error, 1)
	go func() {
		_, err := s.ReportRollouts(t.Context(), queue.Lease{}, inState([]string{id}, gitops.RolloutWaiting))
		reported <- err
	}()
	for waiting := false; !waiting; {
		const text = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FROM report_rollouts(%')`
		if err := watcher.QueryRow(t.Context(), text).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pruning.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := <-reported; gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("ReportRollouts: %v", err)
	}
	var left int
	if err := watcher.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM steps) + (SELECT count(*) FROM updates)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows are left, %v", left, err)
	}
}
