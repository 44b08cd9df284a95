package postgres_test

import (
	"context"
	"iter"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// file is a store of SQLite. Its crashes are closes: the tests here are not about
// them.
type file struct {
	t    *testing.T
	path string
}

func (f *file) Open(now func() time.Time) (queue.Queue, error) {
	return sqlite.Open(f.t.Context(), f.path, sqlite.Options{Now: now})
}

func (f *file) Crash(q queue.Queue) error { return q.Close() }

func (f *file) Import(ctx context.Context, entries iter.Seq2[queue.Entry, error], o queue.ImportOptions) (queue.Imported, error) {
	return sqlite.Import(ctx, f.path, entries, o)
}

func (i *instance) Import(ctx context.Context, entries iter.Seq2[queue.Entry, error], o queue.ImportOptions) (queue.Imported, error) {
	return postgres.Import(ctx, i.address, entries, o)
}

func TestTransferFromSQLite(t *testing.T) {
	queuetest.Transfer(t, &file{t, filepath.Join(t.TempDir(), "queue.db")}, &instance{t, schema(t)})
}

func TestTransferToSQLite(t *testing.T) {
	queuetest.Transfer(t, &instance{t, schema(t)}, &file{t, filepath.Join(t.TempDir(), "queue.db")})
}
