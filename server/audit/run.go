package audit

import (
	"context"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Run writes what was recorded until ctx ends, and then what is left, once.
func (r *Recorder) Run(ctx context.Context, store Store) {
	hour := time.NewTicker(time.Minute)
	defer hour.Stop()
	for {
		select {
		case <-r.ready:
		case <-hour.C:
			r.mu.Lock()
			r.turnHour()
			r.mu.Unlock()
		case <-ctx.Done():
			r.mu.Lock()
			r.leftOut()
			r.mu.Unlock()
			if err := r.write(context.WithoutCancel(ctx), store); err != nil {
				r.mu.Lock()
				r.lose(len(r.waiting))
				r.mu.Unlock()
			}
			return
		}
		for err := r.write(ctx, store); err != nil && ctx.Err() == nil; err = r.write(ctx, store) {
			r.Logger.Warn("audit entries not written, trying again", slog.String("error", err.Error()))
			select {
			case <-time.After(retryAfter):
			case <-ctx.Done():
			}
		}
	}
}

// write brings what waits to the store. What fails stays at the front. When it is not
// known whether entries were written they are written again: twice is better than not
// at all.
func (r *Recorder) write(ctx context.Context, store Store) error {
	if err := r.writeConfigurations(ctx, store); err != nil {
		return err
	}
	for {
		r.mu.Lock()
		n := min(len(r.waiting), together)
		entries := append([]gitops.AuditEntry(nil), r.waiting[:n]...)
		r.mu.Unlock()
		if n == 0 {
			return nil
		}
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, appendWithin)
			defer cancel()
			return store.AppendAudit(ctx, entries)
		}()
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.waiting = append([]gitops.AuditEntry(nil), r.waiting[n:]...)
		if r.overflow > 0 {
			r.Logger.Warn("audit entries are written again", slog.Int("lost", r.overflow))
			r.overflow = 0
		}
		r.mu.Unlock()
	}
}
