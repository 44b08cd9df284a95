package sqlite

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

const (
	// pruneLook is how many deliveries one read looks at.
	pruneLook = 1000
	// pruneRows is how many rows one transaction forgets, unless one delivery has
	// more, and so how long whoever is accepted meanwhile waits: some milliseconds.
	pruneRows = 200
)

// prunable is a delivery that may be forgotten: what it keeps was final, and it
// arrived, before a time.
type prunable struct {
	number int64
	rows   int // its own and its updates'
	before time.Time
}

// Prune implements [queue.Pruner]. What is to go is looked for beside the writer,
// which checks it again and forgets it in small transactions. The file does not
// become smaller; what was freed in it is used again.
func (s *Store) Prune(ctx context.Context, before time.Time, limit int) (pruned int, err error) {
	found, err := s.prunable(ctx, before, limit)
	if err != nil {
		return 0, err
	}
	unaccepted, err := s.unaccepted(ctx, s.now().Add(-queue.UnacceptedFor), limit)
	if err != nil {
		return 0, err
	}
	found = inOrder(append(found, unaccepted...), limit)
	for len(found) > 0 {
		n, rows := together(found)
		var gone int
		err := s.writer.run(ctx, &request{updates: rows, work: func(tx *tx) (err error) {
			gone, err = tx.prune(found[:n])
			return err
		}})
		if err != nil {
			return pruned, err
		}
		pruned += gone
		found = found[n:]
	}
	return pruned, s.pruneRest(ctx)
}

// inOrder are the oldest of the deliveries, each once, at most limit.
func inOrder(found []prunable, limit int) []prunable {
	slices.SortStableFunc(found, func(a, b prunable) int { return cmp.Compare(a.number, b.number) })
	found = slices.CompactFunc(found, func(a, b prunable) bool { return a.number == b.number })
	return found[:min(limit, len(found))]
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

// pruneRest forgets the credentials whose time is over, and what was remembered for
// long enough, as holds that have ended are. A hold goes with its changes.
func (s *Store) pruneRest(ctx context.Context) error {
	const worthless = `DELETE FROM used_tokens WHERE credential IN (SELECT credential FROM used_tokens WHERE until <= ? LIMIT ?)`
	const memories = `DELETE FROM memories WHERE hash IN (SELECT hash FROM memories WHERE received_at < ? LIMIT ?)`
	const holds = `DELETE FROM holds WHERE number IN (SELECT number FROM holds WHERE ifnull(lifted_at, until) < ? LIMIT ?)`
	for {
		var gone int64
		err := s.writer.run(ctx, &request{updates: pruneRows, work: func(tx *tx) error {
			tokens, err := tx.change(worthless, tx.now.UnixMicro(), pruneRows)
			if err != nil {
				return err
			}
			before := tx.now.Add(-queue.MemoryFor)
			hashes, err := tx.change(memories, before.UnixMicro(), pruneRows)
			if err != nil {
				return err
			}
			ended, err := tx.change(holds, before.UnixMicro(), pruneRows)
			if err == nil && ended > 0 {
				err = tx.saveHighest()
			}
			if err != nil {
				return err
			}
			entries, err := tx.pruneAudit(before)
			gone = max(tokens, hashes, ended, entries)
			return err
		}})
		if err != nil || gone < pruneRows {
			return err
		}
	}
}

// pruneAudit forgets entries of before a time. The time stands in audit_pruning while
// they go, and with the transaction it is gone.
func (tx *tx) pruneAudit(before time.Time) (gone int64, err error) {
	const old = `SELECT 1 FROM audit WHERE at < ? LIMIT 1`
	const open = `INSERT INTO audit_pruning (before) VALUES (?)`
	const entries = `DELETE FROM audit WHERE sequence IN (SELECT sequence FROM audit WHERE at < ? ORDER BY at LIMIT ?)`
	const end = `DELETE FROM audit_pruning`
	found, err := tx.one(context.Background(), old, []any{before.UnixMicro()}, func(row) {})
	if err != nil || !found {
		return 0, err
	}
	if err := tx.exec(open, before.UnixMicro()); err != nil {
		return 0, err
	}
	if gone, err = tx.change(entries, before.UnixMicro(), pruneRows); err != nil {
		return 0, err
	}
	if err := tx.exec(end); err != nil {
		return 0, err
	}
	return gone, tx.saveHighest()
}

// prunable returns the oldest deliveries that may go, at most limit. A page with
// none that arrived before the time ends the search: single ones that a clock gave
// a wrong time do not.
func (s *Store) prunable(ctx context.Context, before time.Time, limit int) (found []prunable, err error) {
	const page = `SELECT d.number, max(d.received_at, ifnull(d.decided_at, 0)) < ?, d.outcome = 'waiting' OR EXISTS (` + keeping + `), (SELECT count(*) FROM updates u WHERE ` + itsUpdates + `)
		FROM deliveries d WHERE d.number > ? ORDER BY d.number LIMIT ?`
	return s.searchPrunable(ctx, page, before, limit)
}

// unaccepted is prunable for the rejected and ignored deliveries, which go earlier. What
// waits stays until it is decided.
func (s *Store) unaccepted(ctx context.Context, before time.Time, limit int) (found []prunable, err error) {
	const page = `SELECT d.number, max(d.received_at, ifnull(d.decided_at, 0)) < ?, d.outcome = 'waiting' OR EXISTS (` + keeping + `), (SELECT count(*) FROM updates u WHERE ` + itsUpdates + `)
		FROM deliveries d INDEXED BY deliveries_unaccepted WHERE d.outcome <> 'accepted' AND d.number > ? ORDER BY d.number LIMIT ?`
	return s.searchPrunable(ctx, page, before, limit)
}

func (s *Store) searchPrunable(ctx context.Context, page string, before time.Time, limit int) (found []prunable, err error) {
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
					found = append(found, prunable{last, 1 + int(r.number(3)), before})
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

// prune forgets those of the deliveries that still may go. Their orders stay in the
// audit, and their keys are remembered.
func (tx *tx) prune(found []prunable) (gone int, err error) {
	const still = `SELECT 1 FROM deliveries d WHERE d.number = ? AND NOT EXISTS (` + keeping + `)`
	const delivery = `DELETE FROM deliveries WHERE number = ?`
	const orders = `INSERT INTO audit SELECT * FROM orders WHERE sequence BETWEEN ? AND ?`
	const steps = `DELETE FROM steps WHERE sequence BETWEEN ? AND ?`
	const updates = `DELETE FROM updates WHERE sequence BETWEEN ? AND ?`
	for _, d := range found {
		may, err := tx.one(context.Background(), still, []any{d.number, d.before.UnixMicro()}, func(row) {})
		if err != nil {
			return 0, err
		}
		if !may {
			continue
		}
		gone++
		if err := tx.remember(d.number); err != nil {
			return 0, err
		}
		for _, text := range []string{orders, steps, updates} {
			if err := tx.exec(text, d.number*sequencesEach, d.number*sequencesEach+sequencesEach-1); err != nil {
				return 0, err
			}
		}
		if err := tx.exec(delivery, d.number); err != nil {
			return 0, err
		}
	}
	if gone == 0 {
		return 0, nil
	}
	return gone, tx.saveHighest()
}

// saveHighest keeps the highest numbers that were given, whose rows may be gone.
func (tx *tx) saveHighest() error {
	const highest = `INSERT INTO numbers (name, highest) VALUES ('deliveries', ?), ('steps', ?) ON CONFLICT DO UPDATE SET highest = excluded.highest`
	return tx.exec(highest, tx.latest.delivery, tx.latest.step)
}
