package sqlite_test

import (
	"bytes"
	"crypto/rand"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// open opens the store at path, and closes it when the test ends.
func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{Logger: testLogger(t)})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// order is a delivery that asks for one update of app in dev.
func order(id, app string, body []byte) gitops.Delivery {
	return gitops.Delivery{
		Source: "github", ID: id, ReceivedAt: time.Now(), Outcome: gitops.OutcomeAccepted, Body: body,
		Updates: []gitops.Update{{Environment: "dev", App: app, Tag: "main-1a2b3c4"}},
	}
}

func accept(t *testing.T, s *sqlite.Store, d gitops.Delivery) gitops.Delivery {
	t.Helper()
	got, duplicate, err := s.Accept(t.Context(), d)
	if err != nil || duplicate {
		t.Fatalf("Accept(%s): duplicate %t, error %v", d.ID, duplicate, err)
	}
	return got
}

// claim takes the lane of dev for an hour.
func claim(t *testing.T, s *sqlite.Store, holder string) queue.Lease {
	t.Helper()
	claimed, err := s.Claim(t.Context(), holder, []string{"dev"}, time.Hour)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("Claim: %+v, %v", claimed, err)
	}
	return claimed[0]
}

// execute runs a statement on a database that no store has open.
func execute(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// TestOpenRefuses holds Open to saying what is wrong, and to leaving the file as
// it is.
func TestOpenRefuses(t *testing.T) {
	cases := []struct {
		name string
		make func(t *testing.T, path string)
		code gitops.Code
		says string
	}{
		{"text", func(t *testing.T, path string) {
			write(t, path, []byte(strings.Repeat("not a database\n", 100)))
		}, gitops.Unavailable, "is not an SQLite database"},
		{"short text", func(t *testing.T, path string) {
			write(t, path, []byte("hello"))
		}, gitops.Unavailable, "is not an SQLite database"},
		{"directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, gitops.Unavailable, "is not a file"},
		{"damage in the first page", func(t *testing.T, path string) {
			damage(t, path, 100)
		}, gitops.Unavailable, "is damaged"},
		{"damage in the middle", func(t *testing.T, path string) {
			damage(t, path, 8*4096)
		}, gitops.Unavailable, "is damaged"},
		{"another program's", func(t *testing.T, path string) {
			execute(t, path, `CREATE TABLE notes (note TEXT)`)
		}, gitops.Unavailable, "database of another program"},
		{"newer", func(t *testing.T, path string) {
			closed(t, path)
			execute(t, path, `INSERT INTO migrations (version, applied_at) VALUES (1000, 0)`)
		}, gitops.Unavailable, "written by a newer tallyman (schema 1000; this one knows 3)"},
		{"older", func(t *testing.T, path string) {
			execute(t, path, `CREATE TABLE migrations (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT;
				INSERT INTO migrations VALUES (1, 0), (2, 0)`)
		}, gitops.Unavailable, "written by an older tallyman (schema 2; this one needs 3)"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "queue.db")
			c.make(t, path)
			before, _ := os.ReadFile(path)
			for range 2 {
				_, err := sqlite.Open(t.Context(), path, sqlite.Options{})
				if gitops.CodeOf(err) != c.code || !strings.Contains(gitops.PublicOf(err), c.says) {
					t.Errorf("Open: %v (%s); want %s, and %q in the sentence", err, gitops.CodeOf(err), c.code, c.says)
				}
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("Open changed the file that it refused")
			}
		})
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// closed makes a store with some deliveries and closes it.
func closed(t *testing.T, path string) {
	t.Helper()
	s := open(t, path)
	for range 30 {
		accept(t, s, order(rand.Text(), "api", make([]byte, 2000)))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// damage makes a store and overwrites a page of it from offset on.
func damage(t *testing.T, path string, offset int) {
	t.Helper()
	closed(t, path)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = rand.Read(content[offset : offset+2048])
	write(t, path, content)
}

func TestOpenWithoutDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "queue.db")
	_, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "missing does not exist") {
		t.Errorf("Open: %v", err)
	}
}

// TestOpenPath holds Open to taking every path that the system takes, although
// SQLite's own form for one is a URI.
func TestOpenPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?mode=memory#%41&é.db")
	accept(t, open(t, path), order("1", "api", nil))
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestFilesAreTheOwners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	accept(t, open(t, path), order("1", "api", nil))
	found, err := filepath.Glob(path + "*")
	if err != nil || len(found) != 4 {
		t.Fatalf("the store's files are %q (%v); want 4", found, err)
	}
	for _, file := range found {
		info, err := os.Stat(file)
		if err != nil || info.Mode() != fs.FileMode(0o600) {
			t.Errorf("%s has mode %v (%v); want 0600", file, info.Mode(), err)
		}
	}
}

func TestOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	first := open(t, path)
	_, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if gitops.CodeOf(err) != gitops.Conflict || !strings.Contains(gitops.PublicOf(err), "in use by another process") {
		t.Errorf("the second Open: %v", err)
	}
	accept(t, first, order("1", "api", nil))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, duplicate, err := open(t, path).Accept(t.Context(), order("1", "api", nil)); err != nil || !duplicate {
		t.Errorf("after the first was closed: duplicate %t, error %v", duplicate, err)
	}
}

// TestRestartNeedNotWait holds Open to voiding a dead process's leases: the lock
// proves that it is dead.
func TestRestartNeedNotWait(t *testing.T) {
	i := &instance{t: t, logger: testLogger(t), path: filepath.Join(t.TempDir(), "queue.db")}
	q, err := i.Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := q.Accept(t.Context(), order("1", "api", nil))
	if err != nil {
		t.Fatal(err)
	}
	dead, err := q.Claim(t.Context(), "one", []string{"dev", "job/missed"}, time.Hour)
	if err != nil || len(dead) != 2 {
		t.Fatalf("Claim: %+v, %v", dead, err)
	}
	if err := i.Crash(q); err != nil {
		t.Fatal(err)
	}
	s := open(t, i.path)
	if kept, err := s.Extend(t.Context(), dead, time.Hour); err != nil || len(kept) > 0 {
		t.Errorf("Extend of a dead process's leases: %+v, %v", kept, err)
	}
	if got, err := s.Claim(t.Context(), "two", []string{"job/missed"}, time.Hour); err != nil || len(got) != 1 || got[0].Token <= dead[1].Token {
		t.Errorf("Claim of a job's lease after a restart: %+v, %v", got, err)
	}
	taken, err := s.Take(t.Context(), claim(t, s, "two"), queue.TakeOptions{Limit: 10})
	if err != nil || len(taken) != 1 || taken[0].ID != d.Updates[0].ID || !taken[0].MaybePushed {
		t.Errorf("taken after a restart: %+v (%v)", taken, err)
	}
}
