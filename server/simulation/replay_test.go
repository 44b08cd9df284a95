package simulation

import (
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// TestASeedPlaysTheSameScheduleAgain holds the simulation to being of use: what
// a seed has found must be there when somebody looks for it.
func TestASeedPlaysTheSameScheduleAgain(t *testing.T) { playTwice(t, 40, newModelStore) }

// TestASeedPlaysTheSameScheduleOnPostgresAgain is the same on a server.
func TestASeedPlaysTheSameScheduleOnPostgresAgain(t *testing.T) {
	playTwice(t, 4, startDatabase(t, startServer(t)).newStore)
}

func playTwice(t *testing.T, seeds uint64, newStore func(*world) store) {
	t.Helper()
	if raced {
		t.Skip("with the race detector goroutines run in a random order")
	}
	defer inOrder()()
	for seed := range seeds {
		var told [2][]string
		for i := range told {
			runtime.GC()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, seed, newStore)
				defer w.store.close()
				w.told.kept = true
				w.play()
				told[i] = w.told.lines
			})
		}
		if diff := cmp.Diff(told[0], told[1]); diff != "" {
			t.Fatalf("seed %d plays another schedule the second time:\n%s", seed, diff)
		}
	}
}
