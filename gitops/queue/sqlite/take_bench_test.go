package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// BenchmarkTake takes up one update of an environment in which more and more
// others are blocked: that costs the same however many they are.
func BenchmarkTake(b *testing.B) {
	for _, blocked := range []int{0, 1000, 50_000} {
		b.Run(fmt.Sprintf("%d-blocked", blocked), func(b *testing.B) {
			s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "queue.db"), sqlite.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			claimed, err := s.Claim(b.Context(), "one", []string{"dev"}, time.Hour)
			if err != nil {
				b.Fatal(err)
			}
			for n := 0; n < blocked; n += queue.MaxUpdates {
				acceptBlocked(b, s, claimed[0], n, min(blocked-n, queue.MaxUpdates))
			}
			if _, _, err := s.Accept(b.Context(), order("ready", "api", nil)); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				taken, err := s.Take(b.Context(), claimed[0], queue.TakeOptions{Limit: 500, NewestHeld: true})
				if err != nil || len(taken) != 1 {
					b.Fatalf("%d updates, %v", len(taken), err)
				}
			}
		})
	}
}

// acceptBlocked accepts a delivery of n updates, and has each of them blocked until
// a person decides.
func acceptBlocked(b *testing.B, s *sqlite.Store, l queue.Lease, first, n int) []gitops.Update {
	b.Helper()
	d := order(fmt.Sprintf("blocked-%d", first), "", nil)
	d.Updates = nil
	for i := range n {
		d.Updates = append(d.Updates, gitops.Update{Environment: "dev", App: fmt.Sprintf("app-%d", first+i), Tag: "v1"})
	}
	d, _, err := s.Accept(b.Context(), d)
	if err != nil {
		b.Fatal(err)
	}
	var r queue.Report
	for _, u := range d.Updates {
		r.Blocks = append(r.Blocks, queue.Blocked{Update: u.ID, BlockedBy: []gitops.Block{{Kind: gitops.BlockStale, Reason: "it waited for more than 7 days"}}})
	}
	if _, err := s.Report(b.Context(), l, r); err != nil {
		b.Fatal(err)
	}
	return d.Updates
}
