package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// TestPrunedRoomIsUsedAgain fills the store again and again: when what is old
// goes, the file does not grow.
func TestPrunedRoomIsUsedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	const rounds, each = 5, 200
	var sizes []int64
	for round := range rounds {
		s := openFile(t, path, nil)
		l, err := s.Claim(t.Context(), "dev", "one", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for i := range each {
			d := numbered(round*each + i)
			d.Body = make([]byte, 10<<10)
			if _, _, err := s.Accept(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			waits := queue.Deferral{Updates: []string{d.Updates[0].ID}, Code: gitops.Unavailable, Reason: "waiting"}
			end := []gitops.Settlement{{Update: d.Updates[0].ID, State: gitops.Committed, Commit: fmt.Sprint(i)}}
			if err := s.Defer(t.Context(), l, waits); err != nil {
				t.Fatal(err)
			}
			if err := s.Settle(t.Context(), l, end); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := s.Prune(t.Context(), time.Now().Add(time.Hour), each); n != each || err != nil {
			t.Fatalf("Prune: %d, %v", n, err)
		}
		if err := s.Close(); err != nil { // the WAL is in the file then
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, info.Size())
	}
	if sizes[rounds-1] > sizes[0]+sizes[0]/20 {
		t.Errorf("the file grew from round to round: %d", sizes)
	}
}

// TestPruneInSmallTransactions holds a prune to letting others in between.
func TestPruneInSmallTransactions(t *testing.T) {
	g := &groups{}
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), g)
	const all = 3*pruneTogether + 1
	for i := range all {
		d := numbered(i)
		d.Updates = nil
		if _, _, err := s.Accept(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Prune(t.Context(), time.Now().Add(time.Hour), 10*all); n != all || err != nil {
		t.Fatalf("Prune: %d, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(g.sizes) - all; n < 4 {
		t.Errorf("%d deliveries were pruned in %d transactions", all, n)
	}
}

// TestPruneLooksAgain is an update that was retried after Prune had found it: it
// waits, and stays.
func TestPruneLooksAgain(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), nil)
	d, _, err := s.Accept(t.Context(), numbered(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{0, 1} {
		var gone int
		err := s.writer.do(t.Context(), func(tx *tx) (err error) {
			gone, err = tx.prune([]int64{1}, time.Now().Add(time.Hour))
			return err
		})
		if err != nil || gone != want {
			t.Fatalf("forgot %d, want %d: %v", gone, want, err)
		}
		if want > 0 {
			break
		}
		l, err := s.Claim(t.Context(), "dev", "one", time.Hour)
		if err == nil {
			err = s.Settle(t.Context(), l, []gitops.Settlement{{Update: d.Updates[0].ID, State: gitops.Committed}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
