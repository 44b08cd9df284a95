// Package clocktest is a clock for tests, which stands still until a test moves it.
package clocktest

import (
	"sync"
	"time"
)

// Clock is a time that a test sets. Safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// New makes a clock that begins at noon of a day, which is the same in every run.
func New() *Clock { return At(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) }

// At makes a clock that begins at a time.
func At(began time.Time) *Clock { return &Clock{now: began} }

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Pass has a while pass. A negative while sets the clock back.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
