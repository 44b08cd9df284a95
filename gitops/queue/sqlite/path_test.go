package sqlite_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// TestALinkToTheStore has the configured path be a link: the lock and a restored file are
// where the file is.
func TestALinkToTheStore(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "volume", "queue.db"), filepath.Join(dir, "link.db")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, l := range [][2]string{{"hop.db", link}, {"volume/queue.db", filepath.Join(dir, "hop.db")}} {
		if err := os.Symlink(l[0], l[1]); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, link) // makes the file
	accept(t, s, order("old", "api", nil))
	if _, err := sqlite.Open(t.Context(), file, sqlite.Options{}); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("opened by its other name, too: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	done, err := sqlite.Import(t.Context(), link, one("new"), queue.ImportOptions{Replace: true})
	if err != nil || !strings.HasPrefix(done.Aside, file+".replaced-") {
		t.Fatalf("%+v, %v", done, err)
	}
	if ids, err := exported(t, link); err != nil || len(ids) != 1 || ids[0] != "new" {
		t.Errorf("a backup of the link has %q, %v", ids, err)
	}
	holds(t, file, "new")
	holds(t, done.Aside, "old")
	if left, _ := filepath.Glob(filepath.Join(dir, "link.db?*")); len(left) > 0 {
		t.Errorf("beside the link are %q", left)
	}
}

func TestALinkToItself(t *testing.T) {
	link := filepath.Join(t.TempDir(), "queue.db")
	if err := os.Symlink(link, link); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(t.Context(), link, sqlite.Options{})
	if gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "leads to no file") {
		t.Errorf("%v", err)
	}
	if err := sqlite.Check(link, sqlite.Options{}); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("Check: %v", err)
	}
}

// TestRootRestoresForTheServer has root restore, with a store there and without one: all
// files are the server's, which is somebody else.
func TestRootRestoresForTheServer(t *testing.T) {
	const server = 65532
	if os.Geteuid() != 0 {
		t.Skip("A RESTORE BY ROOT IS NOT TESTED: the test must run as root")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	if err := os.Chown(dir, server, server); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Import(t.Context(), path, one("first"), queue.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 0, 0); err != nil { // as a volume whose group alone is the server's
		t.Fatal(err)
	}
	if _, err := sqlite.Import(t.Context(), path, one("second"), queue.ImportOptions{Replace: true}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 { // the store, the one before, and the lock
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != server || owner.Gid != server || info.Mode() != 0o600 {
			t.Errorf("%s is of %d:%d, %v", e.Name(), owner.Uid, owner.Gid, info.Mode())
		}
	}
}
