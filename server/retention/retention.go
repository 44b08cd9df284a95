// Package retention forgets what the store has kept for long enough.
package retention

import (
	"context"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

const (
	every     = time.Hour
	batchSize = 500                    // deliveries in one call
	between   = 100 * time.Millisecond // two calls, so that a prune that is long overdue leaves room for others
)

// Pruner forgets deliveries. Replicas may all do it at once: each delivery goes
// once.
type Pruner struct {
	Store  queue.Pruner
	Keep   time.Duration // after a delivery arrived and its updates were final
	Logger *slog.Logger
}

// Run prunes at once and then every hour until ctx ends. What fails is tried again
// an hour later: only the store's size depends on it.
func (p Pruner) Run(ctx context.Context) {
	for {
		before := time.Now().Add(-p.Keep)
		pruned, err := p.prune(ctx, before)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.Logger.Warn("old deliveries not pruned", slog.String("error", err.Error()))
		case pruned > 0:
			p.Logger.Info("old deliveries pruned", slog.Int("deliveries", pruned), slog.Time("before", before.UTC()))
		}
		if !sleep(ctx, every) {
			return
		}
	}
}

// prune forgets all that is older, in small parts.
func (p Pruner) prune(ctx context.Context, before time.Time) (pruned int, err error) {
	for {
		n, err := p.Store.Prune(ctx, before, batchSize)
		pruned += n
		if err != nil || n < batchSize || !sleep(ctx, between) {
			return pruned, err
		}
	}
}

// sleep waits for d, and reports whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
