package manifest

import (
	"context"
	"slices"
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
)

// call is one Write or Handshake on its way. The queue's lock guards it, except for
// the tasks, which do not change.
type call struct {
	tasks     []gitops.WriteTask
	handshake bool
	next      int   // the first task that no turn has taken yet
	pushing   bool  // some of its updates are in the push that is on its way
	leaving   error // why the caller wants to go, when it does

	answers []answer // one for each task
	open    int      // how many of them are not known
	err     error
	done    chan struct{} // closed when the above is final
	over    bool          // done is closed
}

// answer is what is known of one task. A task that was only to be looked for may be
// known without being in either list of the result.
type answer struct {
	known      bool
	transition gitops.Transition // without an action: none
	refusal    gitops.Refusal    // without an update: none
	held       gitops.Held       // likewise
	edit       gitops.HandEdit   // likewise
}

func newCall(tasks []gitops.WriteTask) *call {
	return &call{tasks: tasks, answers: make([]answer, len(tasks)), open: len(tasks), done: make(chan struct{})}
}

// finish ends the call. The queue's lock is held.
func (c *call) finish(err error) {
	if !c.over {
		c.err, c.over = err, true
		close(c.done)
	}
}

// result is what is known, in the order of the tasks. The call is over.
func (c *call) result() (r gitops.WriteResult) {
	for _, a := range c.answers {
		if a.transition.Action != "" {
			r.Transitions = append(r.Transitions, a.transition)
		}
		if a.refusal.Update != "" {
			r.Refused = append(r.Refused, a.refusal)
		}
		if a.held.Update != "" {
			r.Held = append(r.Held, a.held)
		}
		if a.edit.Update != "" {
			r.HandEdits = append(r.HandEdits, a.edit)
		}
	}
	return r
}

// item is one task in a turn. It belongs to the actor.
type item struct {
	call     *call
	at       int // in the call's tasks
	update   gitops.Update
	search   bool // only look for it
	expected string
	answered bool
	held     gitops.Held     // of the push in hand, or without an update
	edit     gitops.HandEdit // likewise
}

// stays reports whether the item is not to be written.
func (i *item) stays() bool { return i.search || i.held.Update != "" }

// unanswered returns the items of which nothing is known yet.
func unanswered(items []*item) []*item {
	return slices.DeleteFunc(slices.Clone(items), func(i *item) bool { return i.answered })
}

// queue is where callers and the actor meet. Safe for concurrent use.
type queue struct {
	limit int           // items in one turn
	woken chan struct{} // has a token when there may be work

	mu    sync.Mutex
	calls []*call // in the order they came
}

// add brings a call, and wakes the actor.
func (q *queue) add(c *call) {
	q.mu.Lock()
	q.calls = append(q.calls, c)
	q.mu.Unlock()
	select {
	case q.woken <- struct{}{}:
	default:
	}
}

// withdraw takes a call out unless it is in a push; then it ends with that push.
func (q *queue) withdraw(c *call, why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c.leaving = why
	if !c.pushing {
		c.finish(why)
	}
}

// next waits for work and returns it; nil when ctx has ended. A turn takes from each
// call in turn, in the order the calls came, each call's own order kept.
func (q *queue) next(ctx context.Context) (handshakes []*call, items []*item) {
	for {
		if handshakes, items = q.take(); len(handshakes)+len(items) > 0 || ctx.Err() != nil {
			return handshakes, items
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-q.woken:
		}
	}
}

func (q *queue) take() (handshakes []*call, items []*item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.calls = slices.DeleteFunc(q.calls, func(c *call) bool { return c.over })
	for more := true; more && len(items) < q.limit; {
		more = false
		for _, c := range q.calls {
			for c.next < len(c.tasks) && c.answers[c.next].known {
				c.next++
			}
			if c.next < len(c.tasks) && len(items) < q.limit {
				t := c.tasks[c.next]
				items = append(items, &item{call: c, at: c.next, update: t.Update, search: t.SearchOnly, expected: t.Expected})
				c.next++
				more = true
			}
		}
	}
	for _, c := range q.calls {
		if c.handshake {
			handshakes = append(handshakes, c)
		}
	}
	return handshakes, items
}

// beginPush marks the calls of the items as being in a push, and returns the items
// of those whose callers have not left.
func (q *queue) beginPush(items []*item) []*item {
	q.mu.Lock()
	defer q.mu.Unlock()
	items = slices.DeleteFunc(slices.Clone(items), func(i *item) bool { return i.call.over })
	for _, i := range items {
		i.call.pushing = true
	}
	return items
}

// endPush says that the push is over, and returns the items that are still to be
// answered. Callers whose context ended meanwhile are let go, unless all that they
// brought is known: then finish tells them.
func (q *queue) endPush(items []*item) []*item {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, i := range items {
		i.call.pushing = false
		if i.call.leaving != nil && i.call.open > 0 {
			i.call.finish(i.call.leaving)
		}
	}
	return slices.DeleteFunc(slices.Clone(items), func(i *item) bool { return i.answered || i.call.over })
}

// answer records what is known of an item.
func (q *queue) answer(i *item, a answer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i.answered = true
	c := i.call
	if c.over || c.answers[i.at].known {
		return // its caller has gone, and reads what was known then
	}
	a.known = true
	c.answers[i.at] = a
	c.open--
}

// putBack gives items back that the turn had no time for.
func (q *queue) putBack(items []*item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, i := range items {
		i.call.pushing = false
		i.call.next = min(i.call.next, i.at)
	}
}

// finish ends the calls of which all is known, and with an error those of the items
// that are not answered.
func (q *queue) finish(items []*item, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, i := range items {
		i.call.pushing = false
		if err != nil && !i.answered {
			i.call.finish(err)
		}
	}
	for _, c := range q.calls {
		if c.open == 0 && !c.handshake {
			c.finish(nil)
		}
	}
}

// finishCalls ends calls.
func (q *queue) finishCalls(calls []*call, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range calls {
		c.finish(err)
	}
}

// finishAll ends every call, also those that came meanwhile.
func (q *queue) finishAll(err error) {
	q.finish(nil, nil)
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range q.calls {
		c.finish(err)
	}
}
