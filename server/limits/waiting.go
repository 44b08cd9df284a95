package limits

import (
	"container/list"
	"sync"
)

// waiting are the connections of a listener whose client has yet to send something: a
// request, or the rest of one. When there is no place for one more, the oldest of them
// gives its own up. A sender sends its request at once, so it does not wait for long, and
// whoever holds connections open, however many, keeps no sender out: also where nobody
// is known yet, or where both have one address. One whose request is here whole is not
// among them until it is answered. Safe for concurrent use.
type waiting struct {
	mu  sync.Mutex
	all *list.List // of *boundedConn, that which waits for longest in front
}

func newWaiting() *waiting { return &waiting{all: list.New()} }

// enter has a connection wait from now on, unless it waits already.
func (w *waiting) enter(c *boundedConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.place == nil && !c.replaced && !c.ended {
		c.place = w.all.PushBack(c)
	}
}

// leave ends the wait of a connection whose request is here.
func (w *waiting) leave(c *boundedConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(c)
}

// end is leave for a connection that is closed. It reports whether its place is another's
// by now.
func (w *waiting) end(c *boundedConn) (replaced bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(c)
	c.ended = true
	return c.replaced
}

// replace takes out the connection that waits for longest of those that may go, nil when
// there is none.
func (w *waiting) replace(may func(client) bool) *boundedConn {
	w.mu.Lock()
	defer w.mu.Unlock()
	for at := w.all.Front(); at != nil; at = at.Next() {
		if c := at.Value.(*boundedConn); may(c.client) {
			w.remove(c)
			c.replaced = true
			return c
		}
	}
	return nil
}

// remove is called with the lock held.
func (w *waiting) remove(c *boundedConn) {
	if c.place != nil {
		w.all.Remove(c.place)
		c.place = nil
	}
}
