package sqlite

import (
	"context"
	"maps"
	"sync"
)

// counts is how many updates wait in each lane, so that nobody who asks counts
// them. The writer keeps it: it is what the last transaction left.
type counts struct {
	mu      sync.Mutex
	pending map[string]int64 // by environment
}

func readPending(c *connection) (map[string]int64, error) {
	const pending = `SELECT environment, count(*) FROM updates WHERE state = 'pending' GROUP BY environment`
	found := make(map[string]int64)
	err := c.query(context.Background(), pending, nil, func(r row) error {
		found[r.text(0)] = r.number(1)
		return nil
	})
	return found, err
}

// reset forgets what was counted for what the file has.
func (c *counts) reset(pending map[string]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = pending
}

// add counts what a transaction changed.
func (c *counts) add(changes map[string]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for environment, n := range changes {
		c.pending[environment] += n
	}
}

func (c *counts) now() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.pending)
}
