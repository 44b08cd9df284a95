package postgres

import (
	"context"
	"fmt"
	"iter"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Import makes the store at the address of the entries, in one transaction: whenever the
// process or the server dies, the address has the old store or the new one. Updates keep
// their order and change their sequences; cursors of the other store mean nothing in it.
//
// With o.Replace a store that was there goes on existing in the schema that
// Imported.Aside names. It is whole, and an address with that search_path opens it.
//
// The error's code is Conflict when a replica has the store open, or when it holds
// anything and o.Replace is not set; else as Open's. An error of the entries is returned
// as it is.
func Import(ctx context.Context, a Address, entries iter.Seq2[queue.Entry, error], o queue.ImportOptions) (done queue.Imported, err error) {
	s, err := connectTo(ctx, a)
	if err != nil {
		return done, err
	}
	defer s.pool.Close()
	err = s.transfer(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if done.Aside, err = s.makeRoom(ctx, tx, o.Replace); err != nil {
			return err
		}
		done.Counts, err = fill(ctx, tx, entries)
		if err == nil && o.Restored {
			_, err = tx.Exec(ctx, markRestored)
		}
		return err
	})
	if err != nil {
		return queue.Imported{}, domainError(contradiction(err))
	}
	// What the planner knows of tables that were empty a moment ago is wrong.
	_, _ = s.pool.Exec(ctx, `ANALYZE deliveries, bodies, updates, steps, heads, audit, memories`)
	return done, nil
}

// contradiction is err, Invalid where it says that the entries cannot all be true: two
// that are the same thing, or a value that there is not.
func contradiction(err error) error {
	if state := sqlState(err); strings.HasPrefix(state, "22") || strings.HasPrefix(state, "23") {
		return errContradiction(err)
	}
	return err
}

func errContradiction(cause error) error {
	return gitops.Errorf(gitops.Invalid, "what is to be imported contradicts itself").WithCause(cause)
}

// makeRoom sees to it that there is an empty store, which nobody opens until the
// transaction has ended, and returns the schema of the one that was there.
func (s *Store) makeRoom(ctx context.Context, tx pgx.Tx, replace bool) (aside string, err error) {
	if err := s.checkServer(ctx, tx); err != nil {
		return "", err
	}
	version, folders, err := lockOut(ctx, tx)
	if err != nil {
		return "", err
	}
	if version > 0 {
		held, err := counted(ctx, tx)
		if err != nil {
			return "", err
		}
		switch {
		case held != (queue.Counts{}) && !replace:
			return "", gitops.Errorf(gitops.Conflict,
				"the store is not empty (deliveries: %d, lanes: %d, proof keys: %d); give an empty database, or with --replace it is kept beside the restored store",
				held.Deliveries, held.Lanes, held.ProofKeys)
		case held != (queue.Counts{}):
			if aside, err = setAside(ctx, tx); err != nil {
				return "", err
			}
			version = 0
		}
	}
	if err := migrate(ctx, tx, folders, version); err != nil {
		return "", err
	}
	return aside, writeTransitions(ctx, tx)
}

// lockOut keeps replicas from opening the store until the transaction has ended, and
// fails where one has it open. It returns what versionOf does.
func lockOut(ctx context.Context, tx pgx.Tx) (version int, folders []string, err error) {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrating)); err != nil {
		return 0, nil, err
	}
	version, folders, err = versionOf(ctx, tx)
	if err != nil || version == 0 {
		return version, folders, err
	}
	if err := checkPlace(ctx, tx); err != nil {
		return 0, nil, err
	}
	alone, err := aloneSoon(ctx, tx)
	if err != nil {
		return 0, nil, err
	}
	if !alone {
		return 0, nil, gitops.Errorf(gitops.Conflict, "the store is in use: stop every replica of serve first")
	}
	return version, folders, nil
}

// endsWithin is how long a session may outlive its process: the server knows of the death when
// the statement at hand has ended.
const endsWithin = 3 * time.Second

