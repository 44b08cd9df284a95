package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

var _ queue.TransactionWatcher = (*Store)(nil)

// Usage implements [queue.Meter].
func (s *Store) Usage(ctx context.Context) (u queue.Usage, err error) {
	const bytes = `SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'S')`
	err = s.read(ctx, func(ctx context.Context) error { return s.pool.QueryRow(ctx, bytes).Scan(&u.Bytes) })
	return u, err
}

// heldBack are the transactions of others that keep old versions of this database's rows:
// sessions with a snapshot or a transaction id, among them standbys that send feedback;
// transactions that are prepared and not ended; and replication slots. The last column is
// where a thing without a beginning stands. A vacuum's own snapshot keeps nothing, and the
// texts of queries are nobody's concern.
const heldBack = `SELECT * FROM (
	SELECT 'session' AS kind, a.pid::text AS name, coalesce(a.usename, '') AS usename, coalesce(a.application_name, '') AS application,
		coalesce(a.state, a.backend_type, '') AS state, a.xact_start AS since, a.backend_xmin::text AS horizon
	FROM pg_stat_activity a WHERE (a.datname = current_database() OR a.datname IS NULL) AND a.pid <> pg_backend_pid()
		AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL) AND a.backend_type <> 'autovacuum worker'
		AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
	UNION ALL SELECT 'prepared transaction', gid, owner, '', 'prepared', prepared, '' FROM pg_prepared_xacts WHERE database = current_database()
	UNION ALL SELECT 'replication slot', s.slot_name, '', coalesce(s.plugin, ''), CASE WHEN s.active THEN 'active' ELSE 'inactive' END,
		(to_jsonb(s) ->> 'inactive_since')::timestamptz, s.xmin::text FROM pg_replication_slots s WHERE s.xmin IS NOT NULL
) AS held`

// heldRow is a row of heldBack.
type heldRow struct {
	queue.OldTransaction
	since   *time.Time // null where the server does not know
	horizon string
}

func readHeld(ctx context.Context, on querier) ([]heldRow, error) {
	return rows(ctx, on, heldBack, nil, func(row pgx.CollectableRow) (h heldRow, err error) {
		var horizon *string
		err = row.Scan(&h.Kind, &h.Name, &h.User, &h.Application, &h.State, &h.since, &horizon)
		if h.since != nil {
			h.Since = h.since.UTC()
		}
		if horizon != nil {
			h.horizon = *horizon
		}
		return h, err
	})
}

// OldTransactions implements [queue.TransactionWatcher]. Without the right
// pg_read_all_stats the server shows of other users' sessions nothing that counts.
func (s *Store) OldTransactions(ctx context.Context, longer time.Duration) (found []queue.OldTransaction, err error) {
	const now = `SELECT clock_timestamp()`
	err = s.read(ctx, func(ctx context.Context) error {
		var at time.Time
		if err := s.pool.QueryRow(ctx, now).Scan(&at); err != nil {
			return err
		}
		held, err := readHeld(ctx, s.pool)
		if err == nil {
			found = s.horizons.older(held, at.UTC(), longer)
		}
		return err
	})
	return found, err
}

// horizons remembers when things without a beginning were first seen where they stand. A
// standby that keeps up stands somewhere else each time, and is never old.
type horizons struct {
	mu    sync.Mutex
	first map[heldKey]time.Time
}

type heldKey struct{ kind, name, horizon string }

// older are those that are older than a time, oldest first.
func (h *horizons) older(held []heldRow, now time.Time, longer time.Duration) (found []queue.OldTransaction) {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := make(map[heldKey]time.Time)
	for _, row := range held {
		if row.since == nil {
			key := heldKey{row.Kind, row.Name, row.horizon}
			row.Since = now
			if first, ok := h.first[key]; ok {
				row.Since = first
			}
			seen[key] = row.Since
		}
		if now.Sub(row.Since) >= longer {
			found = append(found, row.OldTransaction)
		}
	}
	h.first = seen
	slices.SortStableFunc(found, func(a, b queue.OldTransaction) int { return a.Since.Compare(b.Since) })
	return found
}

// warnedAge is how old a transaction is that Check warns of.
const warnedAge = 5 * time.Minute

// oldTransactionWarnings are sentences for a person. Of a slot that nobody uses there is
// no time to wait for.
func oldTransactionWarnings(ctx context.Context, tx pgx.Tx) (warnings []string, err error) {
	const sees = `SELECT clock_timestamp(), pg_has_role('pg_read_all_stats', 'USAGE')`
	var now time.Time
	var all bool
	if err := tx.QueryRow(ctx, sees).Scan(&now, &all); err != nil {
		return nil, err
	}
	held, err := readHeld(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, h := range held {
		switch age := now.Sub(h.Since); {
		case h.since == nil && h.State == "inactive":
			warnings = append(warnings, fmt.Sprintf("%s keeps old versions of rows, and nobody uses it: drop it, or start its standby", h.OldTransaction))
		case h.since != nil && age >= warnedAge:
			warnings = append(warnings, fmt.Sprintf("%s has kept old versions of rows for %s, which slows the store down in time: end it", h.OldTransaction, age.Round(time.Second)))
		}
	}
	if !all {
		warnings = append(warnings, "the store's user does not see the transactions of other users, which can slow the store down: GRANT pg_read_all_stats to it")
	}
	return warnings, nil
}
