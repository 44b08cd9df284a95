package postgres_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// shared is the server of all tests that do not stop it; nil where PostgreSQL is
// not installed.
var shared *postgrestest.Server

func TestMain(m *testing.M) {
	os.Exit(runWithServer(m))
}

func runWithServer(m *testing.M) int {
	var err error
	shared, err = postgrestest.New("fsync=off") // no power is lost here, and the suite has thousands of transactions

	if err != nil && (!errors.Is(err, exec.ErrNotFound) || os.Getenv("CI") != "") {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if shared != nil {
		defer shared.Close()
	}
	return m.Run()
}

// schema is the address of an empty place for a store.
func schema(tb testing.TB) postgres.Address {
	tb.Helper()
	if shared == nil {
		tb.Skip("POSTGRESQL IS NOT TESTED: it is not installed; `make test-deps` installs it")
	}
	return postgres.Address{URL: shared.Schema(tb)}
}

// TestConformance runs on one replica what depends on hints, which come from elsewhere
// there, and what TestConformanceOverReplicas leaves out. That runs all else.
func TestConformance(t *testing.T) {
	queuetest.RunOnly(t, func(t *testing.T) queuetest.Instance {
		return &instance{t: t, address: schema(t)}
	}, append(onOneReplica, "Lanes/Wake", "Lanes/Blocks", "ChangeFeed/", "Leases/", "Holds/LiftedIsReady", "Holds/NewestHeld", "Images/Freed")...)
}

// instance is a store whose crashes are its connections' ends, at the server and
// without a word.
type instance struct {
	t       *testing.T
	address postgres.Address
}

func (i *instance) Open(now func() time.Time) (queue.Queue, error) {
	return postgres.Open(i.t.Context(), i.address, postgres.Options{Now: now, Logger: testLogger(i.t)})
}

func (i *instance) Crash(q queue.Queue) error {
	shared.Exec(i.t, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'tallyman'`)
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
