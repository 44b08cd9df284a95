package follow_test

import (
	"context"
	"fmt"
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
	mu      sync.Mutex
	err     error
	before  func(n int) // called before the nth of their calls
	after   func(n int) // called after it, when it was done
	faults  []fault     // of the next calls
	calls   int
	reports atomic.Int64 // transactions
	wrong   []string
}

// fault is what a call gets, after it was done or in place of that. One without an error is
// no fault.
type fault struct {
	err  error
	done bool
}

// changed holds the records to what they must be: what is final changes no more.
func (s *store) changed(_ queue.Lease, before, after gitops.Update) {
	if before.Rollout != nil && before.Rollout.State.Final() {
		s.wrong = append(s.wrong, fmt.Sprintf("%s changed after it was %s", after.ID, before.Rollout.State))
	}
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

func (r *replica) ask(do func() error) error {
	r.mu.Lock()
	r.calls++
	n := r.calls
	var f fault
	if len(r.faults) > 0 {
		f, r.faults = r.faults[0], r.faults[1:]
	}
	before, after, err := r.before, r.after, r.err
	r.mu.Unlock()
	if before != nil {
		before(n)
	}
	switch {
	case r.dead.Load():
		return gitops.Errorf(gitops.Unavailable, "the process is dead")
	case err != nil:
		return err
	case f.err != nil && !f.done:
		return f.err
	}
	if err := do(); err != nil {
		return err
	}
	if after != nil {
		after(n)
		if r.dead.Load() {
			return gitops.Errorf(gitops.Unavailable, "the process is dead")
		}
	}
	return f.err
}

func (r *replica) Claim(ctx context.Context, holder string, names []string, ttl time.Duration) (claimed []queue.Lease, err error) {
	err = r.ask(func() (err error) { claimed, err = r.Model.Claim(ctx, holder, names, ttl); return err })
	return claimed, err
}

func (r *replica) Extend(ctx context.Context, leases []queue.Lease, ttl time.Duration) (kept []queue.Lease, err error) {
	err = r.ask(func() (err error) { kept, err = r.Model.Extend(ctx, leases, ttl); return err })
	return kept, err
}

func (r *replica) Release(ctx context.Context, l queue.Lease, clean bool) error {
	return r.ask(func() error { return r.Model.Release(ctx, l, clean) })
}

func (r *replica) Changes(ctx context.Context, after string, limit int) (found []queue.Change, err error) {
	err = r.ask(func() (err error) { found, err = r.Model.Changes(ctx, after, limit); return err })
	return found, err
}

func (r *replica) Latest(ctx context.Context) (cursor string, err error) {
	err = r.ask(func() (err error) { cursor, err = r.Model.Latest(ctx); return err })
	return cursor, err
}

func (r *replica) Head(ctx context.Context, environment, app string) (head gitops.Head, err error) {
	err = r.ask(func() (err error) { head, err = r.Model.Head(ctx, environment, app); return err })
	return head, err
}

func (r *replica) Update(ctx context.Context, id string) (u gitops.Update, err error) {
	err = r.ask(func() (err error) { u, err = r.Model.Update(ctx, id); return err })
	return u, err
}

func (r *replica) OpenRollouts(ctx context.Context) (open []gitops.Update, err error) {
	err = r.ask(func() (err error) { open, err = r.Model.OpenRollouts(ctx); return err })
	return open, err
}

func (r *replica) ReportRollouts(ctx context.Context, l queue.Lease, reports []queue.RolloutReport) (kept []gitops.Rollout, err error) {
	err = r.ask(func() (err error) { r.reports.Add(1); kept, err = r.Model.ReportRollouts(ctx, l, reports); return err })
	return kept, err
}

func (r *replica) Checkpoint(ctx context.Context, name string) (value string, err error) {
	err = r.ask(func() (err error) { value, err = r.Model.Checkpoint(ctx, name); return err })
	return value, err
}

func (r *replica) SetCheckpoint(ctx context.Context, name, value string) error {
	return r.ask(func() error { return r.Model.SetCheckpoint(ctx, name, value) })
}
