package lane_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// fakeQueue is the model of the queue behind calls that fail as a test says.
type fakeQueue struct {
	*queuetest.Model
	deaf bool                     // no hint arrives
	most int                      // a report of more updates takes longer than a call may; 0 is no limit
	hang map[string]chan struct{} // calls of these methods wait, deaf to their context

	together sync.RWMutex // held while a test accepts several: none is taken without the others

	mu     sync.Mutex
	calls  map[string]int
	sizes  []int              // of reports that were recorded, in updates
	faults map[string][]fault // the next calls of a method fail so
}

// fault is an error in place of an answer; applied says that the work was done
// all the same.
type fault struct {
	err     error
	applied bool
}

func (q *fakeQueue) fail(method string, faults ...fault) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.faults[method] = faults
}

func (q *fakeQueue) count(method string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.calls[method]
}

// call runs one method's work, or fails as the script says.
func (q *fakeQueue) call(ctx context.Context, method string, work func() error) error {
	q.mu.Lock()
	q.calls[method]++
	var now fault
	if faults := q.faults[method]; len(faults) > 0 {
		now, q.faults[method] = faults[0], faults[1:]
	}
	q.mu.Unlock()
	if hang, ok := q.hang[method]; ok {
		<-hang
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if now.err == nil || now.applied {
		if err := work(); now.err == nil {
			return err
		}
	}
	return now.answer()
}

func (q *fakeQueue) Claim(ctx context.Context, holder string, names []string, ttl time.Duration) (claimed []queue.Lease, err error) {
	err = q.call(ctx, "Claim", func() (err error) { claimed, err = q.Model.Claim(ctx, holder, names, ttl); return err })
	return claimed, err
}

func (q *fakeQueue) Extend(ctx context.Context, leases []queue.Lease, ttl time.Duration) (kept []queue.Lease, err error) {
	err = q.call(ctx, "Extend", func() (err error) { kept, err = q.Model.Extend(ctx, leases, ttl); return err })
	return kept, err
}

func (q *fakeQueue) Release(ctx context.Context, l queue.Lease, clean bool) error {
	return q.call(ctx, "Release", func() error { return q.Model.Release(ctx, l, clean) })
}

func (q *fakeQueue) Ready(ctx context.Context, environments []string) (ready []string, err error) {
	err = q.call(ctx, "Ready", func() (err error) { ready, err = q.Model.Ready(ctx, environments); return err })
	return ready, err
}

func (q *fakeQueue) Take(ctx context.Context, l queue.Lease, o queue.TakeOptions) (taken []gitops.Update, err error) {
	err = q.call(ctx, "Take", func() (err error) {
		q.together.RLock()
		defer q.together.RUnlock()
		taken, err = q.Model.Take(ctx, l, o)
		return err
	})
	return taken, err
}

func (q *fakeQueue) Report(ctx context.Context, l queue.Lease, r queue.Report) (superseded []gitops.Update, err error) {
	err = q.call(ctx, "Report", func() (err error) {
		updates := max(len(r.Transitions)+len(r.Blocks), len(r.Proposals))
		if q.most > 0 && updates > q.most {
			return gitops.Errorf(gitops.Unavailable, "the store timed out")
		}
		q.mu.Lock()
		q.sizes = append(q.sizes, updates)
		q.mu.Unlock()
		superseded, err = q.Model.Report(ctx, l, r)
		return err
	})
	return superseded, err
}

func (q *fakeQueue) Wake(environment string) <-chan struct{} {
	if q.deaf {
		return nil
	}
	return q.Model.Wake(environment)
}

// writes is what a writer does in one call.
type writes func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error)

// fakeWriter commits everything, unless a script says otherwise, and fails the
// test when it is called as the contract forbids.
type fakeWriter struct {
	t *testing.T

	mu     sync.Mutex
	busy   map[string]bool
	calls  [][]string // of each call what it was asked, as task says
	script []writes
	step   time.Time                        // when it last made one; zero when it has nothing to do
	away   func() ([]string, *queue.Outage) // nil: nothing is
}

// LastStep implements lane.Writer.
func (w *fakeWriter) LastStep() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.step.IsZero() {
		return time.Now()
	}
	return w.step
}

func (w *fakeWriter) makesStep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.step = time.Now()
}

