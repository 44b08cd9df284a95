package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// target is a store that is imported into. Its crashes are closes.
type target struct{ path string }

func (i target) Open(now func() time.Time) (queue.Queue, error) {
	return sqlite.Open(context.Background(), i.path, sqlite.Options{Now: now})
}

func (i target) Crash(q queue.Queue) error { return q.Close() }

func (i target) Import(ctx context.Context, entries iter.Seq2[queue.Entry, error], o queue.ImportOptions) (queue.Imported, error) {
	return sqlite.Import(ctx, i.path, entries, o)
}

func TestTransfer(t *testing.T) {
	for range 2 {
		dir := t.TempDir()
		queuetest.Transfer(t, target{filepath.Join(dir, "a.db")}, target{filepath.Join(dir, "b.db")})
	}
}

func TestARestoreMarksWhatMayHaveBeenPushed(t *testing.T) {
	dir := t.TempDir()
	queuetest.Restored(t, target{filepath.Join(dir, "a.db")}, func(entries []queue.Entry) queuetest.Instance {
		into := target{filepath.Join(dir, "b.db")}
		if _, err := into.Import(t.Context(), queuetest.Each(entries), queue.ImportOptions{Restored: true}); err != nil {
			t.Fatal(err)
		}
		return into
	})
}

// TestMarkRestored is a file that a snapshot of its volume brought back.
func TestMarkRestored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	if err := sqlite.MarkRestored(t.Context(), path); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("where there is no store: %v", err)
	}
	queuetest.Restored(t, target{path}, func([]queue.Entry) queuetest.Instance {
		s := open(t, path)
		if err := sqlite.MarkRestored(t.Context(), path); gitops.CodeOf(err) != gitops.Conflict {
			t.Errorf("while a process has it open: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := sqlite.MarkRestored(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		return target{path}
	})
}

// one yields an accepted delivery and its lane.
func one(id string) iter.Seq2[queue.Entry, error] {
	d := order(id, "api", []byte("{}"))
	d.Updates[0].ID, d.Updates[0].State, d.Updates[0].AcceptedAt = gitops.UpdateID(d.Key(), "dev", "api"), gitops.Pending, time.Now()
	return queuetest.Each([]queue.Entry{{Delivery: &d}, {Lane: &queue.LaneState{Environment: "dev"}}})
}

// holds fails unless the store at path has the delivery, alone, and goes on.
func holds(t *testing.T, path, id string) {
	t.Helper()
	s := open(t, path)
	all, _, err := s.Deliveries(t.Context(), queue.DeliveryFilter{}, queue.Page{Limit: 10})
	if err != nil || len(all) != 1 || all[0].ID != id {
		t.Fatalf("%s holds %+v, %v; want %s alone", filepath.Base(path), all, err, id)
	}
	accept(t, s, order("after "+id, "api", nil))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// crashed makes a store that has one delivery, in its WAL alone, as a process leaves it
// that was killed.
func crashed(t *testing.T, path, id string) {
	t.Helper()
	made := filepath.Join(t.TempDir(), "queue.db")
	s := open(t, made)
	accept(t, s, order(id, "api", nil))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		content, err := os.ReadFile(made + suffix)
		if err == nil {
			err = os.WriteFile(path+suffix, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestImportKeepsTheStoreThatItReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	crashed(t, path, "old")
	_, err := sqlite.Import(t.Context(), path, one("new"), queue.ImportOptions{})
	if gitops.CodeOf(err) != gitops.Conflict || !strings.Contains(gitops.PublicOf(err), "is not empty (deliveries: 1, ") {
		t.Errorf("over a store: %v", err)
	}
	gone := errors.New("the source is gone")
	broken := func(yield func(queue.Entry, error) bool) { yield(queue.Entry{}, gone) }
	if _, err := sqlite.Import(t.Context(), path, broken, queue.ImportOptions{Replace: true}); !errors.Is(err, gone) {
		t.Errorf("an import whose source fails: %v", err)
	}
	done, err := sqlite.Import(t.Context(), path, one("new"), queue.ImportOptions{Replace: true})
	if err != nil || done.Deliveries != 1 || !strings.HasPrefix(done.Aside, path+".replaced-") {
		t.Fatalf("%+v, %v", done, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != fs.FileMode(0o600) {
		t.Errorf("the store is %v, %v", info, err)
	}
	holds(t, path, "new")
	holds(t, done.Aside, "old")
	if left, _ := filepath.Glob(path + ".rest*"); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
}

func TestImportOfContradictions(t *testing.T) {
	queuetest.Contradictions(t, target{filepath.Join(t.TempDir(), "queue.db")})
}

// TestADamagedStoreIsReplaced is why one restores, often.
func TestADamagedStoreIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	damage(t, path, 8*4096)
	_, err := sqlite.Import(t.Context(), path, one("new"), queue.ImportOptions{})
	if gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("over it: %v", err)
	}
	if _, err := sqlite.Import(t.Context(), path, one("new"), queue.ImportOptions{Replace: true}); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "new")
}

// importUnderLimit has a limit on the size of files in the way of an import.
func importUnderLimit(path, _ string) error {
	signal.Ignore(syscall.SIGXFSZ) // a write past the limit then fails with EFBIG
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 40 << 10, Max: 40 << 10}); err != nil {
		return err
	}
	_, err := sqlite.Import(context.Background(), path, one("new"), queue.ImportOptions{Replace: true})
	if gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "is there room") {
		return fmt.Errorf("under the limit: %w", err)
	}
	return nil
}

func TestImportWithoutRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	crashed(t, path, "old")
	if output, err := child(t, "no room", path, "").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if left, _ := filepath.Glob(path + ".re*"); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
	holds(t, path, "old")
}

func TestImportStops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sqlite.Import(ctx, path, one("new"), queue.ImportOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if left, _ := filepath.Glob(path + "*"); len(left) != 1 { // the lock
		t.Errorf("it left %q", left)
	}
}

// TestExportOfACrashedStore has a process killed and a backup made before the next
// start: what is in the WAL alone is in it.
func TestExportOfACrashedStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	crashed(t, path, "old")
	if err := os.Remove(path + "-shm"); err != nil { // which a machine's crash takes
		t.Fatal(err)
	}
	var ids []string
	for e, err := range sqlite.Export(t.Context(), path) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Delivery != nil {
			ids = append(ids, e.Delivery.ID)
		}
	}
	if len(ids) != 1 || ids[0] != "old" {
		t.Errorf("the backup has %q", ids)
	}
}

// TestExportRefuses is of what cannot be backed up.
func TestExportRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, path string)
		code gitops.Code
		says string
	}{
		{"no store", func(*testing.T, string) {}, gitops.NotFound, "there is no store"},
		{"an empty file", func(t *testing.T, path string) { write(t, path, nil) }, gitops.NotFound, "never started"},
		{"text", func(t *testing.T, path string) { write(t, path, bytes.Repeat([]byte("no database\n"), 100)) }, gitops.Unavailable, "not an SQLite database"},
		{"another program's", func(t *testing.T, path string) { execute(t, path, `CREATE TABLE notes (note TEXT)`) }, gitops.Unavailable, "another program"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "queue.db")
			c.make(t, path)
			var failed error
			for _, err := range sqlite.Export(t.Context(), path) {
				failed = err
			}
			if gitops.CodeOf(failed) != c.code || !strings.Contains(gitops.PublicOf(failed), c.says) {
				t.Errorf("%v (%s); want %s and %q", failed, gitops.CodeOf(failed), c.code, c.says)
			}
		})
	}
}
