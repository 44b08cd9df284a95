package manifest

import (
	"sync/atomic"
	"time"
)

// stepClock knows when the actor last made a step. Safe for concurrent use.
type stepClock struct{ at atomic.Int64 } // in nanoseconds; 0 while it has nothing to do

func (c *stepClock) step() { c.at.Store(time.Now().UnixNano()) }
func (c *stepClock) rest() { c.at.Store(0) }

func (c *stepClock) last() time.Time {
	if at := c.at.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Now()
}
