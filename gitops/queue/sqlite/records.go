package sqlite

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// updateColumns are what scanUpdate reads; u is an update, d its delivery and l
// its lane.
const updateColumns = `u.id, d.source, d.id, d.actor, u.environment, u.app, u.repository, u.tag, u.digest, u.state,
	u.code, u.reason, u.object, u.attempts, u.accepted_at, u.settled_at, u.sequence,
	u.state = 'pending' AND u.sequence <= l.through`

// joins are the tables of updateColumns beside the updates. CROSS keeps the order
// of the joins, which is the one that reads the fewest rows
// (sqlite.org/optoverview.html#crossjoin).
const joins = ` CROSS JOIN deliveries d ON d.number = u.sequence / 65536 CROSS JOIN lanes l ON l.environment = u.environment `

// joined are they behind the table's name.
const joined = ` u` + joins

func scanUpdate(r row) gitops.Update {
	return gitops.Update{
		ID:       r.text(0),
		Delivery: gitops.DeliveryKey{Source: r.text(1), ID: r.text(2)}, Actor: r.text(3),
		Environment: r.text(4), App: r.text(5), Repository: r.text(6), Tag: r.text(7), Digest: r.text(8),
		State: gitops.State(r.text(9)), Code: gitops.Code(r.text(10)), Reason: r.text(11), Commit: r.text(12),
		Attempts: int(r.number(13)), AcceptedAt: r.time(14), SettledAt: r.time(15),
		Sequence: r.number(16), MaybePushed: r.number(17) != 0,
	}
}

// deliveryColumns are what scanDelivery reads; d is a delivery.
const deliveryColumns = `d.number, d.source, d.id, d.received_at, d.event_time, d.actor, d.remote, d.credential, d.outcome, d.field, d.reason`

// scanDelivery reads a delivery without its body and updates.
func scanDelivery(r row) gitops.Delivery {
	return gitops.Delivery{
		Source: r.text(1), ID: r.text(2), ReceivedAt: r.time(3), EventTime: r.time(4), Actor: r.text(5),
		Remote: r.text(6), Credential: r.text(7), Outcome: gitops.Outcome(r.text(8)), Field: r.text(9), Reason: r.text(10),
	}
}

// Delivery implements [queue.Records].
func (s *Store) Delivery(ctx context.Context, key gitops.DeliveryKey) (d gitops.Delivery, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		d, err = readDelivery(ctx, c, key)
		return err
	})
	return d, err
}

func readDelivery(ctx context.Context, c *connection, key gitops.DeliveryKey) (d gitops.Delivery, err error) {
	const delivery = `SELECT ` + deliveryColumns + `, b.body
		FROM deliveries d JOIN bodies b ON b.delivery = d.number WHERE d.source = ? AND d.id = ?`
	var number int64
	found, err := c.one(ctx, delivery, []any{key.Source, key.ID}, func(r row) {
		number, d = r.number(0), scanDelivery(r)
		d.Body = r.bytes(11)
	})
	if err == nil && !found {
		err = gitops.Errorf(gitops.NotFound, "there is no delivery %s", key)
	}
	if err == nil {
		d.Updates, err = updatesOf(ctx, c, number)
	}
	if err != nil {
		return gitops.Delivery{}, err
	}
	return d, nil
}

// updatesOf returns the updates of the delivery with this number, as they were
// planned.
func updatesOf(ctx context.Context, c *connection, number int64) ([]gitops.Update, error) {
	const updates = `SELECT ` + updateColumns + ` FROM updates` + joined + `WHERE u.sequence BETWEEN ? AND ? ORDER BY u.sequence`
	found := []gitops.Update{}
	err := c.query(ctx, updates, []any{number * updatesEach, number*updatesEach + updatesEach - 1}, func(r row) error {
		found = append(found, scanUpdate(r))
		return nil
	})
	return found, err
}

// Update implements [queue.Records].
func (s *Store) Update(ctx context.Context, id string) (u gitops.Update, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		u, err = readUpdate(ctx, c, id)
		return err
	})
	return u, err
}

func readUpdate(ctx context.Context, c *connection, id string) (u gitops.Update, err error) {
	const update = `SELECT ` + updateColumns + ` FROM updates` + joined + `WHERE u.id = ?`
	found, err := c.one(ctx, update, []any{id}, func(r row) { u = scanUpdate(r) })
	if err == nil && !found {
		err = gitops.Errorf(gitops.NotFound, "there is no update %s", id)
	}
	if err == nil {
		u.Steps, err = stepsOf(ctx, c, u.Sequence)
	}
	if err != nil {
		return gitops.Update{}, err
	}
	return u, nil
}

// Backlogs implements [queue.Records]. What waits is not counted here, so it costs
// the same however much it is.
func (s *Store) Backlogs(ctx context.Context) (found []queue.Backlog, err error) {
	const backlogs = `SELECT l.environment,
		(SELECT u.accepted_at FROM updates u WHERE u.environment = l.environment AND u.state = 'pending' ORDER BY u.sequence LIMIT 1),
		CASE l.lease WHEN 'held' THEN l.holder ELSE '' END, l.last_success, l.failing_since, l.retry_at, l.code, l.reason
		FROM lanes l WHERE l.used = 1`
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		pending := s.counts.now()
		return c.query(ctx, backlogs, nil, func(r row) error {
			b := queue.Backlog{
				Environment: r.text(0), Pending: int(pending[r.text(0)]), Oldest: r.time(1), Holder: r.text(2),
				LastSuccess: r.time(3), FailingSince: r.time(4), RetryAt: r.time(5), Code: gitops.Code(r.text(6)), Reason: r.text(7),
			}
			// The two were looked up a moment apart; of a lane that was or became
			// empty between, both say so.
			if b.Pending == 0 || b.Oldest.IsZero() {
				b.Pending, b.Oldest = 0, time.Time{}
			}
			found = append(found, b)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}
