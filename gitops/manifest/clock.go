package manifest

import (
	"sync/atomic"
	"time"
)

// stepClock knows when the actor last made a step. Safe for concurrent use.
type stepClock struct {
	idle atomic.Bool
	at   atomic.Pointer[time.Time]
}

func (c *stepClock) step() {
	now := time.Now()
	c.at.Store(&now)
}

func (c *stepClock) last() time.Time {
	at := c.at.Load()
	if at == nil || c.idle.Load() {
		return time.Now()
	}
	return *at
}
