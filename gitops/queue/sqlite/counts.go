package sqlite

import (
	"context"
	"maps"
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
)

// waiting is what open updates are counted by: the first kind of what blocks
// them, "" when nothing does, or proposed.
type waiting struct {
	environment string
	kind        gitops.BlockKind
}

// proposed stands in the place of a kind for updates in this state.
const proposed = gitops.BlockKind(gitops.Proposed)

// counts is how many updates are open in each lane, so that no question counts them.
// The writer keeps it: it is what the last transaction left.
type counts struct {
	mu      sync.Mutex
	updates map[waiting]int64
}

// countOpen counts what the file has, once at the start.
func countOpen(c *connection) (map[waiting]int64, error) {
	const ready = `SELECT environment, '', count(*) FROM updates INDEXED BY updates_ready
		WHERE state = 'pending' AND ready_at IS NULL GROUP BY environment`
	const blocked = `SELECT environment, blocked_kind, 1 FROM updates INDEXED BY updates_blocked
		WHERE state = 'pending' AND blocked_kind <> ''`
	const open = `SELECT environment, state, 1 FROM updates INDEXED BY updates_proposed WHERE state = 'proposed'`
	found := make(map[waiting]int64)
	for _, text := range []string{ready, blocked, open} {
		err := c.query(context.Background(), text, nil, func(r row) error {
			found[waiting{r.text(0), gitops.BlockKind(r.text(1))}] += r.number(2)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// reset replaces what was counted by what the file has.
func (c *counts) reset(updates map[waiting]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.updates = updates
}

// add counts what a transaction changed.
func (c *counts) add(changes map[waiting]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w, n := range changes {
		c.updates[w] += n
	}
}

func (c *counts) now() map[waiting]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.updates)
}