// aloneSoon reports whether no one has the store open, or will have soon: whoever was killed a
// moment ago still has a session. Until the transaction ends no one can open it then.
func aloneSoon(ctx context.Context, tx pgx.Tx) (alone bool, err error) {
	for began := time.Now(); ; {
		err = tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(`+inUse+`)`).Scan(&alone)
		if err != nil || alone || time.Since(began) > endsWithin {
			return alone, err
		}
		select {
		case <-time.After(endsWithin / 20):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// checkPlace fails where the store is not in the schema in which new tables are made: one
// that is earlier in search_path, as "$user" is by default, may have been made since.
func checkPlace(ctx context.Context, tx pgx.Tx) error {
	const places = `SELECT relnamespace::regnamespace::text, current_schema()::text FROM pg_class WHERE oid = 'counter'::regclass`
	var there, made string
	if err := tx.QueryRow(ctx, places).Scan(&there, &made); err != nil {
		return err
	}
	if there != made {
		return gitops.Errorf(gitops.Unavailable,
			"the store is in the schema %s, and the address makes new tables in %s: add search_path=%s to store", there, made, there)
	}
	return nil
}

// created matches what the migrations make. What belongs to a table goes with it.
var created = regexp.MustCompile(`(?m)^CREATE (?:TABLE|VIEW|SEQUENCE|TYPE|FUNCTION|AGGREGATE) (\w+)`)

// setAside moves everything of the store into a schema of its own.
func setAside(ctx context.Context, tx pgx.Tx) (schema string, err error) {
	// A function is named with the types of its arguments, which are tables: it goes first.
	const ours = `SELECT format('ALTER ROUTINE %s SET SCHEMA ', p.oid::regprocedure) FROM pg_proc p
			WHERE p.pronamespace = current_schema()::regnamespace AND p.proname = ANY ($1)
		UNION ALL SELECT format(CASE c.relkind WHEN 'c' THEN 'ALTER TYPE' ELSE 'ALTER TABLE' END || ' %s SET SCHEMA ', c.oid::regclass) FROM pg_class c
			WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'v', 'S', 'c') AND c.relname = ANY ($1)
		ORDER BY 1`
	names := []string{"tallyman_migrations"}
	scripts, err := scriptsOf("migrations/*")
	if err != nil {
		return "", err
	}
	for _, script := range scripts {
		for _, found := range created.FindAllStringSubmatch(script, -1) {
			names = append(names, found[1])
		}
	}
	schema = "tallyman_replaced_" + time.Now().UTC().Format("20060102t150405z")
	if _, err := tx.Exec(ctx, `CREATE SCHEMA `+schema); err != nil {
		if sqlState(err) == insufficientPrivilege {
			return "", gitops.Errorf(gitops.Unavailable,
				"the store that is there cannot be kept: the user may not create a schema. GRANT CREATE ON DATABASE to it, or restore into an empty database or schema").WithCause(err)
		}
		return "", err
	}
	moves, err := rows(ctx, tx, ours, []any{names}, pgx.RowTo[string])
	if err != nil {
		return "", err
	}
	for _, move := range moves {
		if _, err := tx.Exec(ctx, move+schema); err != nil {
			return "", fmt.Errorf("%s%s: %w", move, schema, err)
		}
	}
	return schema, nil
}

// fill brings the entries into the empty tables, and counts what they hold.
func fill(ctx context.Context, tx pgx.Tx, entries iter.Seq2[queue.Entry, error]) (held queue.Counts, err error) {
	in := importing{ctx: ctx, tx: tx}
	if err := tx.QueryRow(ctx, `SELECT next_numbers(0)`).Scan(&in.number); err != nil {
		return held, err
	}
	var given queue.Counts
	for e, err := range entries {
		if err == nil {
			given.Add(e)
			err = in.add(e)
		}
		if err != nil {
			return held, err
		}
	}
	if err := in.flush(); err != nil {
		return held, err
	}
	if held, err = counted(ctx, tx); err != nil {
		return held, err
	}
	if held != given {
		return held, errContradiction(fmt.Errorf("given were %+v, and the tables hold %+v", given, held))
	}
	_, err = tx.Exec(ctx, `SELECT setval('counter', $1)`, in.number)
	return held, err
}

const markRestored = `SELECT mark_restored()`

// MarkRestored says that the database was brought back by other means than [Import]: by
// pg_restore, from a snapshot, or to a point in time. The error's code is Conflict when a
// replica has the store open, NotFound when there is no store, and else as Open's.
func MarkRestored(ctx context.Context, a Address) error {
	s, err := connectTo(ctx, a)
	if err != nil {
		return err
	}
	defer s.pool.Close()
	if err := s.checkThere(ctx); err != nil {
		return err
	}
	return domainError(s.transfer(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, _, err := lockOut(ctx, tx)
		if err == nil {
			_, err = tx.Exec(ctx, markRestored)
		}
		return err
	}))
}
