package postgres_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

func TestARestoreMarksWhatMayHaveBeenPushed(t *testing.T) {
	for name, target := range map[string]func(*testing.T) queuetest.Target{
		"PostgreSQL": func(t *testing.T) queuetest.Target { return &instance{t, schema(t)} },
		"SQLite":     func(t *testing.T) queuetest.Target { return &file{t, t.TempDir() + "/queue.db"} },
	} {
		t.Run(name, func(t *testing.T) {
			queuetest.Restored(t, &instance{t, schema(t)}, func(entries []queue.Entry) queuetest.Instance {
				into := target(t)
				if _, err := into.Import(t.Context(), queuetest.Each(entries), queue.ImportOptions{Restored: true}); err != nil {
					t.Fatal(err)
				}
				return into
			})
		})
	}
}

// TestMarkRestored is a database that its own tools have brought back.
func TestMarkRestored(t *testing.T) {
	a := schema(t)
	if err := postgres.MarkRestored(t.Context(), a); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("where there is no store: %v", err)
	}
	queuetest.Restored(t, &instance{t, a}, func([]queue.Entry) queuetest.Instance {
		s := open(t, a)
		if err := postgres.MarkRestored(t.Context(), a); gitops.CodeOf(err) != gitops.Conflict {
			t.Errorf("while a replica runs: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := postgres.MarkRestored(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		return &instance{t, a}
	})
}

// A process that ends while a restore begins is waited for: its session may outlive it.
func TestARestoreWaitsForWhoeverEnds(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	marked := make(chan error)
	go func() { marked <- postgres.MarkRestored(t.Context(), a) }()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-marked; err != nil {
		t.Error(err)
	}
}

// TestADumpThatIsRestoredIsNoticed restores a dump with the tools of PostgreSQL, and
// starts a replica without a word. A restart alone marks nothing.
func TestADumpThatIsRestoredIsNoticed(t *testing.T) {
	a := schema(t)
	queuetest.Restored(t, &instance{t, a}, func([]queue.Entry) queuetest.Instance {
		shared.DumpAndRestore(t, a.URL)
		return &instance{t, a}
	})
	s := open(t, a)
	accept(t, s, order("9", "api"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if u := updateOf(t, open(t, a), idOf("9", "api")); u.MaybePushed {
		t.Error("a restart marks what is open")
	}
}

// TestAFailoverIsNoticedByAReplicaThatRuns has the server behind a running replica become
// another, which may lack its last reports: what is open is looked for on the branch. The
// next connection to the same server marks nothing.
func TestAFailoverIsNoticedByAReplicaThatRuns(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	accept(t, s, order("1", "api"))
	claim(t, s, "one", "dev", time.Hour)
	marked := func() (is bool) {
		t.Helper()
		const text = `SELECT maybe_pushed_through > 0 FROM lanes WHERE name = 'dev'`
		if err := connect(t, a).QueryRow(t.Context(), text).Scan(&is); err != nil {
			t.Fatal(err)
		}
		return is
	}
	reconnect := func() {
		t.Helper()
		broken := s.SessionKey()
		execute(t, a, `SELECT pg_terminate_backend(`+sessionOf(t, a, s)+`)`)
		for key := broken; key == broken || key == 0; key = s.SessionKey() {
			if err := s.Ping(t.Context()); err != nil && gitops.CodeOf(err) != gitops.Unavailable {
				t.Fatal(err)
			}
		}
	}
	if reconnect(); marked() {
		t.Error("a session that breaks marks what is open")
	}
	execute(t, a, `UPDATE location SET identity = 'of another server'`)
	if reconnect(); !marked() {
		t.Error("the other server was not noticed")
	}
	execute(t, a, `UPDATE lanes SET maybe_pushed_through = 0`)
	if reconnect(); marked() {
		t.Error("each connection marks what is open")
	}
}
