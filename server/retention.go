package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

const (
	pruneEvery    = time.Hour
	pruneTogether = 500                    // deliveries in one call
	pruneRest     = 100 * time.Millisecond // between two calls, so that a long overdue prune is nobody's burden
)

// startPruning has what is older than the configuration keeps forgotten, now and
// every hour. Replicas may all do it at once: each delivery goes once.
func (s *Server) startPruning() {
	p := pruner{store: s.store, keep: *s.config.Retention.Keep, logger: s.logger}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.run(ctx)
	}()
	s.onStop("retention", func(context.Context) error {
		cancel()
		<-ended // before the store closes
		return nil
	})
}

// pruner forgets what is old.
type pruner struct {
	store  queue.Upkeep
	keep   time.Duration
	logger *slog.Logger
}

// run prunes until ctx ends. What fails is tried again an hour later: nothing
// depends on it but the store's size.
func (p pruner) run(ctx context.Context) {
	for {
		before := time.Now().Add(-p.keep)
		pruned, err := p.prune(ctx, before)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.logger.Warn("old deliveries could not be pruned", slog.String("error", err.Error()))
		case pruned > 0:
			p.logger.Info("old deliveries pruned", slog.Int("deliveries", pruned), slog.Time("before", before.UTC()))
		}
		if !rest(ctx, pruneEvery) {
			return
		}
	}
}

// prune forgets all that is older, in small parts.
func (p pruner) prune(ctx context.Context, before time.Time) (pruned int, err error) {
	for {
		n, err := p.store.Prune(ctx, before, pruneTogether)
		pruned += n
		if err != nil || n < pruneTogether || !rest(ctx, pruneRest) {
			return pruned, err
		}
	}
}

// rest waits for d, and reports whether ctx let it.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
