package simulation

import (
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"
)

// chance draws everything from one seed. Each name is a sequence of its own, so
// that what one part draws does not depend on how often another did.
type chance struct {
	seed uint64

	mu      sync.Mutex
	streams map[string]*rand.Rand
	taken   map[int64]bool // moments at which something is due
}

func newChance(seed uint64) *chance {
	return &chance{seed: seed, streams: make(map[string]*rand.Rand), taken: make(map[int64]bool)}
}

// of returns the sequence of a name. It belongs to one goroutine at a time.
func (c *chance) of(name string) *rand.Rand {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.streams[name]
	if !ok {
		r = c.fresh(name)
		c.streams[name] = r
	}
	return r
}

// fresh returns the sequence of a name from its beginning.
func (c *chance) fresh(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash takes everything
	return rand.New(rand.NewPCG(c.seed, h.Sum64()))
}

// turn is what the seed says of one call across a boundary.
type turn struct {
	out, back time.Duration // how long it takes there, and the answer back
	fault     float64       // which fault it meets, from 0 to 1
	detail    uint64        // of the fault
	survives  bool          // it arrives although its caller has gone
}

// turn draws the next call's.
func (c *chance) turn(name string, typical time.Duration) turn {
	r := c.of(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	return turn{
		out: typical/4 + time.Duration(r.Int64N(int64(typical))), back: typical/4 + time.Duration(r.Int64N(int64(typical))),
		fault: r.Float64(), detail: r.Uint64(), survives: r.IntN(2) == 0,
	}
}

// alone makes a wait end at a moment at which no other does: what falls together
// happens in an order that nobody has drawn.
func (c *chance) alone(d time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.taken[time.Now().Add(d).UnixNano()] {
		d++
	}
	c.taken[time.Now().Add(d).UnixNano()] = true
	return d
}

// between draws a time.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)))
}

// one draws from a list.
func one[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }
