package postgres

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

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
			if err := lockTables(ctx, tx); err != nil {
				return err
			}
			return e.everything()
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(queue.Entry{}, domainError(err))
		}
	}
}

// Export yields everything that the store at the address holds, as [Store.Export] does,
// without opening it: it changes nothing, and replicas may run. The error's code is
// NotFound when there is no store, and else as Open's.
func Export(ctx context.Context, a Address) iter.Seq2[queue.Entry, error] {
	return func(yield func(queue.Entry, error) bool) {
		s, err := connectTo(ctx, a)
		if err != nil {
			yield(queue.Entry{}, err)
			return
		}
		defer s.pool.Close()
		if err := s.checkThere(ctx); err != nil {
			yield(queue.Entry{}, err)
			return
		}
		s.Export(ctx)(yield)
	}
}

// connectTo returns a store that can do no more than a transfer: nothing runs beside it,
// and its tables are as they are.
func connectTo(ctx context.Context, a Address) (*Store, error) {
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	config.MaxConns = 2
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, domainError(err)
	}
	return &Store{pool: pool, log: slog.New(slog.DiscardHandler)}, nil
}

// checkThere fails unless there is a store of this program's version.
func (s *Store) checkThere(ctx context.Context) error {
	return domainError(pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		version, folders, err := versionOf(ctx, tx)
		switch {
		case err != nil:
			return err
		case version == 0:
			return gitops.Errorf(gitops.NotFound, "the store is empty: tallyman was never started with it")
		case version < len(folders):
			return gitops.Errorf(gitops.Unavailable, "the store was written by an older tallyman (schema %d; this one needs %d): start this version with it first", version, len(folders))
		}
		return checkTransitions(ctx, tx)
	}))
}

// lockTables keeps the tables where they are until the transaction has ended, and waits for
// a restore that moves them. It is the transaction's first statement, and takes no
// snapshot: one from before the wait would find the new tables, and nothing in them.
func lockTables(ctx context.Context, tx pgx.Tx) error {
	tables := slices.Sorted(maps.Keys(importColumns))
	_, err := tx.Exec(ctx, `LOCK TABLE `+strings.Join(tables, ", ")+` IN ACCESS SHARE MODE`)
	return err
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
	for _, part := range []func() error{e.happened, e.heads, e.lanes, e.checkpoints, e.usedTokens, e.memories, e.proofKeys, e.suspects, e.holdsState, e.images} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// happened gives the deliveries, the steps, the holds and the entries of the audit in the
// order of their numbers.
func (e *export) happened() error {
	const deliveries = `SELECT ` + deliveryColumns + ` FROM deliveries d
		WHERE d.number > $1 AND d.number <= $2 ORDER BY d.number`
	const steps = `SELECT page.number, (SELECT u.id FROM updates u WHERE u.sequence = page.sequence), ` + stepColumns + ` FROM steps page
		WHERE page.number > $1 AND page.number <= $2 ORDER BY page.number`
	const entries = `SELECT ` + auditColumns + ` FROM audit a WHERE a.sequence >= ($1 + 1) * 65536 AND a.sequence < ($2 + 1) * 65536 ORDER BY a.sequence`
	// A page ends where so many numbers were used.
	const end = `SELECT max(number) FROM (SELECT number FROM (
			(SELECT number FROM deliveries WHERE number > $1 ORDER BY number LIMIT $2)
			UNION ALL (SELECT number FROM steps WHERE number > $1 ORDER BY number LIMIT $2)
			UNION ALL (SELECT sequence / 65536 FROM audit WHERE sequence >= ($1 + 1) * 65536 ORDER BY sequence LIMIT $2)
			UNION ALL (SELECT number FROM holds WHERE number > $1 ORDER BY number LIMIT $2)
			UNION ALL (SELECT number FROM lifts WHERE number > $1 ORDER BY number LIMIT $2)
		) AS all_tables ORDER BY number LIMIT $2) AS page`
	for from := int64(0); ; {
		var to *int64
		if err := e.tx.QueryRow(e.ctx, end, from, exportTogether).Scan(&to); err != nil || to == nil {
			return err
		}
		arrived, err := rows(e.ctx, e.tx, deliveries, []any{from, *to}, scanDelivery)
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
		for text, scan := range map[string]pgx.RowToFunc[numbered]{steps: scanStepEntry, entries: scanAuditEntry, placedHolds: scanHoldEntry, liftedHolds: scanLiftEntry} {
			more, err := rows(e.ctx, e.tx, text, []any{from, *to}, scan)
			if err != nil {
				return err
			}
			all = append(all, more...)
		}
		slices.SortStableFunc(all, func(a, b numbered) int { return cmp.Compare(a.number, b.number) })
		bodies := bodyReader{export: e, to: *to}
		for _, n := range all {
			if n.entry.Delivery != nil {
				d := *n.entry.Delivery // or the page would keep every body
				if d.Body, err = bodies.of(n.number); err != nil {
					return err
				}
				n.entry.Delivery = &d
			}
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

// each gives what scan makes of a query's rows, while they arrive.
func (e *export) each(text string, scan func(pgx.CollectableRow) (queue.Entry, error)) error {
	found, err := e.tx.Query(e.ctx, text)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		entry, err := scan(found)
		if err == nil {
			err = e.give(entry)
		}
		if err != nil {
			return err
		}
	}
	return found.Err()
}

func (e *export) heads() error {
	const heads = `SELECT ` + headColumns + `, coalesce((SELECT u.id FROM updates u WHERE u.sequence <= h.written ORDER BY u.sequence DESC LIMIT 1), ''),
		coalesce((SELECT u.id FROM updates u WHERE u.sequence <= h.healthy ORDER BY u.sequence DESC LIMIT 1), '')
		FROM heads h ORDER BY h.environment COLLATE "C", h.app COLLATE "C"`
	return e.each(heads, func(row pgx.CollectableRow) (queue.Entry, error) {
		var h queue.HeadEntry
		var err error
		h.Head, err = scanHeadAnd(row, &h.After, &h.HealthyAfter)
		return queue.Entry{Head: &h}, err
	})
}

// lanes gives the lanes and the leases of jobs, and environments that nobody has claimed
// yet.
func (e *export) lanes() error {
	const lanes = `SELECT coalesce(l.name, e.name), coalesce(l.token, 0), coalesce(l.holder, ''), coalesce(l.lease, 'free') = 'free', coalesce((SELECT u.id FROM updates u
			WHERE u.environment = l.name AND u.sequence <= l.maybe_pushed_through ORDER BY u.sequence DESC LIMIT 1), ''),
		l.last_progress, l.last_success, l.outage_since, coalesce(l.outage_code, ''), coalesce(l.outage_reason, ''), l.outage_retry_at, coalesce(l.outage_repository, '')
		FROM lanes l FULL JOIN environments('') AS e (name) ON e.name = l.name ORDER BY coalesce(l.name, e.name) COLLATE "C"`
	return e.each(lanes, func(row pgx.CollectableRow) (queue.Entry, error) {
		var l queue.LaneState
		var o queue.Outage
		var progress, success, since, retryAt *time.Time
		err := row.Scan(&l.Environment, &l.Token, &l.Holder, &l.Clean, &l.Through, &progress, &success, &since, &o.Code, &o.Reason, &retryAt, &o.Repository)
		l.Backlog.LastProgress, l.Backlog.LastSuccess, l.Backlog.OutageSince, o.RetryAt = read(progress), read(success), read(since), read(retryAt)
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
