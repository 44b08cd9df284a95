package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// notCarried are the tables that a backup need not have, and why.
var notCarried = map[string]string{
	"parsing":             "of processes that have nothing to do with the new store",
	"tallyman_migrations": "the new store's own",
	"states":              "the program's",
	"transitions":         "the program's",
	"tallies":             "counted by triggers",
	"location":            "where the tables are",
}

// TestABackupCarriesEveryTable fails for a table that an export or an import has
// forgotten, and for one that [queuetest.Fill] leaves empty.
func TestABackupCarriesEveryTable(t *testing.T) {
	from, to := schema(t), schema(t)
	queuetest.Fill(t, &instance{t, from})
	if _, err := postgres.Import(t.Context(), to, postgres.Export(t.Context(), from), queue.ImportOptions{}); err != nil {
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
func rowsOf(t *testing.T, a postgres.Address) map[string]int64 {
	t.Helper()
	conn := connect(t, a)
	found, err := conn.Query(t.Context(), `SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(found, pgx.RowTo[string])
	rows := make(map[string]int64)
	for _, table := range tables {
		var n int64
		if e := conn.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); e != nil {
			err = e
		}
		rows[table] = n
	}
	if err != nil || len(tables) < 10 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	return rows
}
