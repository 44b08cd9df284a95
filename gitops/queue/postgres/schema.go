package postgres

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tallyman-dev/tallyman/gitops"
)

// migrations holds one folder for each version of the schema, named so that they
// sort by version, with the scripts that make it of the version before. A released
// one never changes. Replicas of the version before go on while a new one starts, so a
// function that changes gets another name.
//
//go:embed migrations/*/*.sql
var migrations embed.FS

const (
	prepareTime = time.Minute // for all migrations, and for waiting while another replica runs them
	// migrating is the advisory lock of whoever changes the schema: any number, as
	// long as it stays the same.
	migrating = 0x7461_6c6c_796d_616e // "tallyman"
)

// prepare brings the database's tables up to this program's version, all in one
// transaction. A database that is newer, has another transition table, or has another
// program's tables of our names, is left as it is.
func (s *Store) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, prepareTime)
	defer cancel()
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
			return err
		}
		if err := s.checkServer(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrating)); err != nil {
			return err
		}
		version, folders, err := versionOf(ctx, tx)
		if err != nil {
			return err
		}
		if version == len(folders) {
			err = checkTransitions(ctx, tx)
		} else if err = migrate(ctx, tx, folders, version); err == nil {
			err = writeTransitions(ctx, tx)
		}
		if err != nil {
			return err
		}
		return s.noticeRestore(ctx, tx)
	})
}

// noticeRestore marks what may have been pushed where the tables are not where they
// were: they were brought back by the tools of PostgreSQL, and nobody may have said so.
func (s *Store) noticeRestore(ctx context.Context, tx pgx.Tx) error {
	var restored bool
	err := tx.QueryRow(ctx, `SELECT notice_restore()`).Scan(&restored)
	if err == nil && restored {
		s.log.Warn("the database was restored, or failed over: what is open in it is looked for on the branch before it is written")
	}
	return err
}

// noticeRestoreOn does so on a connection, one replica after the other.
func (s *Store) noticeRestoreOn(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrating)); err != nil {
			return err
		}
		return s.noticeRestore(ctx, tx)
	})
}

// Check reports whether Open could use the address, and what in the database will make
// the store slow in time: it connects as Open does, and changes nothing. Errors as Open.
func Check(ctx context.Context, a Address) (warnings []string, err error) {
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, domainError(err)
	}
	defer pool.Close()
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := checkSchema(ctx, tx); err != nil {
			return err
		}
		warnings, err = oldTransactionWarnings(ctx, tx)
		return err
	})
	if err != nil {
		return nil, domainError(err)
	}
	return warnings, nil
}

// checkSchema is the part of Check that decides.
func checkSchema(ctx context.Context, tx pgx.Tx) error {
	const may = `SELECT has_schema_privilege(current_schema(), 'CREATE')`
	s := &Store{log: slog.New(slog.DiscardHandler)}
	if err := s.checkServer(ctx, tx); err != nil {
		return err
	}
	version, folders, err := versionOf(ctx, tx)
	if err != nil {
		return err
	}
	if version == len(folders) {
		return checkTransitions(ctx, tx)
	}
	var can *bool // null where search_path names no schema that is there
	if err := tx.QueryRow(ctx, may).Scan(&can); err != nil {
		return err
	}
	if can == nil || !*can {
		return gitops.Errorf(gitops.Unavailable, "the store's user may not create tables in its schema")
	}
	return nil
}

// checkServer refuses a database that would change text, and warns of one that
// does not keep what it says it has kept.
func (s *Store) checkServer(ctx context.Context, tx pgx.Tx) error {
	const settings = `SELECT current_setting('server_encoding'), current_setting('fsync')`
	var encoding, fsync string
	if err := tx.QueryRow(ctx, settings).Scan(&encoding, &fsync); err != nil {
		return err
	}
	if encoding != "UTF8" {
		return gitops.Errorf(gitops.Unavailable, "the store's database has the encoding %s; it must be UTF8", encoding)
	}
	if fsync == "off" {
		s.log.Warn("the store's server does not wait for its disk (fsync = off): a power failure there loses deliveries")
	}
	return nil
}

// versionOf returns the schema's version, 0 for an empty schema, and this program's
// migrations. A schema that is newer than they are is an error.
func versionOf(ctx context.Context, tx pgx.Tx) (version int, folders []string, err error) {
	const tables = `SELECT to_regclass('tallyman_migrations') IS NOT NULL,
		coalesce(to_regclass('deliveries'), to_regclass('updates'), to_regclass('lanes'), to_regclass('counter'))::text`
	if folders, err = fs.Glob(migrations, "migrations/*"); err != nil {
		return 0, nil, err
	}
	var ours bool
	var other *string
	if err := tx.QueryRow(ctx, tables).Scan(&ours, &other); err != nil {
		return 0, nil, err
	}
	switch {
	case !ours && other == nil:
		return 0, folders, nil
	case !ours:
		return 0, nil, gitops.Errorf(gitops.Unavailable,
			"the store's database has a table %s of another program: give tallyman a database of its own, or a schema with search_path", *other)
	}
	err = tx.QueryRow(ctx, `SELECT max(version) FROM tallyman_migrations`).Scan(&version)
	if err == nil && version > len(folders) {
		err = gitops.Errorf(gitops.Unavailable,
			"the store was written by a newer tallyman (schema %d; this one knows up to %d): start that version or a later one",
			version, len(folders))
	}
	return version, folders, err
}

// scriptsOf are the scripts of a folder, in the order of the numbers that their names
// begin with.
func scriptsOf(folder string) (scripts []string, err error) {
	names, err := fs.Glob(migrations, folder+"/*.sql")
	number := func(name string) (n int) {
		_, _ = fmt.Sscanf(path.Base(name), "%d_", &n)
		return n
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(number(a), number(b)) })
	for _, name := range names {
		script, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		scripts = append(scripts, string(script))
	}
	return scripts, err
}

// migrate runs the migrations that come after the version.
func migrate(ctx context.Context, tx pgx.Tx, folders []string, version int) error {
	const table = `CREATE TABLE IF NOT EXISTS tallyman_migrations (
		version integer PRIMARY KEY, program text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`
	const record = `INSERT INTO tallyman_migrations (version, program) VALUES ($1, $2)`
	if _, err := tx.Exec(ctx, table); err != nil {
		return err
	}
	for i := version; i < len(folders); i++ {
		scripts, err := scriptsOf(folders[i])
		if err != nil {
			return err
		}
		for j, script := range scripts {
			if _, err := tx.Exec(ctx, script, pgx.QueryExecModeSimpleProtocol); err != nil {
				return fmt.Errorf("%s, script %d: %w", folders[i], j+1, err)
			}
		}
		if _, err := tx.Exec(ctx, record, i+1, program()); err != nil {
			return err
		}
	}
	return nil
}
