package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// TestOnlyWhatTellsOfImagesPaysForThem counts the statements about images that the writer
// has run: accepting and reporting without a digest runs none.
func TestOnlyWhatTellsOfImagesPaysForThem(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), nil)
	defer s.Close()
	ran := func() (n int) {
		err := s.writer.do(t.Context(), func(tx *tx) error {
			for text := range tx.compiled {
				if strings.Contains(text, "INTO images") {
					n++
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	accept := func(n int, principal, digest string) {
		d := numbered(n)
		d.Principal, d.Updates[0].Digest = principal, digest
		if _, _, err := s.Accept(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	accept(1, "dispatch:1", "")
	accept(2, "token:ann", "sha256:a")
	accept(3, "push:eventbridge/1", "")
	l := s.claim(t, "one")
	if _, err := s.Report(t.Context(), l, queue.Report{Transitions: []gitops.Transition{{Update: updateOf(2), Action: gitops.ActionCommit}}}); err != nil {
		t.Fatal(err)
	}
	if n := ran(); n != 0 {
		t.Errorf("%d statements recorded images where none was told of", n)
	}
	accept(4, "push:eventbridge/1", "sha256:a")
	if n := ran(); n != 1 {
		t.Errorf("a push with a digest ran %d statements", n)
	}
}

// TestImagesAreRecordedOrNothingIs has a table of images that cannot be written: what would
// have been recorded with it is not accepted, nor reported, and the next try does both.
func TestImagesAreRecordedOrNothingIs(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), nil)
	defer s.Close()
	change := func(text string) {
		if err := s.writer.do(t.Context(), func(tx *tx) error { return tx.exec(text) }); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Accept(t.Context(), numbered(1)); err != nil {
		t.Fatal(err)
	}
	l := s.claim(t, "one")
	pushed := numbered(2)
	pushed.Principal, pushed.Updates[0].Digest = "push:eventbridge/1", "sha256:a"
	found := gitops.Transition{Update: updateOf(1), Action: gitops.ActionCommit, Found: &gitops.Found{Digest: "sha256:a"}}
	for _, works := range []bool{false, false, true} {
		if !works {
			change(`CREATE TRIGGER broken BEFORE INSERT ON images BEGIN SELECT raise(ABORT, 'broken'); END`)
		}
		_, duplicate, err := s.Accept(t.Context(), pushed)
		if (err == nil) != works || duplicate {
			t.Errorf("Accept where images can be written is %t: duplicate is %t, %v", works, duplicate, err)
		}
		if _, err := s.Report(t.Context(), l, queue.Report{Transitions: []gitops.Transition{found}}); (err == nil) != works {
			t.Errorf("Report where images can be written is %t: %v", works, err)
		}
		u, err := s.Update(t.Context(), updateOf(1))
		if err != nil || (u.State == gitops.Committed) != works || (u.Found != nil) != works {
			t.Errorf("where images can be written is %t, the update is %+v, %v", works, u, err)
		}
		if !works {
			change(`DROP TRIGGER broken`)
		}
	}
}
