package lane_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// fakeQueue is one environment's lane in memory, on the test's clock. It fails
// the test when it is asked for what the contract forbids.
type fakeQueue struct {
	t    *testing.T
	wake chan struct{}

	mu       sync.Mutex
	pending  []gitops.Update
	settled  []gitops.Settlement
	deferred map[string]string // what each update waits for
	retries  []time.Time       // when the lane means to try again, by its Defers
	token    int64
	holder   string
	expires  time.Time
	clean    bool
	calls    map[string]int
	faults   map[string][]fault // the next calls of a method fail so
}

// fault is an error in place of an answer; applied says that the work was done
// all the same.
type fault struct {
	err     error
	applied bool
}

func newQueue(t *testing.T, tags ...string) *fakeQueue {
	q := &fakeQueue{t: t, wake: make(chan struct{}, 1), deferred: map[string]string{}, calls: map[string]int{}, faults: map[string][]fault{}, clean: true}
	for _, tag := range tags {
		q.add(gitops.Update{App: "api", Tag: tag})
	}
	return q
}

func (q *fakeQueue) add(u gitops.Update) {
	q.addUnheard(u)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// addUnheard is add by another replica: no hint comes of it.
func (q *fakeQueue) addUnheard(u gitops.Update) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.pending) + len(q.settled) + 1
	u.ID, u.Environment, u.Sequence, u.State, u.AcceptedAt = fmt.Sprintf("u%d", n), "dev", int64(n), gitops.Pending, time.Now()
	q.pending = append(q.pending, u)
}

// retried puts an update that had failed back in its place, before the others.
func (q *fakeQueue) retried(u gitops.Update) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending = slices.Insert(q.pending, 0, u)
}

func (q *fakeQueue) fail(method string, faults ...fault) { q.faults[method] = faults }

// call runs one method's work, or fails as the script says.
func (q *fakeQueue) call(ctx context.Context, method string, work func() error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	q.calls[method]++
	if faults := q.faults[method]; len(faults) > 0 {
		q.faults[method] = faults[1:]
		if faults[0].applied {
			_ = work()
		}
		return faults[0].err
	}
	return work()
}

func (q *fakeQueue) mine(l queue.Lease) error {
	if l.Token != q.token || q.holder == "" {
		return gitops.Errorf(gitops.Conflict, "the lease was lost")
	}
	return nil
}

// steal claims the lane for another holder, as happens when the lease ran out.
func (q *fakeQueue) steal(ttl time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.token++
	q.holder, q.expires = "other", time.Now().Add(ttl)
}

func (q *fakeQueue) Claim(ctx context.Context, environment, holder string, ttl time.Duration) (l queue.Lease, err error) {
	return l, q.call(ctx, "Claim", func() error {
		if q.holder != "" && q.holder != holder && time.Now().Before(q.expires) {
			return &gitops.Error{Code: gitops.Conflict, Message: "held", RetryAfter: time.Until(q.expires)}
		}
		q.token++
		q.holder, q.expires = holder, time.Now().Add(ttl)
		l = queue.Lease{Environment: environment, Holder: holder, Token: q.token, ExpiresAt: q.expires}
		return nil
	})
}

func (q *fakeQueue) Extend(ctx context.Context, l queue.Lease, ttl time.Duration) (queue.Lease, error) {
	return l, q.call(ctx, "Extend", func() error {
		if err := q.mine(l); err != nil {
			return err
		}
		q.expires = time.Now().Add(ttl)
		return nil
	})
}

func (q *fakeQueue) Release(ctx context.Context, l queue.Lease, clean bool) error {
	return q.call(ctx, "Release", func() error {
		if q.mine(l) == nil {
			q.holder, q.clean = "", clean
		}
		return nil
	})
}

func (q *fakeQueue) Pending(ctx context.Context, l queue.Lease, limit int) (got []gitops.Update, err error) {
	return got, q.call(ctx, "Pending", func() error {
		if err := q.mine(l); err != nil {
			return err
		}
		got = append(got, q.pending[:min(limit, len(q.pending))]...)
		return nil
	})
}

func (q *fakeQueue) Settle(ctx context.Context, l queue.Lease, settlements []gitops.Settlement) error {
	return q.call(ctx, "Settle", func() error {
		if err := q.mine(l); err != nil {
			return err
		}
		for _, s := range settlements {
			for i, u := range q.pending {
				if u.ID == s.Update {
					q.pending = append(q.pending[:i:i], q.pending[i+1:]...)
					q.settled = append(q.settled, s)
					break
				}
			}
		}
		return nil
	})
}

