package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"modernc.org/sqlite"
)

// connection is one connection to the file, below database/sql: the store knows
// exactly which goroutine uses which, so a pool between would only cost time.
// Each text is compiled once. Not safe for concurrent use.
type connection struct {
	conn     driver.Conn
	compiled map[string]driver.Stmt
	args     []driver.NamedValue
}

// connect opens the file that exists at path and runs setup on it.
func connect(path string, setup ...string) (*connection, error) {
	return connectTo(path, "rw", setup...)
}

// connectTo is connect with a mode of SQLite's: rw or ro
// (sqlite.org/uri.html#urimode).
func connectTo(path, mode string, setup ...string) (*connection, error) {
	path, err := filepath.Abs(path) // a URI's path begins with a slash
	if err != nil {
		return nil, err
	}
	address := url.URL{Scheme: "file", Path: path, RawQuery: "mode=" + mode + "&_dqs=0&_error_rc=1"}
	connector, err := sqlite.NewConnector(address.String())
	if err != nil {
		return nil, err
	}
	conn, err := connector.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	c := &connection{conn: conn, compiled: make(map[string]driver.Stmt)}
	for _, text := range setup {
		if err := c.exec(text); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

func (c *connection) close() error {
	var errs []error
	for _, s := range c.compiled {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.conn.Close())...)
}

// statement is text, compiled.
func (c *connection) statement(text string) (driver.Stmt, error) {
	if s, ok := c.compiled[text]; ok {
		return s, nil
	}
	s, err := c.conn.Prepare(text)
	if err != nil {
		return nil, err
	}
	c.compiled[text] = s
	return s, nil
}

// named puts args into the form the driver takes, in a slice that the next call
// uses again.
func (c *connection) named(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, v := range args {
		if n, ok := v.(int); ok {
			v = int64(n)
		}
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return c.args
}

// exec runs a statement that returns nothing.
func (c *connection) exec(text string, args ...any) error {
	_, err := c.run(text, args)
	return err
}

// run is exec with what the statement did.
func (c *connection) run(text string, args []any) (driver.Result, error) {
	s, err := c.statement(text)
	if err != nil {
		return nil, err
	}
	return s.(driver.StmtExecContext).ExecContext(context.Background(), c.named(args))
}

// query calls each with every row until it fails or ctx ends. The row is valid
// only during the call.
func (c *connection) query(ctx context.Context, text string, args []any, each func(row) error) (err error) {
	s, err := c.statement(text)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(ctx, c.named(args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	r := make(row, len(rows.Columns()))
	for {
		switch err := rows.Next(r); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if err := each(r); err != nil {
			return err
		}
		// The driver watches ctx only until the first row.
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// one calls each with the first row, and reports whether there was one.
func (c *connection) one(ctx context.Context, text string, args []any, each func(row)) (found bool, err error) {
	err = c.query(ctx, text, args, func(r row) error {
		if !found {
			each(r)
		}
		found = true
		return nil
	})
	return found, err
}

// row is one row of a result. A method asks for what the column is declared as.
type row []driver.Value

func (r row) text(i int) string {
	s, _ := r[i].(string)
	return s
}

func (r row) number(i int) int64 {
	n, _ := r[i].(int64)
	return n
}

// bytes is never nil.
func (r row) bytes(i int) []byte {
	if b, ok := r[i].([]byte); ok && b != nil {
		return b
	}
	return []byte{}
}

// blob is nil for NULL.
func (r row) blob(i int) []byte {
	b, _ := r[i].([]byte)
	return b
}

// id is an update's.
func (r row) id(i int) string {
	id, err := uuid.FromBytes(r.bytes(i))
	if err != nil {
		return ""
	}
	return id.String()
}

// blob is bytes as the tables hold them: NULL for none.
func blob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

func (r row) time(i int) time.Time {
	if n, ok := r[i].(int64); ok {
		return time.UnixMicro(n).UTC()
	}
	return time.Time{}
}

// stored is t as the tables hold it.
func stored(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// rounded is t as it comes back from the tables.
func rounded(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

// pragma returns the first value of a pragma that answers with one row.
func (c *connection) pragma(text string) (value any, err error) {
	found, err := c.one(context.Background(), text, nil, func(r row) { value = r[0] })
	if err == nil && !found {
		err = fmt.Errorf("%s: no answer", text)
	}
	return value, err
}
