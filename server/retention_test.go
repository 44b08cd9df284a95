package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// prunedStore is a store that says how often it was asked to prune, and fails when told to.
type prunedStore struct {
	*sqlite.Store
	calls   atomic.Int64
	failing atomic.Bool
}

func (s *prunedStore) Prune(ctx context.Context, before time.Time, limit int) (int, error) {
	s.calls.Add(1)
	if s.failing.Load() {
		return 0, errors.New("the disk is away")
	}
	return s.Store.Prune(ctx, before, limit)
}

// inRetention runs script with a store and a pruner on a clock that moves only
// when all sleep.
func inRetention(t *testing.T, script func(t *testing.T, s *prunedStore, p pruner)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store, err := sqlite.Open(t.Context(), filepath.Join(dir, "queue.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := &prunedStore{Store: store}
		ctx, cancel := context.WithCancel(t.Context())
		var pruning sync.WaitGroup
		p := pruner{store: s, keep: 240 * time.Hour, logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
		pruning.Go(func() { p.run(ctx) })
		script(t, s, p)
		cancel()
		pruning.Wait()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// arrive takes in n deliveries that mean nothing.
func (s *prunedStore) arrive(t *testing.T, name string, n int) {
	t.Helper()
	for i := range n {
		d := gitops.Delivery{Source: "github", ID: fmt.Sprintf("%s-%d", name, i), Outcome: gitops.OutcomeIgnored, Reason: "a ping"}
		if _, _, err := s.Accept(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *prunedStore) left(t *testing.T) int {
	t.Helper()
	all, _, err := s.Deliveries(t.Context(), queue.DeliveryFilter{}, queue.Page{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// sleep moves the bubble's clock, which costs no time.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestOldDeliveriesArePruned(t *testing.T) {
	inRetention(t, func(t *testing.T, s *prunedStore, p pruner) {
		s.arrive(t, "old", 5)
		waits := gitops.Delivery{Source: "github", ID: "waits", Outcome: gitops.OutcomeAccepted, Updates: []gitops.Update{{ID: "u1", Environment: "dev", App: "api", Tag: "1"}}}
		if _, _, err := s.Accept(t.Context(), waits); err != nil {
			t.Fatal(err)
		}
		sleep(p.keep - 2*pruneEvery)
		s.arrive(t, "young", 3)
		if left := s.left(t); left != 9 {
			t.Errorf("before their time %d are left", left)
		}
		sleep(3*pruneEvery + time.Second)
		if left := s.left(t); left != 4 {
			t.Errorf("%d are left, not what waits and the young", left)
		}
		sleep(p.keep)
		if left := s.left(t); left != 1 {
			t.Errorf("%d are left, not what waits", left)
		}
	})
}

// What is long overdue goes in parts, with a rest between them; a part that fails
// is tried again an hour later.
func TestPruningInParts(t *testing.T) {
	inRetention(t, func(t *testing.T, s *prunedStore, p pruner) {
		s.arrive(t, "old", 2*pruneTogether+1)
		synctest.Wait()
		s.failing.Store(true)
		sleep(p.keep + pruneEvery/2)
		if left := s.left(t); left != 2*pruneTogether+1 {
			t.Fatalf("%d are left before anything was pruned", left)
		}
		s.failing.Store(false)
		s.calls.Store(0)
		sleep(pruneEvery / 2)
		steps := []int{s.left(t)}
		for range 2 {
			sleep(pruneRest)
			steps = append(steps, s.left(t))
		}
		if diff := cmp.Diff([]int{pruneTogether + 1, 1, 0}, steps); diff != "" {
			t.Errorf("what was left after each part: %s", diff)
		}
		sleep(pruneEvery / 2)
		if calls := s.calls.Load(); calls != 3 {
			t.Errorf("%d calls", calls)
		}
	})
}

// lineSignal is a log that waits for a line.
type lineSignal struct {
	has  []byte
	seen chan string
}

func (l lineSignal) Write(line []byte) (int, error) {
	if bytes.Contains(line, l.has) {
		l.seen <- string(line)
	}
	return len(line), nil
}

// A server prunes what its store has from long ago, with what it is configured to
// keep.
func TestServerPrunes(t *testing.T) {
	s := newSite(t)
	s.edit("\nlisten:", "\nretention: {keep: 240h}\nlisten:")
	path := filepath.Join(s.dir, "tallyman.db")
	ago := func(d time.Duration) sqlite.Options {
		return sqlite.Options{Now: func() time.Time { return time.Now().Add(-d) }}
	}
	for name, age := range map[string]time.Duration{"old": 241 * time.Hour, "young": 239 * time.Hour} {
		store, err := sqlite.Open(t.Context(), path, ago(age))
		s.must(err)
		(&prunedStore{Store: store}).arrive(t, name, 2)
		s.must(store.Close())
	}
	log := lineSignal{has: []byte("old deliveries pruned"), seen: make(chan string, 1)}
	server, err := New(s.config(), Version{}, slog.New(slog.NewJSONHandler(log, nil)))
	s.must(err)
	s.must(server.Start(t.Context()))
	if line := <-log.seen; !bytes.Contains([]byte(line), []byte(`"deliveries":2`)) {
		t.Errorf("the log says %s", line)
	}
	s.must(server.Stop(context.WithoutCancel(t.Context())))
	nothingRuns(t)
}
