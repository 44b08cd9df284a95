package postgres

import (
	"context"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

var _ queue.Importer = (*Store)(nil)

// An import copies into each table as soon as it has so many rows, or bodies of
// so many bytes.
const (
	importTogether = 2000
	importBytes    = 16 << 20
)

// Import implements [queue.Importer]. It is one transaction, which holds the
// counter's lock: whoever else would begin to use the store waits, and then
// finds it in use.
func (s *Store) Import(ctx context.Context, entries iter.Seq2[queue.Entry, error]) (held queue.Counts, err error) {
	const waiting = `INSERT INTO backlogs (environment, pending)
		SELECT r.environment, (SELECT count(*) FROM updates u WHERE u.environment = r.environment AND u.state = 'pending')
		FROM (SELECT DISTINCT environment FROM releases) AS r`
	err = s.transfer(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `LOCK TABLE lanes, marks, spent IN EXCLUSIVE MODE`); err != nil {
			return err
		}
		var number int64
		if err := tx.QueryRow(ctx, `SELECT draw(0)`).Scan(&number); err != nil {
			return err
		}
		before, err := counted(ctx, tx)
		if err != nil {
			return err
		}
		if before != nothing {
			return errNotEmpty(before)
		}
		in := importing{ctx: ctx, tx: tx, number: number, sequences: make(map[string]int64)}
		var given queue.Counts
		for e, err := range entries {
			if err == nil {
				given.Add(e)
				err = in.add(e)
			}
			if err != nil {
				return err
			}
		}
		if err := in.flush(); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, waiting); err != nil {
			return err
		}
		if held, err = counted(ctx, tx); err != nil {
			return err
		}
		if held != given {
			return fmt.Errorf("given were %+v, and the tables hold %+v", given, held)
		}
		_, err = tx.Exec(ctx, `UPDATE counter SET number = $1`, in.number)
		return err
	})
	if err != nil {
		return queue.Counts{}, domainError(err)
	}
	// What the planner knows of tables that were empty a moment ago is wrong.
	_, _ = s.pool.Exec(ctx, `ANALYZE deliveries, bodies, updates, steps, releases`)
	return held, nil
}

// importing collects rows for the tables.
type importing struct {
	ctx       context.Context
	tx        pgx.Tx
	number    int64            // of the last delivery or step
	sequences map[string]int64 // by the update's id

	rows  map[string][][]any // by table
	bytes int
}

var importColumns = map[string][]string{
	"deliveries": {"number", "source", "id", "received_at", "event_time", "actor", "remote", "credential", "outcome", "field", "reason"},
	"bodies":     {"delivery", "body"},
	"updates": {"sequence", "id", "environment", "app", "repository", "tag", "digest", "state", "code", "reason", "object", "attempts",
		"accepted_at", "settled_at"},
	"steps":    {"number", "sequence", "at", "until", "attempts", "state", "code", "reason", "object", "retry_at", "actor"},
	"releases": {"environment", "app", "newest"},
	"lanes":    {"environment", "token", "holder", "lease", "through", "last_success", "failing_since", "retry_at", "code", "reason"},
	"marks":    {"name", "value"},
	"spent":    {"credential", "source", "id", "until"},
}

func (in *importing) row(table string, values ...any) error {
	if in.rows == nil {
		in.rows = make(map[string][][]any)
	}
	in.rows[table] = append(in.rows[table], values)
	if len(in.rows[table]) < importTogether && in.bytes < importBytes {
		return nil
	}
	return in.flush()
}

// flush copies what was collected.
func (in *importing) flush() error {
	for table, rows := range in.rows {
		if _, err := in.tx.CopyFrom(in.ctx, pgx.Identifier{table}, importColumns[table], pgx.CopyFromRows(rows)); err != nil {
			return err
		}
	}
	in.rows, in.bytes = nil, 0
	return nil
}

func (in *importing) add(e queue.Entry) error {
	switch {
	case e.Delivery != nil:
		return in.delivery(*e.Delivery)
	case e.Step != nil:
		return in.step(*e.Step)
	case e.Release != nil:
		return in.row("releases", clean(e.Release.Environment), clean(e.Release.App), e.Release.Newest)
	case e.Lane != nil:
		return in.lane(*e.Lane)
	case e.Mark != nil:
		return in.row("marks", clean(e.Mark.Name), clean(e.Mark.Value))
	case e.Spent != nil:
		by := cleanKey(e.Spent.By)
		return in.row("spent", clean(e.Spent.Credential), by.Source, by.ID, e.Spent.Until)
	}
	return nil
}

func (in *importing) delivery(d gitops.Delivery) error {
	in.number++
	in.bytes += len(d.Body)
	if d.Body == nil {
		d.Body = []byte{}
	}
	for i, u := range d.Updates {
		sequence := in.number*updatesEach + int64(i)
		in.sequences[u.ID] = sequence
		err := in.row("updates", sequence, clean(u.ID), clean(u.Environment), clean(u.App), clean(u.Repository), clean(u.Tag), clean(u.Digest),
			string(u.State), string(u.Code), clean(u.Reason), clean(u.Commit), u.Attempts, u.AcceptedAt, stored(u.SettledAt))
		if err != nil {
			return err
		}
	}
	if err := in.row("bodies", in.number, d.Body); err != nil {
		return err
	}
	return in.row("deliveries", in.number, clean(d.Source), clean(d.ID), d.ReceivedAt, stored(d.EventTime), clean(d.Actor), clean(d.Remote),
		clean(d.Credential), string(d.Outcome), clean(d.Field), clean(d.Reason))
}

func (in *importing) step(s queue.StepEntry) error {
	sequence, known := in.sequences[s.Update]
	if !known {
		return fmt.Errorf("a step of update %s, of which no delivery was given", s.Update)
	}
	in.number++
	return in.row("steps", in.number, sequence, s.At, stored(s.Until), s.Attempts, string(s.State), string(s.Code), clean(s.Reason),
		clean(s.Commit), stored(s.RetryAt), clean(s.Actor))
}

// lane is one that nobody holds.
func (in *importing) lane(l queue.LaneState) error {
	lease := "lost"
	if l.Clean {
		lease = "free"
	}
	return in.row("lanes", clean(l.Environment), l.Token, clean(l.Holder), lease, in.sequences[l.Through],
		stored(l.Waits.LastSuccess), stored(l.Waits.FailingSince), stored(l.Waits.RetryAt), string(l.Waits.Code), clean(l.Waits.Reason))
}