// task is a task as tests write it: "api 1.0.0", or "? api 1.0.0" when it is only
// to be looked for.
func task(t gitops.WriteTask) string {
	name := t.Update.App + " " + t.Update.Tag
	if t.SearchOnly {
		return "? " + name
	}
	return name
}

// commitAll commits what is to be written and finds nothing else.
func commitAll(_ context.Context, tasks []gitops.WriteTask) (r gitops.WriteResult, _ error) {
	for _, t := range tasks {
		if !t.SearchOnly {
			r.Transitions = append(r.Transitions, gitops.Transition{Update: t.Update.ID, Action: gitops.ActionCommit, Commit: "c-" + t.Update.Tag, Found: t.Update.Found})
		}
	}
	return r, nil
}

// find finds what is only to be looked for on the branch.
func find(_ context.Context, tasks []gitops.WriteTask) (r gitops.WriteResult, _ error) {
	for _, t := range tasks {
		if t.SearchOnly {
			r.Transitions = append(r.Transitions, gitops.Transition{Update: t.Update.ID, Action: gitops.ActionCommit, Commit: "c-" + t.Update.Tag})
		}
	}
	return r, nil
}

// fails is an outage.
func fails(err error) writes {
	return func(context.Context, []gitops.WriteTask) (gitops.WriteResult, error) {
		return gitops.WriteResult{}, err
	}
}

// refuses commits everything but the updates of an app, which the server refuses.
func refuses(app string) writes {
	return func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
		r, err := commitAll(ctx, slices.DeleteFunc(slices.Clone(tasks), func(t gitops.WriteTask) bool { return t.Update.App == app }))
		for _, t := range tasks {
			if t.Update.App == app && !t.SearchOnly {
				r.Refused = append(r.Refused, gitops.Refusal{Update: t.Update.ID, Code: gitops.Rejected, Reason: "needs a review"})
			}
		}
		return r, err
	}
}

// untilGivenUp waits until the work is given up.
func untilGivenUp(ctx context.Context, _ []gitops.WriteTask) (gitops.WriteResult, error) {
	<-ctx.Done()
	return gitops.WriteResult{}, ctx.Err()
}

func (w *fakeWriter) Write(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
	environment, next := w.begin(tasks)
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.busy[environment] = false
	}()
	return next(ctx, tasks)
}

func (w *fakeWriter) begin(tasks []gitops.WriteTask) (environment string, next writes) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(tasks) == 0 {
		w.t.Fatal("a write of nothing")
	}
	environment = tasks[0].Update.Environment
	if w.busy[environment] {
		w.t.Error("two writes at once in one environment")
	}
	w.busy[environment] = true
	asked := make([]string, len(tasks))
	for i, t := range tasks {
		asked[i] = task(t)
		if u := t.Update; u.Environment != environment || i > 0 && u.Sequence <= tasks[i-1].Update.Sequence {
			w.t.Errorf("%s in %s stands here out of order", asked[i], u.Environment)
		} else if !t.SearchOnly && (u.CancelRequest != nil || len(u.BlockedBy) > 0 || u.State != gitops.Pending) {
			w.t.Errorf("%s is to be written although it is %s, %v, %v", asked[i], u.State, u.BlockedBy, u.CancelRequest)
		}
	}
	w.calls = append(w.calls, asked)
	next = commitAll
	if len(w.script) > 0 {
		next, w.script = w.script[0], w.script[1:]
	}
	return environment, next
}

// only forgets what it was to do next, for this.
func (w *fakeWriter) only(next writes) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.script = []writes{next}
}

// asked returns what the writer was asked since it was last called.
func (w *fakeWriter) asked() (calls [][]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls, w.calls = w.calls, nil
	return calls
}

func (w *fakeWriter) then(script ...writes) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.script = append(w.script, script...)
}

// fakeRecorder keeps what it is told.
type fakeRecorder struct {
	mu       sync.Mutex
	finished map[gitops.State]int
	slowest  float64 // seconds
	waits    []time.Duration
	causes   []lane.Cause
}

func (r *fakeRecorder) Finished(_ string, state gitops.State, seconds float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished[state]++
	r.slowest = max(r.slowest, seconds)
}

func (r *fakeRecorder) BackingOff(_ string, cause lane.Cause, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waits = append(r.waits, wait)
	r.causes = append(r.causes, cause)
}

func (r *fakeRecorder) backOffs() []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.waits)
}

func (r *fakeRecorder) counts() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(r.finished)
}
