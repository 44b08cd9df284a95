package sqlite

import (
	"context"
	"time"
)

const (
	// pruneLook is how many deliveries one read looks at.
	pruneLook = 1000
	// pruneRows is how many rows one transaction forgets, unless one delivery has
	// more, and so how long whoever is accepted meanwhile waits: some milliseconds.
	pruneRows = 200
)

// prunable is a delivery that may be forgotten.
type prunable struct {
	number int64
	rows   int // its own and its updates'
}

// Prune implements [queue.Pruner]. What is to go is looked for beside the writer,
// which checks it again and forgets it in small transactions. The file does not
// become smaller; what was freed in it is used again.
func (s *Store) Prune(ctx context.Context, before time.Time, limit int) (pruned int, err error) {
	found, err := s.prunable(ctx, before, limit)
	if err != nil {
		return 0, err
	}
	for len(found) > 0 {
		n, rows := together(found)
		var gone int
		err := s.writer.run(ctx, &request{updates: rows, work: func(tx *tx) (err error) {
			gone, err = tx.prune(found[:n], before)
			return err
		}})
		if err != nil {
			return pruned, err
		}
		pruned += gone
		found = found[n:]
	}
	return pruned, s.pruneTokens(ctx)
}

// together returns how many of the deliveries one transaction forgets.
func together(found []prunable) (n, rows int) {
	for _, d := range found {
		if n > 0 && rows+d.rows > pruneRows {
			break
		}
		n++
		rows += d.rows
	}
	return n, rows
}

// pruneTokens forgets the credentials whose time is over.
func (s *Store) pruneTokens(ctx context.Context) error {
	const worthless = `DELETE FROM used_tokens WHERE credential IN (SELECT credential FROM used_tokens WHERE until <= ? LIMIT ?)`
	for {
		var gone int64
		err := s.writer.run(ctx, &request{updates: pruneRows, work: func(tx *tx) (err error) {
			gone, err = tx.change(worthless, tx.now.UnixMicro(), pruneRows)
			return err
		}})
		if err != nil || gone < pruneRows {
			return err
		}
	}
}

// prunable returns the oldest deliveries that may go, at most limit. A page with
// none that arrived before the time ends the search: single ones that a clock gave
// a wrong time do not.
func (s *Store) prunable(ctx context.Context, before time.Time, limit int) (found []prunable, err error) {
	const page = `SELECT d.number, d.received_at < ?, EXISTS (` + keeping + `), (SELECT count(*) FROM updates u WHERE ` + itsUpdates + `)
		FROM deliveries d WHERE d.number > ? ORDER BY d.number LIMIT ?`
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
					found = append(found, prunable{last, 1 + int(r.number(3))})
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

// itsUpdates says that the update u is of the delivery d.
const itsUpdates = `u.sequence BETWEEN d.number * 65536 AND d.number * 65536 + 65535`

// keeping finds an update of the delivery d that keeps it: one that was not final
// before a time.
const keeping = `SELECT 1 FROM updates u WHERE ` + itsUpdates + ` AND (u.finished_at IS NULL OR u.finished_at >= ?)`

// prune forgets those of the deliveries that still may go.
func (tx *tx) prune(found []prunable, before time.Time) (gone int, err error) {
	const delivery = `DELETE FROM deliveries AS d WHERE d.number = ? AND NOT EXISTS (` + keeping + `)`
	const steps = `DELETE FROM steps WHERE sequence BETWEEN ? AND ?`
	const updates = `DELETE FROM updates WHERE sequence BETWEEN ? AND ?`
	const highest = `INSERT INTO numbers (name, highest) VALUES ('deliveries', ?), ('steps', ?) ON CONFLICT DO UPDATE SET highest = excluded.highest`
	for _, d := range found {
		deleted, err := tx.change(delivery, d.number, before.UnixMicro())
		if err != nil {
			return 0, err
		}
		if deleted == 0 {
			continue
		}
		gone++
		for _, text := range []string{steps, updates} {
			if err := tx.exec(text, d.number*sequencesEach, d.number*sequencesEach+sequencesEach-1); err != nil {
				return 0, err
			}
		}
	}
	if gone == 0 {
		return 0, nil
	}
	return gone, tx.exec(highest, tx.latest.delivery, tx.latest.step)
}
