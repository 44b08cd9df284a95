package proposals_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

// A pull request that ends before a list ever had it leaves the list as it was: nothing there
// tells of it, and it is asked for.
func TestTrapEndedBeforeItWasListed(t *testing.T) {
	for name, tt := range map[string]struct {
		event func(w *proposalstest.World)
		want  gitops.State
	}{
		"merge": {func(w *proposalstest.World) { w.Merge(2, "rebase", "bo") }, gitops.Committed},
		"close": {func(w *proposalstest.World) { w.Close(2, "bo") }, gitops.Closed},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(s *site) {
				s.is(s.propose("1.1.0"), gitops.Proposed)
				s.w.Close(1, "bo")
				s.room.Look("prod")
				s.after(10 * time.Second) // a list without any was read
				u := s.propose("1.2.0")
				tt.event(s.w)
				s.room.Look("prod")
				s.after(10 * time.Second)
				s.is(u, tt.want)
			})
		})
	}
}
