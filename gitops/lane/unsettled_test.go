package lane_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/lane"
)

// What nobody knows yet is left alone, however long that takes, and the others are written;
// when it is settled the update is cancelled with the reason, or written.
func TestWhatIsNotSettledIsLeftAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		var known, settled atomic.Bool
		r := s.with(lane.Config{
			Environments: environments("dev"),
			Configured:   func(_, app string) bool { return app != "gone" && (app != "api" || known.Load()) },
			WhyNot:       func(_, app string) (string, bool) { return "its file is gone", settled.Load() },
		})
		r.Start()
		s.accept("gone 1", "api 1", "web 1")
		elapse(time.Hour)
		equal(t, "before", []string{"web 1 committed"}, s.happened())
		r.Configure(environments("dev"), func() { known.Store(true); settled.Store(true) })
		elapse(2 * time.Second)
		equal(t, "happened", []string{"api 1 committed", "gone 1 cancelled"}, s.sortedHappened())
		r.Stop(t.Context())
	})
}
