package branchtags

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What was written since the last look is in the tags at once, and is looked for once.
// A server that asks to be left alone is left alone all the same.
func TestWhatIsWrittenIsSeenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := site(t)
		b.old = time.Second
		written := time.Now()
		c.BranchTags(t.Context(), written)
		for i, version := range []string{"v2", "v3"} {
			b.push(map[string]string{"prod/api.yaml": "image: host/api:" + version + "\n"})
			written = written.Add(time.Millisecond)
			for range 3 {
				if got := tags(c.BranchTags(t.Context(), written)); got != "dev/api v1, dev/worker v1, prod/api "+version {
					t.Errorf("after push %d: %s", i, got)
				}
			}
		}
		if asked, _ := b.sinceLast(); asked != 3 {
			t.Errorf("%d views were made, want 3", asked)
		}
		b.err = gitops.Errorf(gitops.Unavailable, "no answer")
		for i := range 5 {
			c.BranchTags(t.Context(), written.Add(time.Duration(i+1)*time.Second))
		}
		if asked, _ := b.sinceLast(); asked != 1 {
			t.Errorf("a server that does not answer was asked %d times", asked)
		}
	})
}
