package postgres

import (
	"context"
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
	for len(found) > 0 {
		var numbers []int64
		numbers, found = nextToPrune(found)
		var gone int
		err := s.call(ctx, func(ctx context.Context) error {
			return s.pool.QueryRow(ctx, `SELECT prune($1, $2)`, numbers, before).Scan(&gone)
		})
		if err != nil {
			return pruned, err
		}
		pruned += gone
	}
	return pruned, s.call(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, expired, s.nowArg(), limit)
		return err
	})
}

// nextToPrune cuts off what one transaction forgets.
func nextToPrune(found []prunable) (numbers []int64, rest []prunable) {
	updates := 0
	for i, d := range found {
		if updates += d.updates; i > 0 && (i == pruneDeliveries || updates > pruneUpdates) {
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
	const page = `SELECT d.number, d.received_at < $1, own.updates, own.kept > 0 FROM deliveries d CROSS JOIN LATERAL (
			SELECT count(*) AS updates, count(*) FILTER (WHERE u.finished_at IS NULL OR u.finished_at >= $1) AS kept FROM updates u
			WHERE u.sequence BETWEEN d.number * 65536 AND d.number * 65536 + 65535
		) AS own WHERE d.number > $2 ORDER BY d.number LIMIT $3`
	type delivery struct {
		prunable
		old, kept bool
	}
	for last := int64(0); ; {
		var seen []delivery
		err := s.call(ctx, func(ctx context.Context) error {
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
				found = append(found, d.prunable)
			}
		}
		if len(seen) < pruneLook || old == 0 || len(found) >= limit {
			return found, nil
		}
	}
}
