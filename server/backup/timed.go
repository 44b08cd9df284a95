package backup

import (
	"context"
	"log/slog"
	"time"
)

// retryAfter is how long after a failure the next attempt is made, at most.
const retryAfter = 10 * time.Minute

// Timed makes backups from time to time. A backup is due when the newest one in the
// directory is old enough, whoever made it: so a restart makes none early, and several
// processes that share a directory make about one.
type Timed struct {
	Directory Directory
	Every     time.Duration
	Source    Source
	Succeeded func(at time.Time) // told of the newest backup, also of one that was there before
	Logger    *slog.Logger
}

// Run makes backups until ctx ends.
func (b Timed) Run(ctx context.Context) {
	for {
		wait, err := b.next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			b.Logger.Error("backup failed", slog.String("error", err.Error()))
			wait = min(retryAfter, b.Every)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// next makes a backup if one is due, and returns how long it is until the next one is.
func (b Timed) next(ctx context.Context) (time.Duration, error) {
	newest, err := b.Directory.Newest()
	if err != nil {
		return 0, err
	}
	if !newest.IsZero() {
		b.Succeeded(newest)
		if wait := time.Until(newest.Add(b.Every)); wait > 0 {
			return wait, nil
		}
	}
	began := time.Now()
	file, held, err := b.Directory.Add(ctx, b.Source)
	if file != "" {
		b.Succeeded(began)
		b.Logger.Info("backup written", slog.String("file", file), slog.Int("deliveries", held.Deliveries),
			slog.Int("updates", held.Updates), slog.Float64("seconds", time.Since(began).Seconds()))
	}
	return b.Every, err
}
