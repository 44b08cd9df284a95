package sqlite

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// opened is a store that is opened once.
type opened struct{ path string }

func (o opened) Open(now func() time.Time) (queue.Queue, error) {
	return Open(context.Background(), o.path, Options{Now: now})
}

func (o opened) Crash(q queue.Queue) error { return q.Close() }

// notCarried are the tables that a backup need not have, and why.
var notCarried = map[string]string{
	"parsing":       "of processes that have nothing to do with the new store",
	"migrations":    "the new store's own",
	"pings":         "for the probe alone",
	"numbers":       "numbers begin again, and follow the order of the entries",
	"audit_pruning": "empty but in a transaction that prunes",
}

// TestABackupCarriesEveryTable fails for a table that an export or an import has
// forgotten, and for one that [queuetest.Fill] leaves empty.
func TestABackupCarriesEveryTable(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a.db"), filepath.Join(dir, "b.db")
	queuetest.Fill(t, opened{from})
	if _, err := Import(t.Context(), to, Export(t.Context(), from), queue.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	was, is := rowsOf(t, from), rowsOf(t, to)
	for table, rows := range was {
		if notCarried[table] == "" && (rows == 0 || is[table] != rows) {
			t.Errorf("%s has %d rows, and %d in what was made of its backup", table, rows, is[table])
		}
	}
	for table := range notCarried {
		if _, there := was[table]; !there {
			t.Errorf("there is no table %s", table)
		}
	}
}

// rowsOf is how many rows each table has.
func rowsOf(t *testing.T, path string) map[string]int64 {
	t.Helper()
	c, err := connect(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	var tables []string
	err = c.query(t.Context(), `SELECT name FROM sqlite_schema WHERE type = 'table'`, nil, func(r row) error {
		tables = append(tables, r.text(0))
		return nil
	})
	rows := make(map[string]int64)
	for _, table := range tables {
		if _, e := c.one(t.Context(), `SELECT count(*) FROM `+table, nil, func(r row) { rows[table] = r.number(0) }); e != nil {
			err = e
		}
	}
	if err != nil || len(tables) < 10 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	return rows
}
