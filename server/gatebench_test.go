package server

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
	"github.com/tallyman-dev/tallyman/server/holds"
)

// BenchmarkGate is what the question right before a push costs, of one update, and what
// reading the holds costs a scrape, with as many holds as there may be.
func BenchmarkGate(b *testing.B) {
	for name, open := range map[string]func() (queue.Queue, error){
		"sqlite": func() (queue.Queue, error) {
			return sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "tallyman.db"), sqlite.Options{})
		},
		"postgres": func() (queue.Queue, error) {
			return postgres.Open(b.Context(), postgres.Address{URL: postgrestest.Start(b, "fsync=off").Schema(b)}, postgres.Options{})
		},
	} {
		b.Run(name, func(b *testing.B) {
			store, err := open()
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = store.Close() })
			fillHolds(b, store)
			book := holds.New(func() holds.Rules { return holds.Rules{PinFor: time.Hour} })
			book.Use(store)
			one := []gitops.Update{{ID: "u", Environment: "prod", App: "app-1", Tag: "main-1a2b3c4"}}
			b.Run("push", func(b *testing.B) {
				for b.Loop() {
					_, done, err := book.Gate(b.Context(), one)
					if err != nil {
						b.Fatal(err)
					}
					done()
				}
			})
			b.Run("scrape", func(b *testing.B) {
				for b.Loop() {
					if _, err := store.HoldsInForce(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// fillHolds marks as many tags as bad as may be, of a hundred apps.
func fillHolds(b *testing.B, store queue.Queue) {
	b.Helper()
	const at = 500
	for n := 0; n < queue.MaxHolds; n += at {
		var p queue.Placement
		for i := n; i < n+at; i++ {
			p.Holds = append(p.Holds, gitops.Hold{
				Kind: gitops.HoldBad, Environments: []string{"prod"}, Apps: []string{fmt.Sprint("app-", i%100)}, Tag: fmt.Sprintf("main-%07x", i),
				Principal: "token:bench", Actor: "token:bench", Reason: "measured",
			})
		}
		if _, err := store.Place(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
}
