package sqlite_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

func TestConformance(t *testing.T) {
	queuetest.Run(t, func(t *testing.T) queuetest.Instance {
		return &instance{t: t, logger: testLogger(t), path: filepath.Join(t.TempDir(), "queue.db")}
	})
}

// instance is a store whose crashes leave what kill -9 leaves: the files as the
// kernel has them. The next process finds them at another path, because this
// one goes on and its lock with it.
type instance struct {
	t       *testing.T
	logger  *slog.Logger
	path    string
	crashes int
}

func (i *instance) Open(now func() time.Time) (queue.Queue, error) {
	return sqlite.Open(i.t.Context(), i.path, sqlite.Options{Now: now, Logger: i.logger})
}

func (i *instance) Crash(q queue.Queue) error {
	i.crashes++
	after := filepath.Join(i.t.TempDir(), fmt.Sprintf("queue-%d.db", i.crashes))
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(i.path + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(after+suffix, content, 0o600); err != nil {
			return err
		}
	}
	i.path = after
	return q.Close()
}

// testLogger logs to the test.
func testLogger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(logWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type logWriter struct{ t testing.TB }

func (w logWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}
