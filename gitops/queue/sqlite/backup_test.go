package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// TestBackupWhileAccepting backs a busy store up several times. Each copy has all
// that was answered before it began, as it was, and nothing half.
func TestBackupWhileAccepting(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "queue.db"))
	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	answered := make(chan gitops.Delivery, 1000)
	for sender := range 4 {
		senders.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				d, _, err := s.Accept(t.Context(), order(fmt.Sprintf("%d-%d", sender, n), "api", bytes.Repeat([]byte{'x'}, 3000)))
				if err != nil {
					t.Errorf("Accept: %v", err)
					return
				}
				select {
				case answered <- d:
				case <-ctx.Done():
				}
			}
		})
	}
	var before []gitops.Delivery
	for n := range 5 {
		for range 50 {
			before = append(before, <-answered)
		}
		file := filepath.Join(dir, fmt.Sprintf("backup-%d.db", n))
		if err := sqlite.Backup(t.Context(), filepath.Join(dir, "queue.db"), file); err != nil {
			t.Fatalf("Backup: %v", err)
		}
		copied := open(t, file)
		for _, want := range before {
			want.Updates[0].MaybePushed = true // by the store that goes on
			got, err := copied.Delivery(t.Context(), want.Key())
			if err != nil || !cmp.Equal(want, got) {
				t.Fatalf("in the copy (%v): %s", err, cmp.Diff(want, got))
			}
		}
		all, _, err := copied.Deliveries(t.Context(), queue.DeliveryFilter{}, queue.Page{Limit: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range all {
			if len(d.Updates) != 1 {
				t.Fatalf("half a delivery: %+v", d)
			}
		}
		accept(t, copied, order("after", "api", nil))
	}
	stop()
	senders.Wait()
}

// A backup of a store that is not in use leaves it as it is, and a second one
// finds the first in its way.
func TestBackupAtRest(t *testing.T) {
	dir := t.TempDir()
	path, file := filepath.Join(dir, "queue.db"), filepath.Join(dir, "a b?%41.db")
	closed(t, path)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Backup(t.Context(), path, file); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(content, after) {
		t.Errorf("the store was changed (%v)", err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode() != fs.FileMode(0o600) {
		t.Errorf("the copy is %v, %v", info, err)
	}
	err = sqlite.Backup(t.Context(), path, file)
	if gitops.CodeOf(err) != gitops.Conflict || !strings.Contains(gitops.PublicOf(err), "is there already") {
		t.Errorf("over a file: %v", err)
	}
	accept(t, open(t, file), order("new", "api", nil))
}

// The file may be named from where one stands.
func TestBackupToARelativeName(t *testing.T) {
	t.Chdir(t.TempDir())
	closed(t, "queue.db")
	if err := sqlite.Backup(t.Context(), "queue.db", "copy.db"); err != nil {
		t.Fatal(err)
	}
	accept(t, open(t, "copy.db"), order("new", "api", nil))
}

// TestBackupOfALaneThatWasGivenBack is a store whose lanes are clean: what waits
// in the copy is written after it was made, as is what is retried, and must be
// looked for when the copy is used.
func TestBackupOfALaneThatWasGivenBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "queue.db"))
	accept(t, s, order("1", "api", nil))
	failed := accept(t, s, order("2", "web", nil)).Updates[0].ID
	l := claim(t, s, "one")
	fail := queue.Report{Transitions: []gitops.Transition{{Update: failed, Action: gitops.ActionFail, Code: gitops.NotFound, Reason: "no such file"}}}
	file := filepath.Join(dir, "backup.db")
	_, err := s.Report(t.Context(), l, fail)
	err = errors.Join(err, s.Release(t.Context(), l, true), sqlite.Backup(t.Context(), filepath.Join(dir, "queue.db"), file))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{file: true, "": false} {
		q := s
		if path != "" {
			q = open(t, path)
		}
		if _, err := q.Decide(t.Context(), queue.Decision{Update: failed, Action: gitops.ActionRetry}); err != nil {
			t.Fatal(err)
		}
		taken, err := q.Take(t.Context(), claim(t, q, "two"), queue.TakeOptions{Limit: 3})
		if err != nil || len(taken) != 2 || taken[0].MaybePushed != want || taken[1].MaybePushed != want {
			t.Errorf("%q has %+v, %v; want both marked: %t", path, taken, err, want)
		}
	}
}

// What cannot be backed up is refused, and leaves nothing that looks like a
// backup.
func TestBackupRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, path string)
		file string
		code gitops.Code
		says string
	}{
		{"no store", func(*testing.T, string) {}, "copy.db", gitops.NotFound, "there is no store"},
		{"an empty file", func(t *testing.T, path string) { write(t, path, nil) }, "copy.db", gitops.NotFound, "never started"},
		{"text", func(t *testing.T, path string) { write(t, path, []byte(strings.Repeat("no database\n", 100))) }, "copy.db", gitops.Unavailable, "not an SQLite database"},
		{"another program's", func(t *testing.T, path string) { execute(t, path, `CREATE TABLE notes (note TEXT)`) }, "copy.db", gitops.Unavailable, "another program"},
		{"damage", func(t *testing.T, path string) { damage(t, path, 8*4096) }, "copy.db", gitops.Unavailable, "damaged"},
		{"no directory", closed, "none/copy.db", gitops.Unavailable, "cannot be written"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "queue.db")
			c.make(t, path)
			err := sqlite.Backup(t.Context(), path, filepath.Join(dir, c.file))
			if gitops.CodeOf(err) != c.code || !strings.Contains(gitops.PublicOf(err), c.says) {
				t.Errorf("%v (%s); want %s and %q", err, gitops.CodeOf(err), c.code, c.says)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*copy*")); len(left) > 0 {
				t.Errorf("it left %q", left)
			}
		})
	}
}

// backupUnderLimit has a limit on the size of files in the way of a backup.
func backupUnderLimit(path, file string) error {
	signal.Ignore(syscall.SIGXFSZ) // a write past the limit then fails with EFBIG
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 40 << 10, Max: 40 << 10}); err != nil {
		return err
	}
	err := sqlite.Backup(context.Background(), path, file)
	if gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "is there room") {
		return fmt.Errorf("under the limit: %w", err)
	}
	return nil
}

func TestBackupWithoutRoom(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	closed(t, path)
	file := filepath.Join(dir, "copy.db")
	if output, err := child(t, "no room", path, file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*copy*")); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
}

func TestBackupStops(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	closed(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := sqlite.Backup(ctx, path, filepath.Join(dir, "copy.db"))
	if !errors.Is(err, context.Canceled) || gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("%v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*copy*")); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
}
