package sqlite

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/listing"
)

// checkWaiting fails for a delivery that would wait where as many as may wait already.
func (tx *tx) checkWaiting(d gitops.Delivery) error {
	if d.Outcome != gitops.OutcomeWaiting {
		return nil
	}
	w, err := readWaiting(context.Background(), tx.connection)
	if err == nil && w.Count >= queue.MaxWaiting {
		err = queue.ErrTooManyWait()
	}
	return err
}

// WaitingDeliveries implements [queue.Waiting]. Its cursor is the last delivery's number.
func (s *Store) WaitingDeliveries(ctx context.Context, p queue.Page) (found []gitops.Delivery, next string, err error) {
	const deliveries = `SELECT ` + deliveryColumns + `, b.body FROM deliveries` + ofSender + `CROSS JOIN bodies b ON b.delivery = d.number
		WHERE d.outcome = 'waiting' AND d.number > ? ORDER BY d.number LIMIT ?`
	after := int64(0)
	if p.Cursor != "" {
		if after, err = parseNumber(p.Cursor); err != nil {
			return nil, "", err
		}
	}
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		return c.query(ctx, deliveries, []any{after, p.Limit + 1}, func(r row) error {
			if len(found) == p.Limit {
				next = listing.Cursor(after)
				return nil
			}
			d := scanDelivery(r)
			d.Body, d.Updates, after = r.bytes(deliveryWidth), []gitops.Update{}, r.number(0)
			found = append(found, d)
			return nil
		})
	})
	if err != nil {
		return nil, "", err
	}
	return found, next, nil
}

// WaitingCount implements [queue.Waiting].
func (s *Store) WaitingCount(ctx context.Context) (w queue.WaitingCount, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		w, err = readWaiting(ctx, c)
		return err
	})
	return w, err
}

func readWaiting(ctx context.Context, c *connection) (w queue.WaitingCount, err error) {
	const waiting = `SELECT (SELECT count(*) FROM deliveries INDEXED BY deliveries_waiting WHERE outcome = 'waiting'),
		(SELECT received_at FROM deliveries INDEXED BY deliveries_waiting WHERE outcome = 'waiting' ORDER BY number LIMIT 1)`
	_, err = c.one(ctx, waiting, nil, func(r row) { w = queue.WaitingCount{Count: int(r.number(0)), Oldest: r.time(1)} })
	return w, err
}

// Settle implements [queue.Waiting]. The delivery gets a new number, so that the
// sequences of its updates follow acceptance, and the row that waits goes in the same
// transaction.
func (s *Store) Settle(ctx context.Context, d gitops.Delivery) (stored gitops.Delivery, settled bool, err error) {
	d, err = queue.Settled(d)
	if err != nil {
		return gitops.Delivery{}, false, err
	}
	if err := checkUpdates(d.Updates); err != nil {
		return gitops.Delivery{}, false, err
	}
	err = s.writer.run(ctx, &request{updates: 1 + len(d.Updates), bytes: len(d.Body), work: func(tx *tx) (err error) {
		stored, settled, err = tx.settle(d)
		return err
	}})
	if err != nil {
		return gitops.Delivery{}, false, err
	}
	return stored, settled, nil
}

func (tx *tx) settle(d gitops.Delivery) (stored gitops.Delivery, settled bool, err error) {
	const remove = `DELETE FROM deliveries WHERE prefix = ? AND source = ? AND id = ? AND outcome = 'waiting'`
	if err := tx.checkRoom(); err != nil {
		return gitops.Delivery{}, false, err
	}
	removed, err := tx.change(remove, prefixOf(d.Key()), d.Source, d.ID)
	if err != nil {
		return gitops.Delivery{}, false, err
	}
	if removed == 0 {
		stored, err = readDelivery(context.Background(), tx.connection, d.Key(), tx.now)
		return stored, false, err
	}
	d.DecidedAt = rounded(tx.now)
	stored, duplicate, err := tx.accept(d)
	if err == nil && duplicate {
		err = queue.ErrBodyCounted(d.Key(), stored.Key())
	}
	return stored, err == nil, err
}
