package notify_test

import (
	"context"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// store is the model, which may be away for replicas.
type store struct {
	*queuetest.Model
	mu     sync.Mutex
	err    error
	before func(n int) // called before the nth of their calls
	after  func(n int) // called after it
	slow   func()      // called before a checkpoint is kept, which takes as long
	reads  func()      // called before the feed is read, likewise
	calls  int
}

func (s *store) fail(err error) {
	s.set(func() { s.err = err })
}

// set changes what the store does from now on.
func (s *store) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// hook is one of the store's, as it is now.
func (s *store) hook(which *func()) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *which == nil {
		return func() {}
	}
	return *which
}

// replica is the store as one process has it. One that was killed changes nothing any more.
type replica struct {
	*store
	p *process
}

// ask is asked before a call, and returns what is to be called after it.
func (r *replica) ask() (done func(), err error) {
	r.mu.Lock()
	r.calls++
	n, before, after, err := r.calls, r.before, r.after, r.err
	r.mu.Unlock()
	if before != nil {
		before(n)
	}
	if r.p.dead.Load() {
		return nil, gitops.Errorf(gitops.Unavailable, "the process is dead")
	}
	return func() {
		if after != nil {
			after(n)
		}
	}, err
}

func (r *replica) Claim(ctx context.Context, holder string, names []string, ttl time.Duration) ([]queue.Lease, error) {
	done, err := r.ask()
	if err != nil {
		return nil, err
	}
	defer done()
	return r.Model.Claim(ctx, holder, names, ttl)
}

func (r *replica) Extend(ctx context.Context, leases []queue.Lease, ttl time.Duration) ([]queue.Lease, error) {
	done, err := r.ask()
	if err != nil {
		return nil, err
	}
	defer done()
	return r.Model.Extend(ctx, leases, ttl)
}

func (r *replica) Release(ctx context.Context, l queue.Lease, clean bool) error {
	done, err := r.ask()
	if err != nil {
		return err
	}
	defer done()
	return r.Model.Release(ctx, l, clean)
}

func (r *replica) Changes(ctx context.Context, after string, limit int) ([]queue.Change, error) {
	done, err := r.ask()
	if err != nil {
		return nil, err
	}
	defer done()
	r.hook(&r.reads)()
	return r.Model.Changes(ctx, after, limit)
}

func (r *replica) Update(ctx context.Context, id string) (gitops.Update, error) {
	done, err := r.ask()
	if err != nil {
		return gitops.Update{}, err
	}
	defer done()
	return r.Model.Update(ctx, id)
}

func (r *replica) SetCheckpoint(ctx context.Context, name, value string) error {
	done, err := r.ask()
	if err != nil {
		return err
	}
	defer done()
	r.hook(&r.slow)()
	return r.Model.SetCheckpoint(ctx, name, value)
}
