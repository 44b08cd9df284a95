package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// TestUpdatesOfALargeDeliveryAreFound looks for all updates of a delivery that has as many
// as one may have, for single ones of it, and reports all of them.
func TestUpdatesOfALargeDeliveryAreFound(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), nil)
	defer s.Close()
	large := numbered(1)
	large.Updates = nil
	for i := range queue.MaxUpdates {
		large.Updates = append(large.Updates, gitops.Update{Environment: "dev", App: fmt.Sprint("app-", i), Tag: "v1"})
	}
	accepted, _, err := s.Accept(t.Context(), large)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, len(accepted.Updates))
	for i, u := range accepted.Updates {
		ids[i] = u.ID
	}
	var found map[string]int64
	err = s.read(t.Context(), func(ctx context.Context, c *connection) (err error) {
		found, err = sequencesOf(ctx, c, append(ids, "no id", updateOf(7)))
		return err
	})
	if err != nil || len(found) != queue.MaxUpdates {
		t.Errorf("found are %d of %d: %v", len(found), queue.MaxUpdates, err)
	}
	for i, id := range ids {
		if found[id] != accepted.Updates[i].Sequence {
			t.Fatalf("update %s is found at %d, want %d", id, found[id], accepted.Updates[i].Sequence)
		}
	}
	for _, i := range []int{0, queue.MaxUpdates - 1} {
		if u, err := s.Update(t.Context(), ids[i]); err != nil || u.ID != ids[i] || u.App != large.Updates[i].App {
			t.Errorf("update %d: %+v, %v", i, u, err)
		}
	}
	var report queue.Report
	for _, id := range ids {
		report.Transitions = append(report.Transitions, gitops.Transition{Update: id, Action: gitops.ActionConfirm})
	}
	if _, err := s.Report(t.Context(), s.claim(t, "one"), report); err != nil {
		t.Error(err)
	}
}
