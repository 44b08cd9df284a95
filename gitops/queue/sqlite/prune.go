package sqlite

import (
	"context"
	"slices"
	"time"
)

const (
	// pruneLook is how many deliveries one read looks at.
	pruneLook = 1000
	// pruneTogether is how many deliveries one transaction forgets, and so how
	// long whoever is accepted meanwhile waits: some milliseconds.
	pruneTogether = 50
)

// Prune implements [queue.Upkeep]. What is to go is looked for beside the writer,
// which checks it again and forgets it in small transactions. The file does not
// become smaller; what was freed in it is used again.
func (s *Store) Prune(ctx context.Context, before time.Time, limit int) (pruned int, err error) {
	const worthless = `DELETE FROM spent WHERE credential IN (SELECT credential FROM spent WHERE until <= ? LIMIT ?)`
	numbers, err := s.prunable(ctx, before, limit)
	if err != nil {
		return 0, err
	}
	for together := range slices.Chunk(numbers, pruneTogether) {
		var gone int
		err := s.writer.do(ctx, func(tx *tx) (err error) {
			gone, err = tx.prune(together, before)
			return err
		})
		if err != nil {
			return pruned, err
		}
		pruned += gone
	}
	return pruned, s.writer.do(ctx, func(tx *tx) error {
		_, _, err := tx.insert(worthless, tx.now.UnixMicro(), limit)
		return err
	})
}

// prunable returns the numbers of the oldest deliveries that may go, at most
// limit. A page with none that arrived before the time ends the search: single
// ones that a clock gave a wrong time do not.
func (s *Store) prunable(ctx context.Context, before time.Time, limit int) (found []int64, err error) {
	const page = `SELECT d.number, d.received_at < ?, EXISTS (` + unended + `) OR EXISTS (` + guarding + `) FROM deliveries d WHERE d.number > ? ORDER BY d.number LIMIT ?`
	last := int64(0)
	for {
		looked, old := 0, 0
		err := s.read(ctx, func(ctx context.Context, c *connection) error {
			return c.query(ctx, page, []any{before.UnixMicro(), before.UnixMicro(), last, pruneLook}, func(r row) error {
				last = r.number(0)
				looked++
				if r.number(1) == 0 {
					return nil
				}
				old++
				if r.number(2) == 0 && len(found) < limit {
					found = append(found, last)
				}
				return nil
			})
		})
		if err != nil {
			return nil, err
		}
		if looked < pruneLook || old == 0 || len(found) >= limit {
			return found, nil
		}
	}
}

// unended finds an update of the delivery d that keeps it: one that has not ended
// before a time.
const unended = `SELECT 1 FROM updates u WHERE u.sequence BETWEEN d.number * 65536 AND d.number * 65536 + 65535
	AND (u.settled_at IS NULL OR u.settled_at >= ?)`

// guarding finds an update of the delivery d that is on the branch, while an older
// one of its app could still be put there: Retry refuses that one because of it.
const guarding = `SELECT 1 FROM updates u WHERE u.sequence BETWEEN d.number * 65536 AND d.number * 65536 + 65535
	AND u.state IN ('committed', 'unchanged') AND (
		EXISTS (SELECT 1 FROM updates older INDEXED BY updates_ended_app WHERE older.app = u.app AND older.environment = u.environment
			AND older.state = 'failed' AND older.state <> 'pending' AND older.sequence < u.sequence)
		OR EXISTS (SELECT 1 FROM updates older INDEXED BY updates_pending WHERE older.environment = u.environment
			AND older.sequence < u.sequence AND older.app = u.app AND older.state = 'pending'))`

// prune forgets those of the deliveries that still may go.
func (tx *tx) prune(numbers []int64, before time.Time) (gone int, err error) {
	const delivery = `DELETE FROM deliveries AS d WHERE d.number = ? AND NOT EXISTS (` + unended + `)`
	const steps = `DELETE FROM steps WHERE sequence BETWEEN ? AND ?`
	const updates = `DELETE FROM updates WHERE sequence BETWEEN ? AND ?`
	const highest = `INSERT INTO numbers (name, highest) VALUES ('deliveries', ?), ('steps', ?) ON CONFLICT DO UPDATE SET highest = excluded.highest`
	for _, number := range numbers {
		_, deleted, err := tx.insert(delivery, number, before.UnixMicro())
		if err != nil {
			return 0, err
		}
		if !deleted {
			continue
		}
		gone++
		for _, text := range []string{steps, updates} {
			if err := tx.exec(text, number*updatesEach, number*updatesEach+updatesEach-1); err != nil {
				return 0, err
			}
		}
	}
	if gone == 0 {
		return 0, nil
	}
	return gone, tx.exec(highest, tx.latest.delivery, tx.latest.step)
}
