package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// Files for which there is no room fail their own updates, the largest first, also where
// the server sends files with their commits; another of their size takes no part.
func TestFilesBeyondTheSnapshotFailAlone(t *testing.T) {
	overEach(t, testFilesBeyondTheSnapshotFailAlone)
}

func testFilesBeyondTheSnapshotFailAlone(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	change := gitserver.Change{Files: map[string]string{}}
	paths := testFiles()
	for n := range 4 {
		app := fmt.Sprintf("large-%d", n)
		change.Files[testFile("dev", app)] = valuesFile(app, "dev", "none") + strings.Repeat("#\n", 300_000)
		paths = append(paths, testFile("dev", app))
		change.Files[fmt.Sprintf("unrelated-%d.bin", n)] = strings.Repeat(fmt.Sprint(n), 4<<20)
	}
	o.commit(change)
	w := o.writer(func(c *Config) {
		c.Files = func() []string { return paths }
		c.Limits.Snapshot = func() int64 { return 2 << 20 }
	})
	failed := 0
	for i, s := range o.write(w, o.update("dev", "shop", "main-0000001"), o.update("dev", "large-0", "main-0000001"), o.update("dev", "large-1", "main-0000001"),
		o.update("dev", "large-2", "main-0000001"), o.update("dev", "large-3", "main-0000001"), o.update("dev", "cart", "main-0000001")) {
		switch {
		case s.Action == gitops.ActionFail && i > 0 && i < 5:
			if failed++; s.Code != gitops.TooLarge || !strings.Contains(s.Reason, "limits.snapshot") || !strings.Contains(s.Reason, testFile("dev", fmt.Sprintf("large-%d", i-1))) {
				t.Errorf("update %d failed: %s %s", i, s.Code, s.Reason)
			}
		case s.Action != gitops.ActionCommit:
			t.Errorf("update %d is %+v", i, s)
		}
	}
	if failed < 1 || failed > 3 {
		t.Errorf("%d of 4 large files failed", failed)
	}
}
