package manifest

import (
	"os"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// The branch is replaced while the writer is idle, and the server no longer has
// the tip that a search would begin at.
func TestASearchGoesOnAfterTheBranchWasReplaced(t *testing.T) {
	overEach(t, testASearchGoesOnAfterTheBranchWasReplaced)
}

func testASearchGoesOnAfterTheBranchWasReplaced(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	o.commit(gitserver.Change{Files: map[string]string{"README.md": "to be amended\n"}})
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.commit(gitserver.Change{From: o.first, Files: map[string]string{"README.md": "amended\n"}})
	o.check(o.write(w, takenOver(o.update("dev", "shop", "main-0000001")))...)
}

// A hook that goes on talking after the push has landed does not hold Close up.
func TestCloseDoesNotWaitForAHookThatNeverEnds(t *testing.T) {
	overEach(t, testCloseDoesNotWaitForAHookThatNeverEnds)
}

func testCloseDoesNotWaitForAHookThatNeverEnds(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	running := t.TempDir() + "/running"
	if err := os.WriteFile(running, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the server is closed, which waits for the hook
		if err := os.Remove(running); err != nil {
			t.Error(err)
		}
	})
	if err := o.repo.Hook("post-receive", "while [ -e "+running+" ]; do sleep 0.1; done"); err != nil {
		t.Fatal(err)
	}
	w := o.writer()
	settled := o.write(w, o.update("dev", "shop", "main-0000001"))
	closed := make(chan error, 1)
	go func() { closed <- w.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("Close waits for the hook")
	}
	o.check(settled...)
}
