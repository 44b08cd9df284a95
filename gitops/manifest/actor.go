package manifest

import (
	"context"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// task is something else than a write that the actor does for a caller. It is
// called once, with the reason when the actor will not do it any more.
type task func(why error)

// call is one Write on its way. The Writer's lock guards it, except for updates,
// which nobody changes.
type call struct {
	updates []gitops.Update
	next    int   // the first update that no round has taken yet
	pushing bool  // some of its updates are in the push that is on its way
	leaving error // why the caller wants to go, when it does

	fates []Settlement // one for each update; without a state where it is not known
	known int          // how many of them are
	err   error
	done  chan struct{} // closed when the above is final
	over  bool          // done is closed
}

// finish ends the call. The Writer's lock is held.
func (c *call) finish(err error) {
	if !c.over {
		c.err, c.over = err, true
		close(c.done)
	}
}

// settlements are those that are known, in the order of the updates.
func (c *call) settlements() []Settlement {
	return slices.DeleteFunc(c.fates, func(s Settlement) bool { return s.State == "" })
}

// enqueue adds work under the lock and wakes the actor.
func (w *Writer) enqueue(add func()) {
	w.mu.Lock()
	add()
	w.mu.Unlock()
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// withdraw takes a call out unless it is in a push; then it ends with that push.
func (w *Writer) withdraw(c *call, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.leaving = why
	if !c.pushing {
		c.finish(why)
	}
}

// ask has the actor do the work and waits for the result, but no longer than ctx
// lasts. The work runs until its caller has gone or the writer stops.
func ask[T any](ctx context.Context, w *Writer, work func(context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	var t task = func(why error) {
		if why != nil {
			done <- result{err: why}
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(w.stopping, cancel)()
		value, err := work(ctx)
		done <- result{value, git.PublicError(err)}
	}
	w.enqueue(func() { w.tasks = append(w.tasks, t) })
	var none T
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, git.PublicError(context.Cause(ctx))
	case <-w.stopped:
		return none, errClosed
	}
}

// run is the actor: it alone has the snapshot and talks to the remote, so at
// most one request is under way, however many environments wait and however long
// the remote is down.
func (w *Writer) run() {
	defer close(w.stopped)
	defer w.remote.Close()
	for {
		select {
		case <-w.stopping.Done():
			w.failWaiting(errClosed)
			return
		case <-w.woken:
		}
		for w.stopping.Err() == nil && w.turn() {
		}
	}
}

// turn does the next piece of work and reports whether there was any.
func (w *Writer) turn() bool {
	w.mu.Lock()
	if len(w.tasks) > 0 {
		t := w.tasks[0]
		w.tasks = w.tasks[1:]
		w.mu.Unlock()
		t(nil)
		return true
	}
	if bar := w.bar(); bar != nil {
		for _, c := range w.calls {
			c.finish(bar)
		}
	}
	items := w.take()
	w.mu.Unlock()
	if len(items) == 0 {
		return false
	}
	err := w.round(items)
	lanes := byCall(unsettled(items))
	if gitops.CodeOf(err) != gitops.Rejected || len(lanes) < 2 {
		w.conclude(items, err)
		return true
	}
	// The server refuses a push as a whole. What it has against one environment,
	// such as a freeze, must not stop the others.
	for _, lane := range lanes {
		w.conclude(lane, w.round(lane))
	}
	return true
}

// byCall groups items by the call that brought them, in the calls' order.
func byCall(items []*item) (groups [][]*item) {
	for _, i := range items {
		at := slices.IndexFunc(groups, func(g []*item) bool { return g[0].call == i.call })
		if at < 0 {
			at = len(groups)
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], i)
	}
	return groups
}

// item is one update in a round.
type item struct {
	call    *call
	at      int // in the call's updates
	update  gitops.Update
	settled bool
}

// take picks the updates of the next push: from each call in turn, in the
// order the calls came, each call's own order kept. The lock is held.
func (w *Writer) take() []*item {
	w.calls = slices.DeleteFunc(w.calls, func(c *call) bool { return c.over })
	var items []*item
	for more := true; more && len(items) < maxPushUpdates; {
		more = false
		for _, c := range w.calls {
			if c.next < len(c.updates) && len(items) < maxPushUpdates {
				items = append(items, &item{call: c, at: c.next, update: c.updates[c.next]})
				c.next++
				more = true
			}
		}
	}
	return items
}

// wanted returns the items of the calls that have not left meanwhile.
func (w *Writer) wanted(items []*item) []*item {
	w.mu.Lock()
	defer w.mu.Unlock()
	return ofWaiting(items)
}

// ofWaiting is wanted with the lock held.
func ofWaiting(items []*item) []*item {
	return slices.DeleteFunc(slices.Clone(items), func(i *item) bool { return i.call.over })
}

// begin marks the calls of the items as being in a push and returns the items of
// those that have not left meanwhile.
func (w *Writer) begin(items []*item) []*item {
	w.mu.Lock()
	defer w.mu.Unlock()
	items = ofWaiting(items)
	for _, i := range items {
		i.call.pushing = true
	}
	return items
}

// end says that the push is over. Callers whose context ended meanwhile are let
// go, unless all that they brought is settled: then conclude tells them.
func (w *Writer) end(items []*item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range items {
		i.call.pushing = false
		if i.call.leaving != nil && i.call.known < len(i.call.updates) {
			i.call.finish(i.call.leaving)
		}
	}
}

// settle records how an item ended. Only the actor calls it.
func (w *Writer) settle(i *item, s Settlement) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i.settled = true
	delete(w.unsure, i.update.ID)
	if i.call.over {
		return // its caller has gone, and reads what was known then
	}
	s.Update = i.update.ID
	i.call.fates[i.at] = s
	i.call.known++
}

// unsettled returns the items whose fate is still open.
func unsettled(items []*item) []*item {
	return slices.DeleteFunc(slices.Clone(items), func(i *item) bool { return i.settled })
}

// conclude ends the calls whose updates are all settled, and on an error those
// that cannot go on. When the remote is at fault, the calls that came while it
// was tried share the error: that was the answer to them as well, and to try once
// for each environment would only press a server that is down.
func (w *Writer) conclude(items []*item, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if remoteIsDown(err) {
		w.setBar(err) // from now on, not from when a caller that was told has gone on
	}
	for _, i := range items {
		i.call.pushing = false
		if !i.settled {
			i.call.finish(err)
		}
	}
	for _, c := range w.calls {
		if c.known == len(c.updates) {
			c.finish(nil)
		}
	}
	if remoteIsDown(err) {
		for _, c := range w.calls {
			c.finish(err)
		}
	}
}

// failWaiting ends everything that waits.
func (w *Writer) failWaiting(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		c.finish(err)
	}
	for _, t := range w.tasks {
		t(err)
	}
	w.calls, w.tasks = nil, nil
}

// pause waits a little, or until the writer stops.
func (w *Writer) pause(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-w.stopping.Done():
		return errClosed
	}
}
