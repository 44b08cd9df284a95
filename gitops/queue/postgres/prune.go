package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// One read looks at so many deliveries, and one transaction forgets deliveries with so
// many updates, or one delivery that has more.
const (
	pruneLook       = 200
	pruneDeliveries = 100
	pruneUpdates    = 1000
)

var _ queue.Pruner = (*Store)(nil)

// prunable is a delivery that may go.
type prunable struct {
	number  int64
	updates int
	before  time.Time // it arrived, and its updates were final, before that
}

// Prune implements [queue.Pruner]. What is accepted meanwhile does not wait for it.
func (s *Store) Prune(ctx context.Context, before time.Time, limit int) (pruned int, err error) {
	const expired = `DELETE FROM used_tokens WHERE credential IN
		(SELECT credential FROM used_tokens WHERE until <= coalesce($1, clock_timestamp()) ORDER BY until LIMIT $2)`
	before = rounded(before)
	found, err := s.prunable(ctx, before, limit)
	if err != nil {
		return 0, err
	}
	unaccepted, err := s.unaccepted(ctx, limit)
	if err != nil {
		return 0, err
	}
	found = inOrder(append(found, unaccepted...), limit)
	for len(found) > 0 {
		var numbers []int64
		before := found[0].before
		numbers, found = nextToPrune(found)
		var gone int
		err := s.call(ctx, func(ctx context.Context) error {
			return s.pool.QueryRow(ctx, `SELECT prune($1, $2, coalesce($3, clock_timestamp()) - $4::interval)`, numbers, before, s.nowArg(), queue.MemoryFor).Scan(&gone)
		})
		if err != nil {
			return pruned, err
		}
		pruned += gone
	}
	err = s.call(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, expired, s.nowArg(), limit)
		return err
	})
	if err != nil {
		return pruned, err
	}
	if err := s.pruneAudit(ctx); err != nil {
		return pruned, err
	}
	return pruned, s.pruneHolds(ctx)
}

// pruneHolds forgets holds that ended longer ago than [queue.MemoryFor].
func (s *Store) pruneHolds(ctx context.Context) error {
	const prune = `SELECT prune_holds(coalesce($1, clock_timestamp()) - $2::interval, $3)`
	return s.pruneAll(ctx, prune)
}

// pruneAudit forgets the audit, and what is remembered of deliveries, after
// [queue.MemoryFor].
func (s *Store) pruneAudit(ctx context.Context) error {
	const prune = `SELECT prune_audit(coalesce($1, clock_timestamp()) - $2::interval, $3)`
	return s.pruneAll(ctx, prune)
}

// pruneAll forgets what is older than [queue.MemoryFor], in parts.
func (s *Store) pruneAll(ctx context.Context, prune string) error {
	for gone := pruneUpdates; gone == pruneUpdates; {
		err := s.call(ctx, func(ctx context.Context) error {
			return s.pool.QueryRow(ctx, prune, s.nowArg(), queue.MemoryFor, pruneUpdates).Scan(&gone)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// inOrder are the oldest of the deliveries, each once, at most limit.
func inOrder(found []prunable, limit int) []prunable {
	slices.SortStableFunc(found, func(a, b prunable) int { return cmp.Compare(a.number, b.number) })
	found = slices.CompactFunc(found, func(a, b prunable) bool { return a.number == b.number })
	return found[:min(limit, len(found))]
}

// nextToPrune cuts off what one transaction forgets.
func nextToPrune(found []prunable) (numbers []int64, rest []prunable) {
	updates := 0
	for i, d := range found {
		if updates += d.updates; i > 0 && (i == pruneDeliveries || updates > pruneUpdates || !d.before.Equal(found[0].before)) {
			return numbers, found[i:]
		}
		numbers = append(numbers, d.number)
	}
	return numbers, nil
}

// prunable returns the oldest deliveries that may go, at most limit. A page with none
// that arrived before the time ends the search: single ones that a clock gave a wrong
// time do not.
func (s *Store) prunable(ctx context.Context, before time.Time, limit int) (found []prunable, err error) {
	const page = `SELECT d.number, greatest(d.received_at, d.decided_at) < $1, own.updates, d.outcome = 'waiting' OR own.kept > 0 FROM deliveries d CROSS JOIN LATERAL (
			SELECT count(*) AS updates, count(*) FILTER (WHERE u.finished_at IS NULL OR u.finished_at >= $1) AS kept FROM updates u
			WHERE u.sequence BETWEEN d.number * 65536 AND d.number * 65536 + 65535
		) AS own WHERE d.number > $2 ORDER BY d.number LIMIT $3`
	return s.searchPrunable(ctx, page, before, limit)
}

// unaccepted is prunable for the rejected and ignored deliveries, which go earlier. What
// waits stays until it is decided.
func (s *Store) unaccepted(ctx context.Context, limit int) (found []prunable, err error) {
	const edge = `SELECT coalesce($1, clock_timestamp()) - $2::interval`
	const page = `SELECT d.number, greatest(d.received_at, d.decided_at) < $1, own.updates, d.outcome = 'waiting' OR own.kept > 0 FROM deliveries d CROSS JOIN LATERAL (
			SELECT count(*) AS updates, count(*) FILTER (WHERE u.finished_at IS NULL OR u.finished_at >= $1) AS kept FROM updates u
			WHERE u.sequence BETWEEN d.number * 65536 AND d.number * 65536 + 65535
		) AS own WHERE d.outcome <> 'accepted' AND d.number + 0 > $2 ORDER BY d.number + 0 LIMIT $3`
	var before time.Time
	err = s.read(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, edge, s.nowArg(), queue.UnacceptedFor).Scan(&before)
	})
	if err != nil {
		return nil, err
	}
	return s.searchPrunable(ctx, page, before, limit)
}

func (s *Store) searchPrunable(ctx context.Context, page string, before time.Time, limit int) (found []prunable, err error) {
	type delivery struct {
		prunable
		old, kept bool
	}
	for last := int64(0); ; {
		var seen []delivery
		err := s.read(ctx, func(ctx context.Context) error {
			seen, err = rows(ctx, s.pool, page, []any{before, last, pruneLook}, func(row pgx.CollectableRow) (d delivery, err error) {
				return d, row.Scan(&d.number, &d.old, &d.updates, &d.kept)
			})
			return err
		})
		if err != nil {
			return nil, err
		}
		old := 0
		for _, d := range seen {
			last = d.number
			if !d.old {
				continue
			}
			old++
			if !d.kept && len(found) < limit {
				d.before = before
				found = append(found, d.prunable)
			}
		}
		if len(seen) < pruneLook || old == 0 || len(found) >= limit {
			return found, nil
		}
	}
}
