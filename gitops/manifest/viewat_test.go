package manifest

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// A view of a tip that a caller has just seen is the branch at that tip. It asks the server only
// for what is missing here: nothing when the writer or a reader has fetched the tip before.
func TestAViewOfATipThatWasSeen(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		w := o.writer()
		hash := func(name string) git.Hash {
			h, ok := git.ParseHash(name)
			if !ok {
				t.Fatalf("%q is not a hash", name)
			}
			return h
		}
		first, seen := hash(o.first), time.Now()
		v, err := w.ViewAt(t.Context(), first, seen)
		if err != nil || v.Commit() != o.first || v.Snapshot().Tip != first || !v.AsOf().Equal(seen) {
			t.Fatalf("got %+v, %v", v, err)
		}
		o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
		o.server.ResetCounts()
		at := func(what string, tip string, fetches int) *View {
			t.Helper()
			v, err := w.ViewAt(t.Context(), hash(tip), time.Now(), "README.md")
			if err != nil || v.Commit() != tip {
				t.Fatalf("%s: got %+v, %v", what, v, err)
			}
			if n := o.server.Counts().Requests[gitserver.FetchRefs]; n != 0 {
				t.Errorf("%s: it asked %d times where the branch is", what, n)
			}
			if n := o.server.Counts().Requests[gitserver.Fetch]; o.ssh == nil && n != fetches {
				t.Errorf("%s: %d fetches, want %d", what, n, fetches)
			}
			o.server.ResetCounts()
			return v
		}
		at("where the writer is", o.git("rev-parse", "main"), 1) // for the file
		moved := o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "cart"): valuesFile("cart", "dev", "by hand")}})
		v = at("where the branch went", moved, 2) // for the tip, and for the file of an app
		if content, err := v.ReadFile(testFile("dev", "cart")); err != nil || string(content) != valuesFile("cart", "dev", "by hand") {
			t.Errorf("the file is %q, %v", content, err)
		}
		at("once more", moved, 0)
		o.git("update-ref", "refs/heads/main", o.first)
		if _, err := w.ViewAt(t.Context(), git.Hash{1}, time.Now()); !git.UnknownToServer(err) || gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("a tip that is not there: %v", err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.ViewAt(t.Context(), first, time.Now()); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("after the end: %v", err)
		}
	})
}
