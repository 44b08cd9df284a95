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

// joins are the other tables of updateColumns.
const joins = ` JOIN deliveries d ON d.number = u.sequence / 65536 LEFT JOIN lanes l ON l.environment = u.environment `

// updateRow is a row of updateColumns.
type updateRow struct {
	gitops.Update
	settledAt *time.Time
}

// into is where the row's columns go.
func (u *updateRow) into() []any {
	return []any{&u.ID, &u.Delivery.Source, &u.Delivery.ID, &u.Actor, &u.Environment, &u.App, &u.Repository, &u.Tag, &u.Digest, &u.State,
		&u.Code, &u.Reason, &u.Commit, &u.Attempts, &u.AcceptedAt, &u.settledAt, &u.Sequence, &u.MaybePushed}
}

// update is what was read.
func (u *updateRow) update() gitops.Update {
	u.AcceptedAt, u.SettledAt = u.AcceptedAt.UTC(), read(u.settledAt)
	return u.Update
}

// updates runs a query for updates.
func updates(ctx context.Context, on asker, text string, args ...any) ([]gitops.Update, error) {
	return rows(ctx, on, text, args, func(row pgx.CollectableRow) (gitops.Update, error) {
		var u updateRow
		err := row.Scan(u.into()...)
		return u.update(), err
	})
}

// rows collects what each makes of a query's rows.
func rows[T any](ctx context.Context, on asker, text string, args []any, each pgx.RowToFunc[T]) ([]T, error) {
	found, err := on.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, each)
}

// deliveryColumns are what a deliveryRow reads; d is a delivery.
const deliveryColumns = `d.number, d.source, d.id, d.received_at, d.event_time, d.actor, d.remote, d.credential, d.outcome, d.field, d.reason`

// deliveryRow is a row of deliveryColumns.
type deliveryRow struct {
	number int64
	gitops.Delivery
	eventTime *time.Time
}

func (d *deliveryRow) into() []any {
	return []any{&d.number, &d.Source, &d.ID, &d.ReceivedAt, &d.eventTime, &d.Actor, &d.Remote, &d.Credential, &d.Outcome, &d.Field, &d.Reason}
}

func (d *deliveryRow) delivery() gitops.Delivery {
	d.ReceivedAt, d.EventTime = d.ReceivedAt.UTC(), read(d.eventTime)
	return d.Delivery
}

// Delivery implements [queue.Records].
func (s *Store) Delivery(ctx context.Context, key gitops.DeliveryKey) (found gitops.Delivery, err error) {
	const delivery = `SELECT ` + deliveryColumns + `, b.body FROM deliveries d JOIN bodies b ON b.delivery = d.number WHERE d.source = $1 AND d.id = $2`
	key = cleanKey(key)
	err = s.view(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var d deliveryRow
		known, err := one(ctx, tx, delivery, []any{key.Source, key.ID}, append(d.into(), &d.Body)...)
		if err != nil {
			return err
		}
		if !known {
			return gitops.Errorf(gitops.NotFound, "there is no delivery %s", key)
		}
		found = d.delivery()
		byDelivery, err := updatesOf(ctx, tx, []int64{d.number})
		found.Updates = byDelivery[d.number]
		return err
	})
	if err != nil {
		return gitops.Delivery{}, err
	}
	return found, nil
}

// updatesOf returns the updates of deliveries, by number and in their order.
func updatesOf(ctx context.Context, on asker, numbers []int64) (map[int64][]gitops.Update, error) {
	// The limit, which is no limit, keeps the planner from joining the tables as a
	// whole: it takes a range of unknown bounds for a good part of all updates.
	const text = `SELECT ` + updateColumns + ` FROM unnest($1::bigint[]) AS n JOIN deliveries d ON d.number = n
		CROSS JOIN LATERAL (SELECT * FROM updates WHERE sequence BETWEEN n * 65536 AND n * 65536 + 65535 ORDER BY sequence LIMIT 65536) AS u
		LEFT JOIN lanes l ON l.environment = u.environment ORDER BY u.sequence`
	found, err := updates(ctx, on, text, numbers)
	if err != nil {
		return nil, err
	}
	byDelivery := make(map[int64][]gitops.Update, len(numbers))
	for _, number := range numbers {
		byDelivery[number] = []gitops.Update{}
	}
	for _, u := range found {
		byDelivery[u.Sequence/updatesEach] = append(byDelivery[u.Sequence/updatesEach], u)
	}
	return byDelivery, nil
}

// Update implements [queue.Records].
func (s *Store) Update(ctx context.Context, id string) (u gitops.Update, err error) {
	const update = `SELECT ` + updateColumns + ` FROM updates u` + joins + `WHERE u.id = $1`
	const steps = `SELECT ` + stepColumns + ` FROM steps s WHERE s.sequence = $1 ORDER BY s.number`
	err = s.view(ctx, func(ctx context.Context, tx pgx.Tx) error {
		found, err := updates(ctx, tx, update, clean(id))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return gitops.Errorf(gitops.NotFound, "there is no update %s", id)
		}
		u = found[0]
		u.Steps, err = rows(ctx, tx, steps, []any{u.Sequence}, func(row pgx.CollectableRow) (gitops.Step, error) {
			var step stepRow
			err := row.Scan(step.into()...)
			return step.step(), err
		})
		return err
	})
	if err != nil {
		return gitops.Update{}, err
	}
	return u, nil
}

// stepColumns are what a stepRow reads; s is a step.
const stepColumns = `s.at, s.until, s.attempts, s.state, s.code, s.reason, s.object, s.retry_at, s.actor`

// stepRow is a row of stepColumns.
type stepRow struct {
	gitops.Step
	until, retryAt *time.Time
}

func (s *stepRow) into() []any {
	return []any{&s.At, &s.until, &s.Attempts, &s.State, &s.Code, &s.Reason, &s.Commit, &s.retryAt, &s.Actor}
}

func (s *stepRow) step() gitops.Step {
	s.At, s.Until, s.RetryAt = s.At.UTC(), read(s.until), read(s.retryAt)
	return s.Step
}

// Backlogs implements [queue.Records].
func (s *Store) Backlogs(ctx context.Context) (found []queue.Backlog, err error) {
	const backlogs = `SELECT b.environment, b.pending,
		(SELECT u.accepted_at FROM updates u WHERE u.environment = b.environment AND u.state = 'pending' ORDER BY u.sequence LIMIT 1),
		CASE l.lease WHEN 'held' THEN l.holder ELSE '' END, l.last_success, l.failing_since, l.retry_at, coalesce(l.code, ''), coalesce(l.reason, '')
		FROM backlogs b LEFT JOIN lanes l ON l.environment = b.environment`
	err = s.read(ctx, func(ctx context.Context) error {
		found, err = rows(ctx, s.pool, backlogs, nil, func(row pgx.CollectableRow) (b queue.Backlog, err error) {
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