func (q *fakeQueue) Defer(ctx context.Context, l queue.Lease, d queue.Deferral) error {
	if d.Code == "" || d.Reason == "" || len(d.Updates) == 0 {
		q.t.Errorf("a deferral that does not say what of: %+v", d)
	}
	return q.call(ctx, "Defer", func() error {
		if err := q.mine(l); err != nil {
			return err
		}
		for _, id := range d.Updates {
			q.deferred[id] = d.Reason
		}
		q.retries = append(q.retries, d.RetryAt)
		return nil
	})
}

func (q *fakeQueue) Wake(string) <-chan struct{} { return q.wake }

// states lists what has been settled, in that order, as "u1 committed".
func (q *fakeQueue) states() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var states []string
	for _, s := range q.settled {
		states = append(states, s.Update+" "+string(s.State))
	}
	return states
}

// held is who holds the lane, and whether the last release was clean.
func (q *fakeQueue) held() []any {
	q.mu.Lock()
	defer q.mu.Unlock()
	return []any{q.holder, q.clean}
}

// waiting is what each deferred update waits for.
func (q *fakeQueue) waiting() map[string]string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return maps.Clone(q.deferred)
}

// retryTimes is when the lane said it would try again.
func (q *fakeQueue) retryTimes() []time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.retries)
}

func (q *fakeQueue) count(method string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.calls[method]
}

// fakeWriter commits everything, unless its script says otherwise, and fails the
// test when a lane calls it twice at once.
type fakeWriter struct {
	t      *testing.T
	mu     sync.Mutex
	busy   bool
	writes [][]string // the ids of each call
	script []func(ctx context.Context, updates []gitops.Update) ([]gitops.Settlement, error)
}

func commit(updates []gitops.Update) []gitops.Settlement {
	var settlements []gitops.Settlement
	for _, u := range updates {
		settlements = append(settlements, gitops.Settlement{Update: u.ID, State: gitops.Committed, Commit: "c-" + u.ID})
	}
	return settlements
}

func (w *fakeWriter) Write(ctx context.Context, updates []gitops.Update) ([]gitops.Settlement, error) {
	w.mu.Lock()
	if w.busy {
		w.t.Error("two writes at once in one environment")
	}
	w.busy = true
	var ids []string
	for _, u := range updates {
		ids = append(ids, u.ID)
	}
	w.writes = append(w.writes, ids)
	step := func(_ context.Context, updates []gitops.Update) ([]gitops.Settlement, error) {
		return commit(updates), nil
	}
	if len(w.script) > 0 {
		step, w.script = w.script[0], w.script[1:]
	}
	w.mu.Unlock()
	defer func() { w.mu.Lock(); w.busy = false; w.mu.Unlock() }()
	return step(ctx, updates)
}

func (w *fakeWriter) calls() [][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([][]string(nil), w.writes...)
}

type fakeRecorder struct {
	mu      sync.Mutex
	settled map[gitops.State]int
	success time.Time
	waits   []time.Duration
}

func (r *fakeRecorder) Settled(_ string, state gitops.State, _ float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled[state]++
}
func (r *fakeRecorder) Succeeded(_ string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.success = at
}
func (r *fakeRecorder) BackingOff(_ string, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waits = append(r.waits, wait)
}

func (r *fakeRecorder) counts() map[gitops.State]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.settled)
}

func (r *fakeRecorder) backOffs() []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.waits)
}

// rig is a lane with its fakes, on a clock that moves only when all sleep.
type rig struct {
	*lane.Lane
	queue    *fakeQueue
	writer   *fakeWriter
	recorder *fakeRecorder
}

// inBubble runs a script of events on the fake clock. The lane is stopped at the
// end, unless the script did.
func inBubble(t *testing.T, q func(*testing.T) *fakeQueue, script func(t *testing.T, r rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := rig{queue: q(t), writer: &fakeWriter{t: t}, recorder: &fakeRecorder{settled: map[gitops.State]int{}}}
		r.Lane = r.with(lane.Config{})
		script(t, r)
	})
}

// with makes another lane on the same fakes.
func (r rig) with(c lane.Config) *lane.Lane {
	c.Environment, c.Holder, c.Queue, c.Writer, c.Recorder = "dev", "us", r.queue, r.writer, r.recorder
	c.Logger = slog.New(slog.NewTextHandler(r.queue.t.Output(), nil))
	return lane.New(c)
}

// elapse moves the bubble's clock, which costs no time, and lets everything that
// is then due happen.
func elapse(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
