package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// acceptApps accepts one delivery for each app, in their order, and returns their
// updates.
func acceptApps(t *testing.T, s *Store, apps ...string) (updates []gitops.Update) {
	t.Helper()
	for i, app := range apps {
		d := numbered(i)
		d.Updates[0].App = app
		d, _, err := s.Accept(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		updates = append(updates, d.Updates...)
	}
	return updates
}

// One look finds what a report supersedes, for all apps that it writes. Of each app
// that ends at what was written of it, and not at what was written of another.
func TestSupersededIsWhatIsOlderThanItsOwnHead(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), nil)
	defer s.Close()
	u := acceptApps(t, s, "web", "web", "web", "api", "api", "other")
	commit := func(u gitops.Update) gitops.Transition {
		return gitops.Transition{Update: u.ID, Action: gitops.ActionCommit}
	}
	if _, err := s.Report(t.Context(), s.claim(t, "one"), queue.Report{Transitions: []gitops.Transition{commit(u[4]), commit(u[1])}}); err != nil {
		t.Fatal(err)
	}
	want := []gitops.State{gitops.Superseded, gitops.Committed, gitops.Pending, gitops.Superseded, gitops.Committed, gitops.Pending}
	for i, u := range u {
		if got, err := s.Update(t.Context(), u.ID); err != nil || got.State != want[i] {
			t.Errorf("update %d of %s is %s; want %s (%v)", i, u.App, got.State, want[i], err)
		}
	}
}

// Whoever follows a store that was restored from a backup is told that the cursor
// is worth nothing, also when only steps were lost.
func TestCursorOfWhatARestoreLost(t *testing.T) {
	dir := t.TempDir()
	path, file := filepath.Join(dir, "queue.db"), filepath.Join(dir, "backup.db")
	s := openFile(t, path, nil)
	defer s.Close()
	u := acceptApps(t, s, "api")
	kept, err := s.Latest(t.Context())
	if err == nil {
		_, err = Import(t.Context(), file, Export(t.Context(), path), queue.ImportOptions{Restored: true})
	}
	if err == nil {
		_, err = s.Report(t.Context(), s.claim(t, "one"), queue.Report{Transitions: []gitops.Transition{{Update: u[0].ID, Action: gitops.ActionFail}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	lost, err := s.Latest(t.Context())
	if err != nil || lost == kept {
		t.Fatalf("the cursors are %q and %q, %v", kept, lost, err)
	}
	restored := openFile(t, file, nil)
	defer restored.Close()
	if changes, err := restored.Changes(t.Context(), kept, 10); err != nil || len(changes) > 0 {
		t.Errorf("after what the backup has: %+v, %v", changes, err)
	}
	if _, err := restored.Changes(t.Context(), lost, 10); gitops.CodeOf(err) != gitops.Invalid {
		t.Errorf("after what the backup lacks: %v", err)
	}
}
