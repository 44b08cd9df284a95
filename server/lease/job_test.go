package lease_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/logtest"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/server/lease"
)

// awayAtFirst are leases of a store that fails some calls first.
type awayAtFirst struct {
	queue.Leases
	fails int
}

func (a *awayAtFirst) Claim(ctx context.Context, holder string, names []string, ttl time.Duration) ([]queue.Lease, error) {
	if a.fails > 0 {
		a.fails--
		return nil, gitops.Errorf(gitops.Unavailable, "the store is away")
	}
	return a.Leases.Claim(ctx, holder, names, ttl)
}

// A job is done by one replica at a time, and by the next when that gives it back. A store that
// is away is said once.
func TestAJobIsDoneByOneReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := queuetest.NewModel(now, queuetest.Hooks{})
		var log logtest.Log
		ctx, stop := context.WithCancel(t.Context())
		var mu sync.Mutex
		var did []string
		var running sync.WaitGroup
		for n, holder := range []string{"first", "second"} {
			job := lease.Job{
				Store: &awayAtFirst{store, 3 * (1 - n)}, Holder: holder, Name: "job/test", Length: time.Minute, Every: 10 * time.Second,
				Who: "the test", Logger: slog.New(slog.NewTextHandler(&log, nil)), Now: now,
			}
			running.Go(func() {
				job.Run(ctx, func(ctx context.Context, held *lease.Lease) {
					mu.Lock()
					did = append(did, holder)
					mu.Unlock()
					lease.Pause(ctx, 35*time.Second)
					held.Release(ctx)
				})
			})
		}
		time.Sleep(62 * time.Second)
		stop()
		running.Wait()
		if want := []string{"second", "first"}; !slices.Equal(did, want) {
			t.Errorf("%q did it, want %q", did, want)
		}
		if lines := log.Lines("lease of the test not claimed, retrying"); len(lines) != 1 {
			t.Errorf("said %d times", len(lines))
		}
	})
}
