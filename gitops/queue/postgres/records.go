package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// updateColumns are what scanUpdate reads; u is an update, d its delivery and l
// its lane.
const updateColumns = `u.id, d.source, d.id, d.actor, u.environment, u.app, u.repository, u.tag, u.digest, u.state,
	u.code, u.reason, u.object, u.attempts, u.accepted_at, u.settled_at, u.sequence,
	u.state = 'pending' AND u.sequence <= coalesce(l.through, 0)`

// joined are the tables of updateColumns.
const joined = ` u JOIN deliveries d ON d.number = u.sequence / 65536 LEFT JOIN lanes l ON l.environment = u.environment `

func scanUpdate(row pgx.CollectableRow) (u gitops.Update, err error) {
	var settled *time.Time
	err = row.Scan(&u.ID, &u.Delivery.Source, &u.Delivery.ID, &u.Actor, &u.Environment, &u.App, &u.Repository, &u.Tag, &u.Digest, &u.State,
		&u.Code, &u.Reason, &u.Commit, &u.Attempts, &u.AcceptedAt, &settled, &u.Sequence, &u.MaybePushed)
	u.AcceptedAt, u.SettledAt = u.AcceptedAt.UTC(), read(settled)
	return u, err
}

// Delivery implements [queue.Records].
func (s *Store) Delivery(ctx context.Context, key gitops.DeliveryKey) (d gitops.Delivery, err error) {
	const delivery = `SELECT d.number, d.received_at, d.event_time, d.actor, d.remote, d.credential, d.outcome, d.field, d.reason, b.body
		FROM deliveries d JOIN bodies b ON b.delivery = d.number WHERE d.source = $1 AND d.id = $2`
	const updates = `SELECT ` + updateColumns + ` FROM updates` + joined + `WHERE u.sequence BETWEEN $1 AND $2 ORDER BY u.sequence`
	err = s.call(ctx, func(ctx context.Context) error {
		key := cleanKey(key)
		var number int64
		var event *time.Time
		d = gitops.Delivery{Source: key.Source, ID: key.ID}
		found, err := s.one(ctx, delivery, []any{key.Source, key.ID}, &number, &d.ReceivedAt, &event,
			&d.Actor, &d.Remote, &d.Credential, &d.Outcome, &d.Field, &d.Reason, &d.Body)
		if err == nil && !found {
			return gitops.Errorf(gitops.NotFound, "there is no delivery %s", key)
		}
		if err != nil {
			return err
		}
		d.ReceivedAt, d.EventTime = d.ReceivedAt.UTC(), read(event)
		d.Updates, err = s.updates(ctx, updates, number*updatesEach, number*updatesEach+updatesEach-1)
		return err
	})
	if err != nil {
		return gitops.Delivery{}, err
	}
	return d, nil
}

// Update implements [queue.Records].
func (s *Store) Update(ctx context.Context, id string) (u gitops.Update, err error) {
	const update = `SELECT ` + updateColumns + ` FROM updates` + joined + `WHERE u.id = $1`
	err = s.call(ctx, func(ctx context.Context) error {
		found, err := s.updates(ctx, update, clean(id))
		if err == nil && len(found) == 0 {
			return gitops.Errorf(gitops.NotFound, "there is no update %s", id)
		}
		if err == nil {
			u = found[0]
		}
		return err
	})
	return u, err
}

// Backlogs implements [queue.Records]. It reads the index of what is pending. An
// environment that has had an update has a release of an app.
func (s *Store) Backlogs(ctx context.Context) (found []queue.Backlog, err error) {
	const backlogs = `SELECT r.environment,
		(SELECT count(*) FROM updates u WHERE u.environment = r.environment AND u.state = 'pending'),
		(SELECT u.accepted_at FROM updates u WHERE u.environment = r.environment AND u.state = 'pending' ORDER BY u.sequence LIMIT 1),
		CASE l.lease WHEN 'held' THEN l.holder ELSE '' END, l.last_success, l.failing_since, l.retry_at, coalesce(l.code, ''), coalesce(l.reason, '')
		FROM (SELECT DISTINCT environment FROM releases) r LEFT JOIN lanes l ON l.environment = r.environment`
	err = s.call(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, backlogs)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (b queue.Backlog, err error) {
			var oldest, success, failing, again *time.Time
			err = row.Scan(&b.Environment, &b.Pending, &oldest, &b.Holder, &success, &failing, &again, &b.Code, &b.Reason)
			b.Oldest, b.LastSuccess, b.FailingSince, b.RetryAt = read(oldest), read(success), read(failing), read(again)
			return b, err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}
