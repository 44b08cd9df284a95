package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/listing"
)

// WaitingDeliveries implements [queue.Waiting]. Its cursor is the last delivery's number.
func (s *Store) WaitingDeliveries(ctx context.Context, p queue.Page) (found []gitops.Delivery, next string, err error) {
	const text = `SELECT ` + deliveryColumns + `, (SELECT body FROM bodies WHERE delivery = d.number)
		FROM deliveries d WHERE d.outcome = 'waiting' AND d.number + 0 > $1 ORDER BY d.number + 0 LIMIT $2`
	after := int64(0)
	if p.Cursor != "" {
		if after, err = position(p.Cursor); err != nil {
			return nil, "", err
		}
	}
	var page []deliveryRow
	err = s.read(ctx, func(ctx context.Context) error {
		page, err = rows(ctx, s.pool, text, []any{after, p.Limit + 1}, func(row pgx.CollectableRow) (d deliveryRow, err error) {
			return d, row.Scan(append(d.into(), &d.Body)...)
		})
		return err
	})
	if err != nil {
		return nil, "", err
	}
	if len(page) > p.Limit {
		page = page[:p.Limit]
		next = listing.Cursor(page[p.Limit-1].number)
	}
	for i := range page {
		d := page[i].delivery()
		d.Updates = []gitops.Update{}
		found = append(found, d)
	}
	return found, next, nil
}

// WaitingCount implements [queue.Waiting].
func (s *Store) WaitingCount(ctx context.Context) (w queue.WaitingCount, err error) {
	const text = `SELECT (SELECT count(*) FROM deliveries WHERE outcome = 'waiting'),
		(SELECT received_at FROM deliveries WHERE outcome = 'waiting' ORDER BY number + 0 LIMIT 1)`
	var oldest *time.Time
	err = s.read(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, text).Scan(&w.Count, &oldest)
	})
	if err != nil {
		return queue.WaitingCount{}, err
	}
	w.Oldest = read(oldest)
	return w, nil
}

// Settle implements [queue.Waiting].
func (s *Store) Settle(ctx context.Context, d gitops.Delivery) (stored gitops.Delivery, settled bool, err error) {
	const call = `SELECT delivery, accepted_at, sequence, coalesce(state, ''), coalesce(reason, '') FROM settle($1, $2, $3, $4, $5)`
	d, err = queue.Settled(d)
	if err != nil {
		return gitops.Delivery{}, false, err
	}
	a, err := newAcceptance(d)
	if err != nil {
		return gitops.Delivery{}, false, err
	}
	a.decided = true
	group := []*acceptance{a}
	deliveries, updates, images, err := acceptArgs(group)
	if err != nil {
		return gitops.Delivery{}, false, err
	}
	err = s.call(ctx, func(ctx context.Context) error {
		answer, err := s.pool.Query(ctx, call, s.nowArg(), deliveries, updates, a.delivery.Body, images)
		if err != nil {
			return err
		}
		return s.fill(group, answer)
	})
	switch {
	case sqlState(err) == uniqueViolation:
		first, _ := s.first(ctx, a.delivery)
		return gitops.Delivery{}, false, queue.ErrBodyCounted(d.Key(), first.Key())
	case err != nil:
		return gitops.Delivery{}, false, err
	case a.existed:
		stored, err = s.Delivery(ctx, d.Key())
		return stored, false, err
	}
	return a.delivery, true, nil
}
