package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// TestPrunedRoomIsUsedAgain fills the store again and again: when what is old goes,
// the file grows by no more than what the audit and the memory keep of it.
func TestPrunedRoomIsUsedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	const rounds, each = 5, 200
	var sizes []int64
	for round := range rounds {
		s := openFile(t, path, nil)
		l := s.claim(t, "one")
		for i := range each {
			d := numbered(round*each + i)
			d.Body = make([]byte, 10<<10)
			if _, _, err := s.Accept(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			id := updateOf(round*each + i)
			blocked := queue.Report{Blocks: []queue.Blocked{{Update: id, BlockedBy: []gitops.Block{{Kind: gitops.BlockRefused, Reason: "protected"}}}}}
			end := queue.Report{Transitions: []gitops.Transition{{Update: id, Action: gitops.ActionCommit, Commit: fmt.Sprint(i)}}}
			_, err := s.Report(t.Context(), l, blocked)
			_, endErr := s.Report(t.Context(), l, end)
			if err := errors.Join(err, endErr); err != nil {
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
	const kept = 400 // bytes of a delivery
	if grown := sizes[rounds-1] - sizes[0]; grown > (rounds-1)*each*kept {
		t.Errorf("the file grew by %d bytes for each delivery: %d", grown/((rounds-1)*each), sizes)
	}
}

// TestPruneInSmallTransactions holds a prune to letting others in between: what
// one transaction forgets is bounded by updates, not by deliveries.
func TestPruneInSmallTransactions(t *testing.T) {
	for _, updates := range []int{0, 30, pruneRows + 1} {
		t.Run(fmt.Sprintf("%d updates each", updates), func(t *testing.T) {
			g := &groups{}
			s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), g)
			each := max(1, pruneRows/(updates+1)) // deliveries in a transaction
			all := 3*each + 1
			for i := range all {
				d := numbered(i)
				d.Updates = nil
				for n := range updates {
					d.Updates = append(d.Updates, gitops.Update{Environment: "dev", App: fmt.Sprint(n)})
				}
				d.EventTime = d.ReceivedAt.Add(-time.Duration(i+1) * time.Minute)
				if _, _, err := s.Accept(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			accepted := len(g.sizes)
			kept := 0
			if updates > 0 {
				kept = 1 // the first is pending; what came after it is late
			}
			if n, err := s.Prune(t.Context(), time.Now().Add(time.Hour), 10*all); n != all-kept || err != nil {
				t.Fatalf("Prune: %d, %v", n, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if n := len(g.sizes) - accepted; n < 3 {
				t.Errorf("%d deliveries were pruned in %d transactions", all, n)
			}
		})
	}
}

// TestPruneLooksAgain is an update that was retried after Prune had found it: it
// waits, and stays.
func TestPruneLooksAgain(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), nil)
	defer s.Close()
	if _, _, err := s.Accept(t.Context(), numbered(1)); err != nil {
		t.Fatal(err)
	}
	prune := func() (gone int) {
		t.Helper()
		err := s.writer.do(t.Context(), func(tx *tx) (err error) {
			gone, err = tx.prune([]prunable{{number: 1, before: time.Now().Add(time.Hour)}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return gone
	}
	if gone := prune(); gone != 0 {
		t.Errorf("forgot %d deliveries whose update is pending", gone)
	}
	r := queue.Report{Transitions: []gitops.Transition{{Update: updateOf(1), Action: gitops.ActionCommit}}}
	if _, err := s.Report(t.Context(), s.claim(t, "one"), r); err != nil {
		t.Fatal(err)
	}
	if gone := prune(); gone != 1 {
		t.Errorf("forgot %d deliveries whose update is committed", gone)
	}
}
