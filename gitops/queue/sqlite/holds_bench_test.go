package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// BenchmarkLift lifts a stop that holds 50,000 updates, while as many more are blocked by
// something else, and takes what is ready then: the first look reads all that has lifted.
func BenchmarkLift(b *testing.B) {
	const many = 50_000
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "queue.db"), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	claimed, err := s.Claim(b.Context(), "one", []string{"dev"}, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	var held queue.Report
	for n := 0; n < 2*many; n += queue.MaxUpdates {
		updates := acceptBlocked(b, s, claimed[0], n, queue.MaxUpdates)
		for _, u := range updates {
			if n < many {
				held.Blocks = append(held.Blocks, queue.Blocked{Update: u.ID, BlockedBy: []gitops.Block{{Kind: gitops.BlockStop, Reason: "ops stopped dev"}}})
			}
		}
	}
	var lifting, taking time.Duration
	for b.Loop() {
		b.StopTimer()
		if _, err := s.Report(b.Context(), claimed[0], held); err != nil {
			b.Fatal(err)
		}
		placed, err := s.Place(b.Context(), queue.Placement{Holds: []gitops.Hold{{Kind: gitops.HoldStop, Environments: []string{"dev"}, Principal: "token:ops", Actor: "token:ops"}}})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		began := time.Now()
		lifted, err := s.Lift(b.Context(), queue.Lifting{IDs: []string{placed.Holds[0].ID}, Principal: "token:ops", Actor: "token:ops"})
		if err != nil || lifted.Ready != many {
			b.Fatalf("%d updates, %v", lifted.Ready, err)
		}
		lifting += time.Since(began)
		began = time.Now()
		taken, err := s.Take(b.Context(), claimed[0], queue.TakeOptions{Limit: 500, NewestHeld: true})
		if err != nil || len(taken) != 500 {
			b.Fatalf("%d updates, %v", len(taken), err)
		}
		taking += time.Since(began)
	}
	b.ReportMetric(float64(lifting.Milliseconds())/float64(b.N), "ms/lift")
	b.ReportMetric(float64(taking.Milliseconds())/float64(b.N), "ms/take")
}
