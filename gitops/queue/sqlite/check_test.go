package sqlite_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

func TestCheckSaysWhetherOpenCould(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tallyman.db")
	check := func(path, want string) {
		t.Helper()
		err := sqlite.Check(path, sqlite.Options{})
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", path, err)
		case want != "" && (gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	check(path, "")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the check left %v, %v", left, err)
	}
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	check(path, "") // in use
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check(filepath.Join(dir, "none", "tallyman.db"), "does not exist")
	check(filepath.Join(path, "tallyman.db"), "does not exist")
	check(dir, "is not a file")
	if os.Getuid() != 0 { // root may write anything
		if err := os.Chmod(path, 0o400); err != nil {
			t.Fatal(err)
		}
		check(path, "cannot be read and written")
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
		check(path, "cannot be written by this user")
	}
}
