package postgres

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

var _ queue.Exporter = (*Store)(nil)

// exportTogether is how many numbers one read of an export covers.
const exportTogether = 500

// errEnough ends an export whose rest is not wanted.
var errEnough = errors.New("no more is wanted")

// Export implements [queue.Exporter].
func (s *Store) Export(ctx context.Context) iter.Seq2[queue.Entry, error] {
	return func(yield func(queue.Entry, error) bool) {
		err := s.transfer(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			e := export{ctx: ctx, tx: tx, store: &Store{now: func() time.Time { return time.Time{} }}, give: func(e queue.Entry) error {
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
	ctx   context.Context
	tx    pgx.Tx
	store *Store // as one whose clock stands at the beginning: no block has lifted
	give  func(queue.Entry) error
}

func (e *export) everything() error {
	for _, part := range []func() error{e.happened, e.heads, e.lanes, e.checkpoints, e.usedTokens, e.memories, e.proofKeys, e.suspects} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// happened gives the deliveries, the steps and the entries of the audit in the order of
// their numbers.
func (e *export) happened() error {
	const deliveries = `SELECT ` + deliveryColumns + `, b.body FROM deliveries d JOIN bodies b ON b.delivery = d.number
		WHERE d.number > $1 AND d.number <= $2 ORDER BY d.number`
	const steps = `SELECT page.number, (SELECT u.id FROM updates u WHERE u.sequence = page.sequence), ` + stepColumns + ` FROM steps page
		WHERE page.number > $1 AND page.number <= $2 ORDER BY page.number`
	const entries = `SELECT ` + auditColumns + ` FROM audit a WHERE a.sequence >= ($1 + 1) * 65536 AND a.sequence < ($2 + 1) * 65536 ORDER BY a.sequence`
	// A page ends where so many numbers were used.
	const end = `SELECT max(number) FROM (SELECT number FROM (
			(SELECT number FROM deliveries WHERE number > $1 ORDER BY number LIMIT $2)
			UNION ALL (SELECT number FROM steps WHERE number > $1 ORDER BY number LIMIT $2)
			UNION ALL (SELECT sequence / 65536 FROM audit WHERE sequence >= ($1 + 1) * 65536 ORDER BY sequence LIMIT $2)
		) AS all_tables ORDER BY number LIMIT $2) AS page`
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
		if bounded := boundedPage(arrived); len(bounded) < len(arrived) {
			arrived = bounded
			*to = arrived[len(arrived)-1].number
		}
		found, err := e.store.withUpdates(e.ctx, e.tx, arrived)
		if err != nil {
			return err
		}
		var all []numbered
		for i := range found {
			all = append(all, numbered{arrived[i].number, queue.Entry{Delivery: &found[i]}})
		}
		for text, scan := range map[string]pgx.RowToFunc[numbered]{steps: scanStepEntry, entries: scanAuditEntry} {
			more, err := rows(e.ctx, e.tx, text, []any{from, *to}, scan)
			if err != nil {
				return err
			}
			all = append(all, more...)
		}
		slices.SortStableFunc(all, func(a, b numbered) int { return cmp.Compare(a.number, b.number) })
		for _, n := range all {
			if err := e.give(n.entry); err != nil {
				return err
			}
		}
		from = *to
	}
}

// numbered is an entry and its place among all that happened.
type numbered struct {
	number int64
	entry  queue.Entry
}

func scanStepEntry(row pgx.CollectableRow) (n numbered, err error) {
	var step stepRow
	var s queue.StepEntry
	err = row.Scan(append([]any{&n.number, &s.Update}, step.into()...)...)
	s.Step = step.step()
	n.entry.Step = &s
	return n, err
}

func scanAuditEntry(row pgx.CollectableRow) (numbered, error) {
	e, err := scanAudit(row)
	return numbered{e.Sequence / updatesEach, queue.Entry{Audit: &e}}, err
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

func (e *export) heads() error {
	const heads = `SELECT ` + headColumns + ` FROM heads h ORDER BY h.environment COLLATE "C", h.app COLLATE "C"`
	return e.each(heads, func(row pgx.CollectableRow) (queue.Entry, error) {
		h, err := scanHead(row)
		return queue.Entry{Head: &h}, err
	})
}

func (e *export) lanes() error {
	const lanes = `SELECT l.name, l.token, l.holder, l.lease = 'free', coalesce((SELECT u.id FROM updates u
			WHERE u.environment = l.name AND u.sequence <= l.maybe_pushed_through ORDER BY u.sequence DESC LIMIT 1), ''),
		l.last_progress, l.outage_since, l.outage_code, l.outage_reason, l.outage_retry_at FROM lanes l ORDER BY l.name COLLATE "C"`
	return e.each(lanes, func(row pgx.CollectableRow) (queue.Entry, error) {
		var l queue.LaneState
		var o queue.Outage
		var progress, since, retryAt *time.Time
		err := row.Scan(&l.Environment, &l.Token, &l.Holder, &l.Clean, &l.Through, &progress, &since, &o.Code, &o.Reason, &retryAt)
		l.Backlog.LastProgress, l.Backlog.OutageSince, o.RetryAt = read(progress), read(since), read(retryAt)
		if since != nil {
			l.Backlog.Outage = &o
		}
		return queue.Entry{Lane: &l}, err
	})
}

func (e *export) checkpoints() error {
	return e.each(`SELECT name, value FROM checkpoints ORDER BY name COLLATE "C"`, func(row pgx.CollectableRow) (queue.Entry, error) {
		var c queue.Checkpoint
		err := row.Scan(&c.Name, &c.Value)
		return queue.Entry{Checkpoint: &c}, err
	})
}

func (e *export) usedTokens() error {
	return e.each(`SELECT credential, source, id, until FROM used_tokens ORDER BY credential COLLATE "C"`, func(row pgx.CollectableRow) (queue.Entry, error) {
		var t queue.UsedToken
		err := row.Scan(&t.Credential, &t.By.Source, &t.By.ID, &t.Until)
		t.Until = t.Until.UTC()
		return queue.Entry{UsedToken: &t}, err
	})
}

func (e *export) memories() error {
	return e.each(`SELECT hash, delivery, received_at FROM memories ORDER BY hash`, func(row pgx.CollectableRow) (queue.Entry, error) {
		var m queue.Memory
		err := row.Scan(&m.Hash, &m.Delivery, &m.ReceivedAt)
		m.ReceivedAt = m.ReceivedAt.UTC()
		return queue.Entry{Memory: &m}, err
	})
}

// nothing is how much an empty store holds.
var nothing queue.Counts

// counted is how much the tables hold.
func counted(ctx context.Context, tx pgx.Tx) (c queue.Counts, err error) {
	const counts = `SELECT (SELECT count(*) FROM deliveries), (SELECT count(*) FROM updates), (SELECT count(*) FROM steps),
		(SELECT count(*) FROM heads), (SELECT count(*) FROM lanes), (SELECT count(*) FROM checkpoints), (SELECT count(*) FROM used_tokens),
		(SELECT count(*) FROM audit), (SELECT count(*) FROM memories), (SELECT count(*) FROM proof_keys), (SELECT count(*) FROM suspects)`
	err = tx.QueryRow(ctx, counts).Scan(&c.Deliveries, &c.Updates, &c.Steps, &c.Heads, &c.Lanes, &c.Checkpoints, &c.UsedTokens, &c.Audit, &c.Memories, &c.ProofKeys, &c.Suspects)
	return c, err
}

func errNotEmpty(c queue.Counts) error {
	return gitops.Errorf(gitops.Conflict, "the store is not empty: it holds %d deliveries and %d lanes; give an empty database", c.Deliveries, c.Lanes)
}
