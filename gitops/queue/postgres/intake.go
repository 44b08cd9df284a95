package postgres

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// A group is bounded so that the first of it does not wait long for the last,
// and so that the lock it takes is not held for long.
const (
	groupSize  = 512
	groupBytes = 4 << 20 // of bodies; one that is larger goes alone
)

// request is one delivery on its way in.
type request struct {
	delivery gitops.Delivery
	// taken goes from false to true once: set by the intake, the request is on its
	// way; set by the caller, it is dropped.
	taken atomic.Bool
	known bool          // the delivery was there already
	err   error         // the answer, when done is closed
	done  chan struct{} // closed by the intake
}

// intake brings deliveries to the server in groups: all that wait go in one call.
// There is no timer; while one call is under way the next group forms.
type intake struct {
	store    *Store
	recorder Recorder

	mu      sync.Mutex
	arrived sync.Cond // on mu: waiting is not empty, or closed
	waiting []*request
	closed  bool

	failing bool // the last group failed, and the log says so; of the intake's goroutine
	stopped chan struct{}
}

func startIntake(s *Store, recorder Recorder) *intake {
	in := &intake{store: s, recorder: recorder, stopped: make(chan struct{})}
	in.arrived.L = &in.mu
	go in.run()
	return in
}

// bring returns when the delivery is durable, or was known. When ctx ends first
// nobody knows yet what becomes of a delivery that is on its way.
func (in *intake) bring(ctx context.Context, d gitops.Delivery) (kept gitops.Delivery, known bool, err error) {
	if err := ctx.Err(); err != nil {
		return gitops.Delivery{}, false, domainError(err)
	}
	r := &request{delivery: d, done: make(chan struct{})}
	if !in.enqueue(r) {
		return gitops.Delivery{}, false, errClosed()
	}
	select {
	case <-r.done:
		return r.delivery, r.known, r.err
	case <-ctx.Done():
		r.taken.Store(true)
		return gitops.Delivery{}, false, domainError(ctx.Err())
	}
}

func (in *intake) enqueue(r *request) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return false
	}
	in.waiting = append(in.waiting, r)
	if len(in.waiting) == 1 {
		in.arrived.Signal()
	}
	return true
}

// stop lets the group that is under way finish, and answers what waits with
// Unavailable.
func (in *intake) stop() {
	in.mu.Lock()
	in.closed = true
	in.arrived.Signal()
	in.mu.Unlock()
	<-in.stopped
}

func (in *intake) run() {
	defer close(in.stopped)
	for {
		group, closed := in.next()
		if closed {
			answer(group, errClosed())
			return
		}
		if len(group) > 0 {
			in.commit(group)
		}
	}
}

// next waits for requests and returns those of them that nobody gave up, or all
// that wait once the store closes.
func (in *intake) next() (group []*request, closed bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.waiting) == 0 && !in.closed {
		in.arrived.Wait()
	}
	in.gather()
	if in.closed {
		return in.waiting, true
	}
	taken, size := 0, 0
	for _, r := range in.waiting {
		size += len(r.delivery.Body)
		if taken == groupSize || taken > 0 && size > groupBytes {
			break
		}
		taken++
		if r.taken.CompareAndSwap(false, true) {
			group = append(group, r)
		}
	}
	rest := copy(in.waiting, in.waiting[taken:])
	clear(in.waiting[rest:]) // lets go of the bodies
	in.waiting = in.waiting[:rest]
	return group, false
}

// gather lets the goroutines that can run go first, for as long as more requests
// come of it: those that the last group answered are still on their way to the
// next one. Nobody is waited for who has something else to do. The caller has the
// lock.
func (in *intake) gather() {
	for n := 0; n < len(in.waiting) && n < groupSize && !in.closed; {
		n = len(in.waiting)
		in.mu.Unlock()
		runtime.Gosched()
		in.mu.Lock()
	}
}

// commit brings a group to the server and answers it. A request that the server
// refuses for its own sake spoils the group: then each goes alone.
func (in *intake) commit(group []*request) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), acceptTime)
	err := in.store.accept(ctx, group)
	cancel()
	switch {
	case err == nil:
		in.recorder.Committed(len(group), time.Since(began))
		if in.failing {
			in.failing = false
			in.store.log.Info("the store takes deliveries again")
		}
		answer(group, nil)
	case broken(err) || sqlState(err) == "57014":
		if !in.failing {
			in.failing = true
			in.store.log.Error("the store takes no deliveries", slog.String("err", err.Error()))
		}
		answer(group, domainError(err))
	case len(group) > 1:
		for i := range group {
			in.commit(group[i : i+1])
		}
	default:
		in.store.log.Error("the store did not take a delivery", slog.String("delivery", group[0].delivery.Key().String()), slog.String("err", err.Error()))
		answer(group, domainError(err))
	}
}

// answer gives every request of the group the same error, or none.
func answer(group []*request, err error) {
	for _, r := range group {
		r.err = err
		close(r.done)
	}
}

// Accept implements [queue.Inbox]. Times are kept in whole microseconds, and a
// delivery without a time of receipt was received now. Nothing of d is kept.
func (s *Store) Accept(ctx context.Context, d gitops.Delivery) (kept gitops.Delivery, duplicate bool, err error) {
	if len(d.Updates) > updatesEach {
		return gitops.Delivery{}, false, gitops.Errorf(gitops.TooLarge,
			"the delivery means %d updates; the store takes up to %d", len(d.Updates), updatesEach)
	}
	for _, at := range []time.Time{d.ReceivedAt, d.EventTime} {
		// JSON has no other years, and one delivery must not spoil its group.
		if year := at.UTC().Year(); year < 1 || year > 9999 {
			return gitops.Delivery{}, false, gitops.Errorf(gitops.Invalid, "the delivery is of the year %d", year)
		}
	}
	kept, duplicate, err = s.intake.bring(ctx, prepared(d))
	if err == nil && duplicate {
		kept, err = s.Delivery(ctx, d.Key())
	}
	if err != nil {
		return gitops.Delivery{}, false, err
	}
	return kept, duplicate, nil
}

var errAnswer = errors.New("the store's server answered for a delivery that it was not asked about")
