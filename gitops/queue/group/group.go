// Package group is the group commit of the stores: whatever waits while one
// transaction is on its way to the disk shares the next one, so that any number
// of callers cost one fsync. There is no timer. A caller that is alone commits at
// once.
package group

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Config says what a group may be and how it is committed. Items, Updates and
// Bytes bound how long the first item of a group waits for the last, and how long
// one transaction keeps what it locks.
type Config[T any] struct {
	// Commit makes the items durable together, or none of them when it returns an
	// error. The error is the answer to each of them; what concerns one item alone
	// belongs into the item. It is called by one goroutine and must not keep the
	// slice.
	Commit func(items []T) error

	// Divisible reports whether a group that failed with err may succeed in parts:
	// one of its items was at fault, or the group was too large for the time that a
	// transaction has. It is asked of groups of several items. Each half is then
	// committed by itself, and so on down to single items.
	Divisible func(err error) bool

	// Answered, when it is not nil, is called after each group's callers were
	// answered, by the goroutine that commits: for upkeep that they need not wait
	// for, and that gives them time to come back.
	Answered func()

	Items   int // most items of a group
	Updates int // most updates of a group; an item with more is a group of its own
	Bytes   int // most bytes of a group; an item with more is a group of its own

	Size func(item T) (updates, bytes int) // what the item counts for

	// AnswerAll: the caller of an item whose commit has begun waits for its result,
	// whatever becomes of its context. Without it that caller leaves at once, and
	// does not know whether its item becomes durable.
	AnswerAll bool
}

// Committer commits items in groups. Safe for concurrent use.
type Committer[T any] struct {
	config Config[T]

	mu      sync.Mutex
	arrived sync.Cond // on mu: waiting is not empty, or stopping
	waiting []*request[T]

	stopping atomic.Bool   // set under mu
	stopped  chan struct{} // closed when the goroutine has ended

	items []T // of the group that is being committed; the goroutine's
}

// request is one caller's item.
type request[T any] struct {
	item           T
	updates, bytes int
	state          atomic.Int32
	err            error         // the answer, when done is closed
	done           chan struct{} // closed by the committer's goroutine
}

// The states of a request. Whether a waiting one is committed or given up is
// decided by who changes it first.
const (
	waits int32 = iota
	taken       // its commit has begun
	givenUp
)

// Start starts the goroutine that commits. It ends with Stop.
func Start[T any](config Config[T]) *Committer[T] {
	c := newCommitter(config)
	go c.run()
	return c
}

func newCommitter[T any](config Config[T]) *Committer[T] {
	c := &Committer[T]{config: config, stopped: make(chan struct{})}
	c.arrived.L = &c.mu
	return c
}

// Do returns when the item is durable, or why it is not. An item whose commit has
// not begun when ctx ends is never committed; see [Config.AnswerAll] for the others.
// Without AnswerAll the item may still be in use when Do has returned because of
// ctx. The error's code is Unavailable after Stop and when ctx ended; other errors are
// Commit's.
func (c *Committer[T]) Do(ctx context.Context, item T) error {
	if err := ctx.Err(); err != nil {
		return timedOut(err)
	}
	r := &request[T]{item: item, done: make(chan struct{})}
	r.updates, r.bytes = c.config.Size(item)
	if !c.enqueue(r) {
		return errStopped()
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	if r.state.CompareAndSwap(waits, givenUp) {
		var none T
		r.item = none // its body can be freed while a transaction before it takes long
		return timedOut(ctx.Err())
	}
	if c.config.AnswerAll {
		<-r.done
		return r.err
	}
	r.state.Store(givenUp)
	return timedOut(ctx.Err())
}

func (c *Committer[T]) enqueue(r *request[T]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping.Load() {
		return false
	}
	c.waiting = append(c.waiting, r)
	if len(c.waiting) == 1 {
		c.arrived.Signal()
	}
	return true
}

// Stop lets the transaction that is under way finish, answers what waits with
// Unavailable, and returns when nothing of it runs any more. It is called once.
func (c *Committer[T]) Stop() {
	c.mu.Lock()
	c.stopping.Store(true)
	c.arrived.Signal()
	c.mu.Unlock()
	<-c.stopped
}

func (c *Committer[T]) run() {
	defer close(c.stopped)
	var group []*request[T]
	for c.await() {
		group = c.next(group[:0])
		c.commit(group)
		clear(group) // what was committed can be freed while nothing comes
		if c.config.Answered != nil {
			c.config.Answered()
		}
	}
	answer(c.waiting, errStopped())
}

// await returns true when there is something to commit, and false once the
// committer stops; from then on nothing is added to waiting.
func (c *Committer[T]) await() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) == 0 && !c.stopping.Load() {
		c.arrived.Wait()
	}
	c.gather()
	return !c.stopping.Load()
}

// gather lets the goroutines that can run go first, for as long as more requests
// come of it and the group is not full. Those that the last group answered are
// still on their way to the next request when it ends; without this, the first few
// of them would be a group, and the rest would wait for another fsync. It does not
// wait for goroutines that have something else to do: an idle store commits at
// once. The caller has the lock.
func (c *Committer[T]) gather() {
	for n := 0; n < len(c.waiting) && n < c.config.Items && !c.stopping.Load(); {
		n = len(c.waiting)
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
	}
}

// next appends to group the requests that are to be committed together, and
// removes from those that wait what it took and what was given up before it.
func (c *Committer[T]) next(group []*request[T]) []*request[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, updates, bytes := 0, 0, 0
	for _, r := range c.waiting {
		full := len(group) == c.config.Items || updates+r.updates > c.config.Updates || bytes+r.bytes > c.config.Bytes
		if full && len(group) > 0 {
			break
		}
		seen++
		if r.state.CompareAndSwap(waits, taken) {
			group = append(group, r)
			updates += r.updates
			bytes += r.bytes
		}
	}
	rest := copy(c.waiting, c.waiting[seen:])
	clear(c.waiting[rest:])
	c.waiting = c.waiting[:rest]
	return group
}

// commit makes a group durable, in parts where it does not succeed as a whole, and
// answers it. What was given up meanwhile is left out of the parts: with a server
// that stands still, dividing ends when the callers' time does.
func (c *Committer[T]) commit(group []*request[T]) {
	if len(group) == 0 {
		return
	}
	if c.stopping.Load() {
		answer(group, errStopped())
		return
	}
	err := c.attempt(group)
	if err == nil || len(group) == 1 || !c.config.Divisible(err) {
		answer(group, err)
		return
	}
	half := len(group) / 2
	c.commit(remaining(group[:half]))
	c.commit(remaining(group[half:]))
}

func (c *Committer[T]) attempt(group []*request[T]) error {
	c.items = c.items[:0]
	for _, r := range group {
		c.items = append(c.items, r.item)
	}
	defer clear(c.items)
	return c.config.Commit(c.items)
}

// remaining keeps those of the requests that were not given up.
func remaining[T any](group []*request[T]) []*request[T] {
	kept := group[:0]
	for _, r := range group {
		if r.state.Load() != givenUp {
			kept = append(kept, r)
		}
	}
	return kept
}

func answer[T any](group []*request[T], err error) {
	for _, r := range group {
		r.err = err
		close(r.done)
	}
}

func errStopped() error {
	return gitops.Errorf(gitops.Unavailable, "the store is closed")
}

func timedOut(cause error) error {
	return gitops.Errorf(gitops.Unavailable, "the store timed out").WithCause(cause)
}
