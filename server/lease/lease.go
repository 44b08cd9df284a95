// Package lease keeps a lease of the store by this process's own clock: the store's may be
// another.
package lease

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Lease is the exclusive right to a job of the process. It is of one goroutine.
type Lease struct {
	store  queue.Leases
	now    func() time.Time
	held   queue.Lease
	length time.Duration
	ends   time.Time // by now
}

// Claim takes a lease of a name for so long. It is nil without an error when another has it.
// The end is counted from before the store was asked, so that it is never later than the
// store's own.
func Claim(ctx context.Context, store queue.Leases, holder, name string, length time.Duration, now func() time.Time) (*Lease, error) {
	asked := now()
	claimed, err := store.Claim(ctx, holder, []string{name}, length)
	if err != nil || len(claimed) == 0 {
		return nil, err
	}
	return &Lease{store: store, now: now, held: claimed[0], length: length, ends: asked.Add(length)}, nil
}

// Keep extends the lease when half of it is over. Without an error it is not ok when
// another has it; with one that is not known, and nothing may be done under it.
func (l *Lease) Keep(ctx context.Context) (ok bool, err error) {
	if l.Left() > l.length/2 {
		return true, nil
	}
	asked := l.now()
	kept, err := l.store.Extend(ctx, []queue.Lease{l.held}, l.length)
	if err != nil || len(kept) == 0 {
		return false, err
	}
	l.held, l.ends = kept[0], asked.Add(l.length)
	return true, nil
}

// Left is how long the lease lasts. A clock may be set back, and the one that is not stands
// still while the machine sleeps: what counts is the one by which less is left.
func (l *Lease) Left() time.Duration {
	now := l.now()
	return min(l.ends.Sub(now), l.ends.Round(0).Sub(now.Round(0)))
}

// Held is the lease as the store knows it, for what the store fences by it.
func (l *Lease) Held() queue.Lease { return l.held }

// Ahead is how far the store's clock is ahead of this process's, by the last answer. It is too
// much by no more than that answer took.
func (l *Lease) Ahead() time.Duration { return l.held.ExpiresAt.Sub(l.ends.Round(0)) }

// Release gives the lease back, whatever has ended by then. Where the store does not answer
// within 5 s it runs out.
func (l *Lease) Release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = l.store.Release(ctx, l.held, true)
}
