package backup

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// fill makes empty files.
func fill(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAClockThatWasAhead has more backups from a time to come than are kept. What is
// written now stays, is the newest, and takes the place of none of them.
func TestAClockThatWasAhead(t *testing.T) {
	dir := t.TempDir()
	ahead := []string{"tallyman-20990101T000000Z.backup", "tallyman-20990102T000000Z.backup", "tallyman-20990103T000000Z.backup"}
	fill(t, dir, ahead...)
	synctest.Test(t, func(t *testing.T) { // its clock begins at 2000-01-01
		d := Directory{Path: dir, Keep: 2}
		if newest, err := d.Newest(); err != nil || !newest.IsZero() {
			t.Errorf("before the first: the newest is of %s, %v", newest, err)
		}
		var s store
		for range 3 {
			if _, _, err := d.Add(t.Context(), s.source()); err != nil {
				t.Fatal(err)
			}
			if newest, err := d.Newest(); err != nil || !newest.Equal(time.Now()) {
				t.Errorf("the newest is of %s, %v", newest, err)
			}
			time.Sleep(24 * time.Hour)
		}
		want := append([]string{"tallyman-20000102T000000Z.backup", "tallyman-20000103T000000Z.backup"}, ahead...)
		if diff := cmp.Diff(want, names(t, dir)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// TestAbandonedPartsGoFirst has a volume that is full of what processes left that died
// while they wrote: a backup that fails for that has removed them.
func TestAbandonedPartsGoFirst(t *testing.T) {
	dir := t.TempDir()
	const left, young = ".tallyman-20260101T000000Z.backup.7.part", ".tallyman-20260101T000000Z.backup.8.part"
	fill(t, dir, left, young)
	old := time.Now().Add(-2 * abandonedAfter)
	if err := os.Chtimes(filepath.Join(dir, left), old, old); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no room")
	source := Source{Export: func(context.Context) iter.Seq2[queue.Entry, error] {
		return func(yield func(queue.Entry, error) bool) { yield(queue.Entry{}, full) }
	}}
	if _, _, err := (Directory{Path: dir, Keep: 2}).Add(t.Context(), source); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff([]string{young}, names(t, dir)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
