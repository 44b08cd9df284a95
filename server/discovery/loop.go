package discovery

import (
	"context"
	"time"
)

// Loop does something from time to time, and at once when it is asked to.
type Loop struct {
	Every   time.Duration // so often
	Between time.Duration // at least so long after the last one, however often it is asked
	Do      func(ctx context.Context)

	asked chan struct{}
}

// NewLoop makes a loop that does nothing until Run.
func NewLoop(every, between time.Duration, do func(ctx context.Context)) *Loop {
	return &Loop{Every: every, Between: between, Do: do, asked: make(chan struct{}, 1)}
}

// Ask has it done soon. It does not block. Safe for concurrent use.
func (l *Loop) Ask() {
	select {
	case l.asked <- struct{}{}:
	default: // it is asked already
	}
}

// Run does it at once and then again and again, until ctx ends.
func (l *Loop) Run(ctx context.Context) {
	for {
		l.Do(ctx)
		if !wait(ctx, l.Between, nil) || !wait(ctx, l.Every-l.Between, l.asked) {
			return
		}
	}
}

// wait waits so long, or until it is asked. It returns false when ctx has ended.
func wait(ctx context.Context, d time.Duration, asked <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-asked:
	case <-ctx.Done():
		return false
	}
	return ctx.Err() == nil
}
