package lane_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
)

// A report that the store does not manage in its time is made in parts: it would never
// be recorded, and the lane would go no further.
func TestAReportThatIsTooLargeIsDivided(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.queue.most = 3
		var names, want []string
		for n := range 20 {
			names = append(names, fmt.Sprintf("app-%d 1", n))
			want = append(want, fmt.Sprintf("app-%d 1 committed", n))
		}
		s.accept(names...)
		s.Start()
		elapse(15 * time.Second)
		equal(t, "happened", want, s.happened())
		equal(t, "writes", [][]string{names}, s.writer.asked())
		s.Stop(t.Context())
		equal(t, "released clean", true, s.releasedClean())
	})
}

// Many cancellations at once, as of an app that left the configuration, are no larger
// transactions than anything else.
func TestReportsAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		var names []string
		for n := range 30 {
			names = append(names, fmt.Sprintf("app-%d 1", n))
		}
		s.accept(names...)
		for _, name := range names {
			s.decide(gitops.ActionCancel, name)
		}
		r := s.with(lane.Config{BatchSize: 10})
		r.Start()
		synctest.Wait()
		equal(t, "cancelled", 30, len(s.happened()))
		if largest := slices.Max(s.queue.sizes); largest > 10 {
			t.Errorf("a report has %d updates, want 10 at most", largest)
		}
		r.Stop(t.Context())
	})
}
