package postgres

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

var _ queue.Exporter = (*Store)(nil)

// exportTogether is how many numbers one read of an export covers.
const exportTogether = 500

// errEnough ends an export whose rest nobody wants.
var errEnough = errors.New("no more is wanted")

// Export implements [queue.Exporter].
func (s *Store) Export(ctx context.Context) iter.Seq2[queue.Entry, error] {
	return func(yield func(queue.Entry, error) bool) {
		err := s.transfer(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			e := export{ctx: ctx, tx: tx, give: func(e queue.Entry) error {
				if !yield(e, nil) {
					return errEnough
				}
				return nil
			}}
			return e.everything()
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(queue.Entry{}, domainError(err))
		}
	}
}

// transfer runs work in a transaction that may take as long as it needs.
func (s *Store) transfer(ctx context.Context, o pgx.TxOptions, work func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, s.pool, o, func(tx pgx.Tx) error {
		for _, text := range []string{`SET LOCAL statement_timeout = 0`, `SET LOCAL idle_in_transaction_session_timeout = 0`} {
			if _, err := tx.Exec(ctx, text); err != nil {
				return err
			}
		}
		return work(tx)
	})
}

type export struct {
	ctx  context.Context
	tx   pgx.Tx
	give func(queue.Entry) error
}

func (e *export) everything() error {
	for _, part := range []func() error{e.happened, e.releases, e.lanes, e.marks, e.spent} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// happened gives the deliveries and the steps in the order of their numbers.
func (e *export) happened() error {
	const deliveries = `SELECT ` + deliveryColumns + `, b.body FROM deliveries d JOIN bodies b ON b.delivery = d.number
		WHERE d.number > $1 AND d.number <= $2 ORDER BY d.number`
	const steps = `SELECT s.number, u.id, ` + stepColumns + ` FROM steps s JOIN updates u ON u.sequence = s.sequence
		WHERE s.number > $1 AND s.number <= $2 ORDER BY s.number`
	// A page ends where so many numbers were used.
	const end = `SELECT max(number) FROM (SELECT number FROM (
			(SELECT number FROM deliveries WHERE number > $1 ORDER BY number LIMIT $2)
			UNION ALL (SELECT number FROM steps WHERE number > $1 ORDER BY number LIMIT $2)
		) AS both_tables ORDER BY number LIMIT $2) AS page`
	type step struct {
		number int64
		queue.StepEntry
	}
	for from := int64(0); ; {
		var to *int64
		if err := e.tx.QueryRow(e.ctx, end, from, exportTogether).Scan(&to); err != nil || to == nil {
			return err
		}
		arrived, err := rows(e.ctx, e.tx, deliveries, []any{from, *to}, func(row pgx.CollectableRow) (d deliveryRow, err error) {
			return d, row.Scan(append(d.into(), &d.Body)...)
		})
		if err != nil {
			return err
		}
		went, err := rows(e.ctx, e.tx, steps, []any{from, *to}, func(row pgx.CollectableRow) (s step, err error) {
			var step stepRow
			err = row.Scan(append([]any{&s.number, &s.Update}, step.into()...)...)
			s.Step = step.step()
			return s, err
		})
		if err != nil {
			return err
		}
		found, err := withUpdates(e.ctx, e.tx, arrived)
		if err != nil {
			return err
		}
		for len(arrived)+len(went) > 0 {
			var entry queue.Entry
			if len(arrived) == 0 || len(went) > 0 && went[0].number < arrived[0].number {
				entry, went = queue.Entry{Step: &went[0].StepEntry}, went[1:]
			} else {
				entry, arrived, found = queue.Entry{Delivery: &found[0]}, arrived[1:], found[1:]
			}
			if err := e.give(entry); err != nil {
				return err
			}
		}
		from = *to
	}
}

// each gives what make makes of a query's rows.
func (e *export) each(text string, make func(pgx.CollectableRow) (queue.Entry, error)) error {
	found, err := rows(e.ctx, e.tx, text, nil, make)
	if err != nil {
		return err
	}
	for _, entry := range found {
		if err := e.give(entry); err != nil {
			return err
		}
	}
	return nil
}

func (e *export) releases() error {
	return e.each(`SELECT environment, app, newest FROM releases ORDER BY environment COLLATE "C", app COLLATE "C"`, func(row pgx.CollectableRow) (queue.Entry, error) {
		var r queue.Release
		err := row.Scan(&r.Environment, &r.App, &r.Newest)
		r.Newest = r.Newest.UTC()
		return queue.Entry{Release: &r}, err
	})
}

func (e *export) lanes() error {
	const lanes = `SELECT environment, token, holder, lease = 'free', coalesce((SELECT u.id FROM updates u
			WHERE u.environment = l.environment AND u.sequence <= l.through ORDER BY u.sequence DESC LIMIT 1), ''),
		last_success, failing_since, retry_at, code, reason FROM lanes l ORDER BY environment COLLATE "C"`
	return e.each(lanes, func(row pgx.CollectableRow) (queue.Entry, error) {
		var l queue.LaneState
		var success, failing, again *time.Time
		err := row.Scan(&l.Environment, &l.Token, &l.Holder, &l.Clean, &l.Through, &success, &failing, &again, &l.Waits.Code, &l.Waits.Reason)
		l.Waits.LastSuccess, l.Waits.FailingSince, l.Waits.RetryAt = read(success), read(failing), read(again)
		return queue.Entry{Lane: &l}, err
	})
}

func (e *export) marks() error {
	return e.each(`SELECT name, value FROM marks ORDER BY name COLLATE "C"`, func(row pgx.CollectableRow) (queue.Entry, error) {
		var m queue.Mark
		err := row.Scan(&m.Name, &m.Value)
		return queue.Entry{Mark: &m}, err
	})
}

func (e *export) spent() error {
	return e.each(`SELECT credential, source, id, until FROM spent ORDER BY credential COLLATE "C"`, func(row pgx.CollectableRow) (queue.Entry, error) {
		var s queue.Spent
		err := row.Scan(&s.Credential, &s.By.Source, &s.By.ID, &s.Until)
		s.Until = s.Until.UTC()
		return queue.Entry{Spent: &s}, err
	})
}

// nothing is how much an empty store holds.
var nothing queue.Counts

// counted is how much the tables hold.
func counted(ctx context.Context, tx pgx.Tx) (c queue.Counts, err error) {
	const counts = `SELECT (SELECT count(*) FROM deliveries), (SELECT count(*) FROM updates), (SELECT count(*) FROM steps),
		(SELECT count(*) FROM releases), (SELECT count(*) FROM lanes), (SELECT count(*) FROM marks), (SELECT count(*) FROM spent)`
	err = tx.QueryRow(ctx, counts).Scan(&c.Deliveries, &c.Updates, &c.Steps, &c.Releases, &c.Lanes, &c.Marks, &c.Spent)
	return c, err
}

func errNotEmpty(c queue.Counts) error {
	return gitops.Errorf(gitops.Conflict, "the store is not empty: it holds %d deliveries and %d lanes; give an empty database", c.Deliveries, c.Lanes)
}
