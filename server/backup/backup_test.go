package backup

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/archive"
)

// store is a source of one checkpoint, which fails while it is away.
type store struct {
	mu   sync.Mutex
	away error
}

func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = err
}

func (s *store) source() Source {
	return Source{Program: "v1", Export: func(context.Context) iter.Seq2[queue.Entry, error] {
		s.mu.Lock()
		defer s.mu.Unlock()
		away := s.away
		return func(yield func(queue.Entry, error) bool) {
			_ = yield(queue.Entry{Checkpoint: &queue.Checkpoint{Name: "a", Value: "b"}}, nil) && away != nil && yield(queue.Entry{}, away)
		}
	}}
}

func names(t *testing.T, dir string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

func TestWriteFile(t *testing.T) {
	var s store
	dir := t.TempDir()
	file := filepath.Join(dir, "a.backup")
	if _, err := s.source().WriteFile(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := archive.NewReader(bytes.NewReader(text))
	if err != nil || r.Info.Program != "v1" || time.Since(r.Info.MadeAt) > time.Minute {
		t.Errorf("%+v, %v", r, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	if _, err := s.source().WriteFile(t.Context(), file); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("over a file: %v", err)
	}
	away := errors.New("the store is away")
	s.fail(away)
	if _, err := s.source().WriteFile(t.Context(), filepath.Join(dir, "b.backup")); !errors.Is(err, away) {
		t.Errorf("of a store that fails: %v", err)
	}
	if _, err := s.source().WriteFile(t.Context(), filepath.Join(dir, "none", "b.backup")); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("where there is no directory: %v", err)
	}
	if diff := cmp.Diff([]string{"a.backup"}, names(t, dir)); diff != "" {
		t.Errorf("the directory: %s", diff)
	}
}

// TestTimed has backups made on time, a failure tried again, the oldest removed, and a
// restart make none early.
func TestTimed(t *testing.T) {
	dir := t.TempDir()
	leave := []string{".tallyman-20260101T000000Z.backup.7.part", "notes.txt", "tallyman-20260101T000000Z.backup.asc"}
	for _, name := range leave {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		for _, name := range leave { // the bubble's clock begins at 2000-01-01
			if err := os.Chtimes(filepath.Join(dir, name), time.Now(), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		var s store
		var last []time.Time
		begin := func() (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			timed := Timed{
				Directory: Directory{Path: dir, Keep: 2}, Every: 24 * time.Hour, Source: s.source(),
				Succeeded: func(at time.Time) { last = append(last, at) }, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
			}
			running.Go(func() { timed.Run(ctx) })
			return func() { cancel(); running.Wait() }
		}
		elapse := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		holds := func(what string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, names(t, dir)); diff != "" {
				t.Errorf("%s:\n%s", what, diff)
			}
		}
		stop := begin()
		elapse(time.Minute)
		holds("at the start", leave[0], "notes.txt", "tallyman-20000101T000000Z.backup", leave[2])
		stop()
		stop = begin()
		elapse(23 * time.Hour)
		holds("after a restart", leave[0], "notes.txt", "tallyman-20000101T000000Z.backup", leave[2])
		s.fail(errors.New("the store is away"))
		elapse(time.Hour)
		holds("while the store is away", leave[0], "notes.txt", "tallyman-20000101T000000Z.backup", leave[2])
		s.fail(nil)
		elapse(10 * time.Minute)
		elapse(24 * time.Hour)
		stop()
		holds("after two more", "notes.txt", "tallyman-20000102T001000Z.backup", "tallyman-20000103T001000Z.backup", leave[2])
		if newest := last[len(last)-1]; !newest.Equal(time.Date(2000, 1, 3, 0, 10, 0, 0, time.UTC)) {
			t.Errorf("the newest backup is said to be of %s", newest)
		}
	})
}
