package lease

import (
	"context"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Job is something that one replica does at a time.
type Job struct {
	Store  queue.Leases
	Holder string        // names this process
	Name   string        // of the lease
	Length time.Duration // of the lease
	Every  time.Duration // between two tries to get it
	Who    string        // does it, for the log: "the feedback"
	Logger *slog.Logger
	Now    func() time.Time
}

// Run has the job done until ctx ends, whenever no other replica does it: lead is called with
// the lease, which it gives back.
func (j Job) Run(ctx context.Context, lead func(ctx context.Context, held *Lease)) {
	failing := false
	for ctx.Err() == nil {
		held, err := Claim(ctx, j.Store, j.Holder, j.Name, j.Length, j.Now)
		if held != nil {
			lead(ctx, held)
		}
		if err != nil && !failing && ctx.Err() == nil {
			j.Logger.Warn("lease of "+j.Who+" not claimed, retrying", slog.String("error", err.Error()))
		}
		failing = err != nil
		Pause(ctx, j.Every)
	}
}

// Pause waits, or until ctx ends.
func Pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
