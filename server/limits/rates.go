package limits

import (
	"sync"
	"time"
)

const (
	refusalWindow = time.Minute
	// mostRefused is how many clients are counted in a window, at each route: some 150
	// bytes each, of two windows 5 MiB. Those beyond share one count for each route, which
	// at worst has the credentials of all of them checked first.
	mostRefused = 16 << 10
)

// refusalKey is what refusals are counted by.
type refusalKey struct{ client, route string }

// refusals counts the refused requests of the last minute. Safe for concurrent use.
type refusals struct {
	most int
	now  func() time.Time

	mu            sync.Mutex
	began         time.Time // of the current window
	current, last map[refusalKey]int
}

func newRefusals(most int, now func() time.Time) *refusals {
	return &refusals{most: most, now: now, began: now(), current: make(map[refusalKey]int), last: make(map[refusalKey]int)}
}

func (c *refusals) count(key refusalKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	c.current[c.held(key)]++
}

// over reports whether there were too many in the minute before now, of which the
// last window's part is taken to be as dense as the whole.
func (c *refusals) over(key refusalKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	gone := c.advance()
	key = c.held(key)
	left := float64(refusalWindow-gone) / float64(refusalWindow)
	return float64(c.last[key])*left+float64(c.current[key]) >= float64(c.most)
}

// held is the key under which a client is counted: its own while there is room.
func (c *refusals) held(key refusalKey) refusalKey {
	if _, known := c.current[key]; !known && len(c.current) >= mostRefused {
		key.client = ""
	}
	return key
}

// advance begins a new window when the current one is over, and returns how long the
// current one has gone on.
func (c *refusals) advance() (gone time.Duration) {
	now := c.now()
	gone = now.Sub(c.began)
	if gone >= refusalWindow {
		c.current, c.last = c.last, c.current
		clear(c.current)
		if gone >= 2*refusalWindow {
			clear(c.last)
		}
		gone %= refusalWindow
		c.began = now.Add(-gone)
	}
	return gone
}
