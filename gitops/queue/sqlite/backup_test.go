package sqlite_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// TestExportWhileAccepting makes stores of what a busy one holds, several times. Each
// has all that was answered before the export began, as it was, and nothing half.
func TestExportWhileAccepting(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	s := open(t, path)
	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	answered := make(chan gitops.Delivery, 1000)
	for sender := range 4 {
		senders.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				d, _, err := s.Accept(t.Context(), order(fmt.Sprintf("%d-%d", sender, n), "api", bytes.Repeat([]byte{'x'}, 3000)))
				if err != nil {
					t.Errorf("Accept: %v", err)
					return
				}
				select {
				case answered <- d:
				case <-ctx.Done():
				}
			}
		})
	}
	var before []gitops.Delivery
	for n := range 3 {
		for range 50 {
			before = append(before, <-answered)
		}
		file := filepath.Join(dir, fmt.Sprintf("copy-%d.db", n))
		if _, err := sqlite.Import(t.Context(), file, sqlite.Export(t.Context(), path), queue.ImportOptions{Restored: true}); err != nil {
			t.Fatal(err)
		}
		copied := open(t, file)
		for _, want := range before {
			want.Updates[0].MaybePushed = true // by the store that goes on
			got, err := copied.Delivery(t.Context(), want.Key())
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(gitops.Update{}, "Sequence")); err != nil || diff != "" {
				t.Fatalf("in the copy (%v): %s", err, diff)
			}
		}
		all, _, err := copied.Deliveries(t.Context(), queue.DeliveryFilter{}, queue.Page{Limit: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range all {
			if len(d.Updates) != 1 {
				t.Fatalf("half a delivery: %+v", d)
			}
		}
		accept(t, copied, order("after", "api", nil))
	}
	stop()
	senders.Wait()
}
