package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// copies are the rows of all tables at one moment, and the counter's value, which is
// what a backup or a standby has.
type copies struct {
	rows    map[string][]byte // by table
	counter int64
}

// lookAtTables prepares for copies: of all tables but those that the migrations fill.
func (d *database) lookAtTables(ctx context.Context) error {
	const tables = `SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
		AND relname NOT IN ('tallyman_migrations', 'states', 'transitions') ORDER BY relname`
	// As in pg_dump's own order of things, triggers come after the rows.
	if _, err := d.conn.Exec(ctx, `SET session_replication_role = replica`); err != nil {
		return err
	}
	found, err := d.conn.Query(ctx, tables)
	if err != nil {
		return err
	}
	if d.tables, err = pgx.CollectRows(found, pgx.RowTo[string]); err != nil {
		return err
	}
	if len(d.tables) < 8 {
		return fmt.Errorf("the schema has the tables %q alone", d.tables)
	}
	d.empty, err = d.backup(ctx)
	return err
}

func (d *database) backup(ctx context.Context) (copies, error) {
	c := copies{rows: make(map[string][]byte)}
	for _, table := range d.tables {
		var rows bytes.Buffer
		if _, err := d.conn.PgConn().CopyTo(ctx, &rows, `COPY `+table+` TO STDOUT (FORMAT binary)`); err != nil {
			return c, err
		}
		c.rows[table] = rows.Bytes()
	}
	err := d.conn.QueryRow(ctx, `SELECT last_value FROM counter`).Scan(&c.counter)
	return c, err
}

// restore puts the rows in the place of what the tables have.
func (d *database) restore(ctx context.Context, c copies) error {
	return pgx.BeginFunc(ctx, d.conn, func(tx pgx.Tx) error {
		var errs []error
		for _, table := range d.tables {
			_, err := tx.Exec(ctx, `DELETE FROM `+table)
			errs = append(errs, err)
		}
		for _, table := range d.tables {
			_, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(c.rows[table]), `COPY `+table+` FROM STDIN (FORMAT binary)`)
			errs = append(errs, err)
		}
		_, err := tx.Exec(ctx, `SELECT setval('counter', $1)`, c.counter)
		return errors.Join(append(errs, err)...)
	})
}

// afterRestore is what tallyman restore runs, and with --mark-only an operator whose tools
// brought the database back, before the first replica
// starts.
const afterRestore = `SELECT mark_restored()`
