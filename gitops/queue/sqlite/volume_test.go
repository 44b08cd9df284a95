package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// TestASharedVolumeIsRefused is a store that is to be made on a file system of another
// machine, and one that is there: neither starts, and nothing is written.
func TestASharedVolumeIsRefused(t *testing.T) {
	fresh := filepath.Join(t.TempDir(), "queue.db")
	there := filepath.Join(t.TempDir(), "queue.db")
	if err := openFile(t, there, nil).Close(); err != nil {
		t.Fatal(err)
	}
	for path, files := range map[string]int{fresh: 0, there: 2} {
		var examined string
		o := Options{Volume: func(path string) (Volume, error) {
			examined = path
			return Volume{FileSystem: "nfs", Shared: true, Size: 1 << 40, Free: 1 << 40}, nil
		}}
		_, openErr := Open(t.Context(), path, o)
		for what, err := range map[string]error{"Open": openErr, "Check": Check(path, o)} {
			if gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), path) ||
				!strings.Contains(gitops.PublicOf(err), "machines share (nfs)") || !strings.Contains(gitops.PublicOf(err), "PostgreSQL") {
				t.Errorf("%s: %v", what, err)
			}
		}
		left, err := os.ReadDir(filepath.Dir(path))
		if err != nil || len(left) != files {
			t.Errorf("left are %v, %v", left, err)
		}
		if want := map[bool]string{true: path, false: filepath.Dir(path)}[files > 0]; examined != want {
			t.Errorf("%s was examined, want %s", examined, want)
		}
		unknown := Options{Volume: func(string) (Volume, error) { return Volume{}, errors.New("statfs: permission denied") }}
		if err := Check(path, unknown); gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "cannot be examined") {
			t.Errorf("a volume that cannot be examined: %v", err)
		}
	}
}
