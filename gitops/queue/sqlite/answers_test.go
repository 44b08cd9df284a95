package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// answers is a recorder of what was told last of a kind. The test makes one call at a
// time.
type answers map[queue.CallKind]string

func (answers) Committed(int, time.Duration) {}

func (a answers) Answered(kind queue.CallKind, ok bool) { a[kind] = fmt.Sprint(ok) }

// TestAnswersAreTold has calls answered, refused, given up and failed by the disk.
func TestAnswersAreTold(t *testing.T) {
	a := answers{}
	path := filepath.Join(t.TempDir(), "queue.db")
	d := &disk{v: Volume{Size: 1 << 40, Free: 1 << 40}}
	s, err := Open(t.Context(), path, Options{Recorder: a, Volume: d.volume})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	failed := func(tx *tx) error {
		commit, err := tx.statement(`COMMIT`)
		tx.compiled[`COMMIT`] = faultyCommit{commit, false}
		return err
	}
	for _, c := range []struct {
		what string
		kind queue.CallKind
		want string
		call func() error
	}{
		{"a delivery", queue.Writing, "true", func() error { _, _, err := s.Accept(t.Context(), numbered(1)); return err }},
		{"a lost lease", queue.Writing, "true", func() error { return s.Release(t.Context(), queue.Lease{Name: "dev", Token: 7}, true) }},
		{"a change that was given up", queue.Writing, "", func() error { return s.Ping(ended) }},
		{"a change that the disk did not take", queue.Writing, "false", func() error { return s.writer.do(t.Context(), failed) }},
		{"the next one", queue.Writing, "true", func() error { return s.Ping(t.Context()) }},
		{"a question", queue.Reading, "true", func() error { _, err := s.Latest(t.Context()); return err }},
		{"what is not there", queue.Reading, "true", func() error { _, err := s.Update(t.Context(), updateOf(9)); return err }},
		{"a question that was given up", queue.Reading, "", func() error { _, err := s.Latest(ended); return err }},
		{"a question to a damaged file", queue.Reading, "false", func() error {
			return s.read(t.Context(), func(context.Context, *connection) error {
				return gitops.Errorf(gitops.Unavailable, "the store's file is damaged")
			})
		}},
	} {
		delete(a, c.kind)
		err := c.call()
		if a[c.kind] != c.want {
			t.Errorf("%s, which ended with %v: told %q, want %q", c.what, err, a[c.kind], c.want)
		}
	}
	delete(a, queue.Reading)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Latest(t.Context()); gitops.CodeOf(err) != gitops.Unavailable || a[queue.Reading] != "" {
		t.Errorf("a closed store: %v, told %q", err, a[queue.Reading])
	}
}
