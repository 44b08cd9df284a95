package sqlite

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	lib "modernc.org/sqlite/lib"

	"github.com/tallyman-dev/tallyman/gitops"
)

//go:embed schema.sql
var schema string

// schemaVersion is the version of [schema]. Versions 1 and 2 were never released,
// and are not carried over.
const schemaVersion = 3

// checkedSize is the size in bytes up to which a file is checked for damage at
// open. A larger one would hold up the start, which has a second; damage in it
// shows when SQLite reads the page.
const checkedSize = 16 << 20

// prepareFile gives an empty file its schema, in one transaction: a crash leaves
// the empty file. A file that is damaged, not ours, or of another version is left
// as it is.
func prepareFile(c *connection, size int64, now time.Time) error {
	version, err := versionOf(c)
	if err != nil {
		return err
	}
	if err := checkVersion(version); err != nil {
		return err
	}
	if err := check(c, size); err != nil {
		return err
	}
	if mode, err := c.pragma(`PRAGMA journal_mode = WAL`); err != nil || mode != "wal" {
		return errors.Join(fmt.Errorf("the journal mode is %v", mode), err)
	}
	if version == 0 {
		return createSchema(c, now)
	}
	return nil
}

// versionOf returns the schema's version: 0 for an empty database.
func versionOf(c *connection) (version int, err error) {
	var ours, others int64
	const tables = `SELECT count(*) FILTER (WHERE name = 'migrations'), count(*) FILTER (WHERE name <> 'migrations') FROM sqlite_schema`
	if _, err := c.one(context.Background(), tables, nil, func(r row) { ours, others = r.number(0), r.number(1) }); err != nil {
		return 0, err
	}
	switch {
	case ours == 0 && others == 0:
		return 0, nil
	case ours == 0:
		return 0, gitops.Errorf(gitops.Unavailable, "the store's file is an SQLite database of another program")
	}
	_, err = c.one(context.Background(), `SELECT max(version) FROM migrations`, nil, func(r row) { version = int(r.number(0)) })
	return version, err
}

// checkVersion fails for a file that another version of tallyman wrote.
func checkVersion(version int) error {
	switch {
	case version > schemaVersion:
		return gitops.Errorf(gitops.Unavailable, "the store was written by a newer tallyman (schema %d; this one knows %d): start that version or a later one",
			version, schemaVersion)
	case version > 0 && version < schemaVersion:
		return gitops.Errorf(gitops.Unavailable,
			"the store was written by an older tallyman (schema %d; this one needs %d), before its first release: move the file away to begin with an empty one",
			version, schemaVersion)
	}
	return nil
}

// check looks for damage in a file of size bytes.
func check(c *connection, size int64) error {
	if size > checkedSize {
		return nil
	}
	found, err := c.pragma(`PRAGMA quick_check(1)`)
	if err != nil {
		return err
	}
	if found != "ok" {
		return gitops.Errorf(gitops.Unavailable, "the store's file is damaged: restore it from a backup, or move it away to begin with an empty one").
			WithCause(fmt.Errorf("quick_check: %v", found))
	}
	return nil
}

func createSchema(c *connection, now time.Time) error {
	const table = `CREATE TABLE migrations (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT`
	const record = `INSERT INTO migrations (version, applied_at) VALUES (?, ?)`
	if err := c.exec(`BEGIN IMMEDIATE`); err != nil {
		return err
	}
	err := c.exec(table)
	if err == nil {
		err = c.exec(schema)
	}
	if err == nil {
		err = c.exec(record, schemaVersion, now.UnixMicro())
	}
	if err == nil {
		err = c.exec(`COMMIT`)
	}
	if err != nil {
		return errors.Join(err, c.exec(`ROLLBACK`))
	}
	return nil
}

// openError says why a file could not be opened as a store.
func openError(path string, err error) error {
	var e *gitops.Error
	if errors.As(err, &e) {
		return err
	}
	switch resultCode(err) {
	case lib.SQLITE_NOTADB:
		return gitops.Errorf(gitops.Unavailable, "the store's file %s is not an SQLite database, or is damaged", path).WithCause(err)
	case lib.SQLITE_CORRUPT:
		return gitops.Errorf(gitops.Unavailable,
			"the store's file %s is damaged: restore it from a backup, or move it away to begin with an empty one", path).WithCause(err)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return gitops.Errorf(gitops.Conflict, "the store's file %s is locked by another program, which is not tallyman: end that one first", path).WithCause(err)
	case lib.SQLITE_FULL:
		return gitops.Errorf(gitops.Unavailable, "the disk of the store %s is full", path).WithCause(err)
	}
	return gitops.Errorf(gitops.Unavailable, "the store %s cannot be opened", path).WithCause(err)
}
