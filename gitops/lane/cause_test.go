package lane_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/lane"
)

// A lane says what it backs off from: the store, and then the repository. What it does
// not wait for any more it says, too.
func TestCauseOfBackingOff(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1")
		s.queue.fail("Take", fault{errStoreDown, false})
		s.writer.then(fails(errGitDown))
		s.Start()
		elapse(5 * time.Second)
		synctest.Wait()
		s.Stop(t.Context())
		equal(t, "causes", []lane.Cause{lane.CauseStore, lane.CauseStore, lane.CauseRepository, lane.CauseRepository}, s.recorder.causes)
		for i, waits := range s.recorder.backOffs() {
			equal(t, "it waits", i%2 == 0, waits > 0)
		}
	})
}
