package git

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Breaker keeps every remote that it guards away from the server for as long as the
// server asked one of them for (Retry-After, after 429 and the like). Whoever
// reaches the same server shares one. Safe for concurrent use.
type Breaker struct {
	now func() time.Time

	mu    sync.Mutex
	asked *gitops.Error // with what the server asked for a pause; nil while it is closed
	until time.Time
}

// NewBreaker makes a closed breaker that goes by the clock.
func NewBreaker(now func() time.Time) *Breaker { return &Breaker{now: now} }

// Err returns the error for a call that comes while the server wants to be left
// alone, with what is left of that time in its RetryAfter; nil otherwise.
func (b *Breaker) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := b.until.Sub(b.now())
	if b.asked == nil || left <= 0 {
		b.asked = nil
		return nil
	}
	e := *b.asked
	e.RetryAfter = left
	return &openError{why: &e}
}

// record opens the breaker when the server asked for a pause.
func (b *Breaker) record(err error) {
	var e *gitops.Error
	if !errors.As(PublicError(err), &e) || e.RetryAfter <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked, b.until = e, b.now().Add(e.RetryAfter)
}

// Guard returns the remote behind the breaker: while it is open no call reaches the
// server, and [RejectedBeforeGit] and [ResultKnown] hold for the error.
func (b *Breaker) Guard(r Remote) Remote { return &guarded{r, b} }

// openError says that a call was not made.
type openError struct{ why *gitops.Error }

func (e *openError) Error() string { return e.why.Error() }
func (e *openError) Unwrap() error { return e.why }

type guarded struct {
	Remote
	breaker *Breaker
}

func (g *guarded) Refs(ctx context.Context, service, branch string, below ...string) (Advertisement, error) {
	if err := g.breaker.Err(); err != nil {
		return Advertisement{}, err
	}
	a, err := g.Remote.Refs(ctx, service, branch, below...)
	g.breaker.record(err)
	return a, err
}

func (g *guarded) Fetch(ctx context.Context, w FetchRequest, held Source) (map[Hash]Object, error) {
	if err := g.breaker.Err(); err != nil {
		return nil, err
	}
	fetched, err := g.Remote.Fetch(ctx, w, held)
	g.breaker.record(err)
	return fetched, err
}

func (g *guarded) Push(ctx context.Context, u PushRequest) error {
	if err := g.breaker.Err(); err != nil {
		return err
	}
	err := g.Remote.Push(ctx, u)
	g.breaker.record(err)
	return err
}
