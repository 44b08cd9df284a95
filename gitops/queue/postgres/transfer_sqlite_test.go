package postgres_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
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

func TestTransferFromSQLite(t *testing.T) {
	for range 2 {
		queuetest.Transfer(t, &file{t, filepath.Join(t.TempDir(), "queue.db")}, &instance{t, schema(t)})
	}
}
