package feedback_test

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// store is the model, which may be away for followers.
type store struct {
	*queuetest.Model
	mu     sync.Mutex
	err    error
	before func(n int) // called before the nth of their calls
	calls  int
	slow   func() // called in an update's reading, which takes as long
}

// fail has the calls of followers fail from now on; nil for not any more.
func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// replica is the store as one follower has it. One that was killed changes nothing any more.
type replica struct {
	*store
	dead atomic.Bool
}

func (r *replica) ask() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if r.before != nil {
		r.before(r.calls)
	}
	if r.dead.Load() {
		return gitops.Errorf(gitops.Unavailable, "the process is dead")
	}
	return r.err
}

func (r *replica) Claim(ctx context.Context, holder string, names []string, ttl time.Duration) ([]queue.Lease, error) {
	if err := r.ask(); err != nil {
		return nil, err
	}
	return r.Model.Claim(ctx, holder, names, ttl)
}

func (r *replica) Release(ctx context.Context, l queue.Lease, clean bool) error {
	if err := r.ask(); err != nil {
		return err
	}
	return r.Model.Release(ctx, l, clean)
}

func (r *replica) Changes(ctx context.Context, after string, limit int) ([]queue.Change, error) {
	if err := r.ask(); err != nil {
		return nil, err
	}
	return r.Model.Changes(ctx, after, limit)
}

func (r *replica) Update(ctx context.Context, id string) (gitops.Update, error) {
	if err := r.ask(); err != nil {
		return gitops.Update{}, err
	}
	if r.slow != nil {
		r.slow()
	}
	return r.Model.Update(ctx, id)
}

func (r *replica) SetCheckpoint(ctx context.Context, name, value string) error {
	if err := r.ask(); err != nil {
		return err
	}
	return r.Model.SetCheckpoint(ctx, name, value)
}
