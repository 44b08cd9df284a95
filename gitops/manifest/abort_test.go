package manifest

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// A process that must end does not wait for a push that nobody answers. Whether
// that push landed or not, the next process writes the update once.
func TestAbortLeavesAPushToTheNextProcess(t *testing.T) {
	t.Parallel()
	for name, taken := range map[string]bool{"not taken": false, "taken": true} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			w := o.writer()
			arrived, release := make(chan struct{}), make(chan struct{})
			t.Cleanup(func() { close(release) })
			fault := gitserver.Fault{On: gitserver.Push, Before: func() { close(arrived) }, Wait: release, Cut: true}
			if taken {
				fault = gitserver.Fault{On: gitserver.Push, Replace: func(answer []byte) []byte { close(arrived); <-release; return answer }}
			}
			o.server.Inject(fault)
			u := o.update("dev", "shop", "main-0000001")
			done := writeSoon(t.Context(), w, u)
			<-arrived
			w.Abort()
			if r := <-done; gitops.CodeOf(r.err) != gitops.Unavailable || len(r.settled) != 0 {
				t.Fatalf("got %v and %v", r.settled, r.err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			o.check(o.write(o.writer(), takenOver(u))...)
		})
	}
}
