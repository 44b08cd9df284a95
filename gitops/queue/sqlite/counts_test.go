package sqlite

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// What is open is counted from the file when a store is opened, and after a fault:
// as it was counted while it came.
func TestOpenUpdatesAreCountedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	s := openFile(t, path, nil)
	d := numbered(1)
	d.Updates = nil
	for _, app := range []string{"ready", "refused", "stale", "proposed", "done"} {
		d.Updates = append(d.Updates, gitops.Update{Environment: "dev", App: app, Tag: "v1"})
	}
	d, _, err := s.Accept(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	block := func(i int, kinds ...gitops.BlockKind) queue.Blocked {
		b := queue.Blocked{Update: d.Updates[i].ID}
		for _, kind := range kinds {
			b.BlockedBy = append(b.BlockedBy, gitops.Block{Kind: kind, Reason: string(kind), Until: time.Now()})
		}
		return b
	}
	_, err = s.Report(t.Context(), s.claim(t, "one"), queue.Report{
		Transitions: []gitops.Transition{{Update: d.Updates[3].ID, Action: gitops.ActionPropose}, {Update: d.Updates[4].ID, Action: gitops.ActionCommit}},
		Blocks:      []queue.Blocked{block(1, gitops.BlockRefused), block(2, gitops.BlockStale, gitops.BlockRefused)},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []queue.Backlog{{
		Environment: "dev", Pending: 1, Held: map[gitops.BlockKind]int{gitops.BlockRefused: 1, gitops.BlockStale: 1}, Oldest: d.Updates[0].AcceptedAt,
		Proposed: 1, OldestProposed: d.Updates[3].AcceptedAt,
	}}
	check := func(when string) {
		t.Helper()
		got, err := s.Backlogs(t.Context())
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %+v, %v", when, got, err)
		}
		got[0].Holder, got[0].LastProgress, got[0].LastSuccess = "", time.Time{}, time.Time{}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", when, diff)
		}
	}
	check("while it came")
	err = s.writer.do(t.Context(), func(tx *tx) error {
		commit, err := tx.statement(`COMMIT`)
		tx.compiled[`COMMIT`] = faultyCommit{commit, false}
		return err
	})
	if gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("a COMMIT that fails: %v", err)
	}
	check("after a fault")
	if err := errors.Join(s.Ping(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = openFile(t, path, nil)
	defer s.Close()
	check("after a start")
}
