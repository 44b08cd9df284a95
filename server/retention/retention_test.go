package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// prunedStore is a store that says how often it was asked to prune, and fails when told to.
type prunedStore struct {
	*queuetest.Model
	calls   atomic.Int64
	failing atomic.Bool
}

func (s *prunedStore) Prune(ctx context.Context, before time.Time, limit int) (int, error) {
	s.calls.Add(1)
	if s.failing.Load() {
		return 0, errors.New("the disk is away")
	}
	return s.Model.Prune(ctx, before, limit)
}

// inRetention runs script with a store and a pruner on a clock that moves only
// when all sleep.
func inRetention(t *testing.T, script func(t *testing.T, s *prunedStore, p Pruner)) {
	synctest.Test(t, func(t *testing.T) {
		s := &prunedStore{Model: queuetest.NewModel(time.Now, queuetest.Hooks{})}
		ctx, cancel := context.WithCancel(t.Context())
		var pruning sync.WaitGroup
		p := Pruner{Store: s, Keep: 120 * time.Hour, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
		pruning.Go(func() { p.Run(ctx) })
		script(t, s, p)
		cancel()
		pruning.Wait()
	})
}

// arrive takes in n deliveries that mean nothing.
func (s *prunedStore) arrive(t *testing.T, name string, n int) {
	t.Helper()
	for i := range n {
		d := gitops.Delivery{Source: "github", ID: fmt.Sprintf("%s-%d", name, i), ReceivedAt: time.Now(), Outcome: gitops.OutcomeIgnored, Reason: "a ping"}
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

// elapse moves the bubble's clock, which costs no time.
func elapse(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestOldDeliveriesArePruned(t *testing.T) {
	inRetention(t, func(t *testing.T, s *prunedStore, p Pruner) {
		s.arrive(t, "old", 5)
		waits := gitops.Delivery{Source: "github", ID: "waits", ReceivedAt: time.Now(), Outcome: gitops.OutcomeAccepted, Updates: []gitops.Update{{Environment: "dev", App: "api", Tag: "1"}}}
		if _, _, err := s.Accept(t.Context(), waits); err != nil {
			t.Fatal(err)
		}
		elapse(p.Keep - 2*every)
		s.arrive(t, "young", 3)
		if left := s.left(t); left != 9 {
			t.Errorf("before their time %d are left", left)
		}
		elapse(3*every + time.Second)
		if left := s.left(t); left != 4 {
			t.Errorf("%d are left, not what waits and the young", left)
		}
		elapse(p.Keep)
		if left := s.left(t); left != 1 {
			t.Errorf("%d are left, not what waits", left)
		}
	})
}

// What is long overdue goes in parts, with a rest between them; a part that fails
// is tried again an hour later.
func TestPruningInParts(t *testing.T) {
	inRetention(t, func(t *testing.T, s *prunedStore, p Pruner) {
		s.arrive(t, "old", 2*batchSize+1)
		synctest.Wait()
		s.failing.Store(true)
		elapse(p.Keep + every/2)
		if left := s.left(t); left != 2*batchSize+1 {
			t.Fatalf("%d are left before anything was pruned", left)
		}
		s.failing.Store(false)
		s.calls.Store(0)
		elapse(every / 2)
		steps := []int{s.left(t)}
		for range 2 {
			elapse(between)
			steps = append(steps, s.left(t))
		}
		if diff := cmp.Diff([]int{batchSize + 1, 1, 0}, steps); diff != "" {
			t.Errorf("what was left after each part: %s", diff)
		}
		elapse(every / 2)
		if calls := s.calls.Load(); calls != 3 {
			t.Errorf("%d calls", calls)
		}
	})
}

// TestHoldsOutliveRetention has holds that are in force kept for ever, and one that was
// lifted for as long as the audit, however short deliveries are kept.
func TestHoldsOutliveRetention(t *testing.T) {
	inRetention(t, func(t *testing.T, s *prunedStore, p Pruner) {
		stop := gitops.Hold{Kind: gitops.HoldStop, Environments: []string{"dev"}, Principal: "token:ann", Actor: "token:ann"}
		placed, err := s.Place(t.Context(), queue.Placement{Holds: []gitops.Hold{stop, stop}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Lift(t.Context(), queue.Lifting{IDs: []string{placed.Holds[0].ID}, Principal: "token:ann", Actor: "token:ann"}); err != nil {
			t.Fatal(err)
		}
		s.arrive(t, "old", 1)
		ids := func() (found []string) {
			t.Helper()
			holds, _, err := s.HoldsListed(t.Context(), queue.HoldFilter{Ended: true}, queue.Page{Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range holds {
				found = append(found, h.ID)
			}
			return found
		}
		elapse(p.Keep + 2*every)
		if diff := cmp.Diff([]string{"h2", "h1"}, ids()); diff != "" || s.left(t) != 0 {
			t.Errorf("%d deliveries are left, and the holds %s", s.left(t), diff)
		}
		elapse(queue.MemoryFor)
		if diff := cmp.Diff([]string{"h2"}, ids()); diff != "" {
			t.Errorf("the holds after the time of the audit: %s", diff)
		}
	})
}
