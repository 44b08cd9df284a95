package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// A branch that is locked, as by a push that was killed, is an outage: no update is tried
// alone, and all are written in their order when it is free again.
func TestALockedBranchIsAnOutage(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		w := o.writer()
		if err := w.Handshake(t.Context()); err != nil {
			t.Fatal(err)
		}
		lock := filepath.Join(o.repo.Dir, "refs", "heads", "main.lock")
		if err := os.WriteFile(lock, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		o.server.ResetCounts()
		updates := []gitops.Update{o.update("dev", "shop", "main-0000001"), o.update("dev", "cart", "main-0000002"), o.update("prod", "shop", "v1")}
		r, err := w.Write(t.Context(), tasksOf(updates))
		if gitops.CodeOf(err) != gitops.Unavailable || len(r.Refused)+len(r.Transitions) != 0 {
			t.Errorf("%+v, %v; want unavailable, and nothing of any update", r, err)
		}
		if err == nil || !strings.Contains(gitops.PublicOf(err), "the branch is locked at the git server: failed to update ref") {
			t.Errorf("the outage is %v", err)
		}
		if pushes := o.server.Counts().Requests[gitserver.Push]; pushes != 1 {
			t.Errorf("%d pushes", pushes)
		}
		if err := os.Remove(lock); err != nil {
			t.Fatal(err)
		}
		o.check(o.write(w, updates...)...)
	})
}
