package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Pages of deliveries and of changes are bounded by updates, too; whoever goes on
// with their cursors gets all.
func TestPagesAreBoundedByUpdates(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), nil)
	defer s.Close()
	const all = 3
	for i := range all {
		d := numbered(i)
		for app := range pageUpdates / 2 {
			d.Updates = append(d.Updates[:app], gitops.Update{Environment: "dev", App: fmt.Sprint(app), Tag: "v1"})
		}
		if _, _, err := s.Accept(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	var listed, changed []string
	for cursor := ""; len(listed) < all; {
		page, next, err := s.Deliveries(t.Context(), queue.DeliveryFilter{}, queue.Page{Cursor: cursor, Limit: 10})
		if err != nil || len(page) == 0 || len(page) > 2 {
			t.Fatalf("a page of %d deliveries, %v", len(page), err)
		}
		for _, d := range page {
			listed = append(listed, d.ID)
		}
		if end := len(listed) == all; end != (next == "") {
			t.Fatalf("after %v the cursor is %q", listed, next)
		}
		cursor = next
	}
	for cursor := ""; len(changed) < all; {
		page, err := s.Changes(t.Context(), cursor, 10)
		if err != nil || len(page) == 0 || len(page) > 2 {
			t.Fatalf("a page of %d changes, %v", len(page), err)
		}
		for _, c := range page {
			changed, cursor = append(changed, c.Delivery.ID), c.Cursor
		}
	}
	if want := "[delivery-2 delivery-1 delivery-0] [delivery-0 delivery-1 delivery-2]"; fmt.Sprint(listed, changed) != want {
		t.Errorf("the lists are %v %v; want %s", listed, changed, want)
	}
}
