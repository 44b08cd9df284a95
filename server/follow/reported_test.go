package follow_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/follow"
)

// A verdict that is reported is counted once: where the follower waits for it, where it comes
// while none follows, and where it comes in the moment in which the time is over.
func TestReportedVerdictsAreCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		s.configure("api", func(how *follow.Followed) { how.By = follow.ByReports })
		report := func(id string, state gitops.RolloutState) {
			_, err := s.store.Model.ReportRollouts(t.Context(), queue.Lease{}, []queue.RolloutReport{{Update: id, Rollout: gitops.Rollout{State: state, By: "token:flux"}}})
			s.must(err)
		}
		stop := s.start("this")
		waited := s.write("api", "1.0.0")
		s.pass(time.Second)
		report(waited, gitops.RolloutHealthy)
		s.pass(time.Second)
		stop()
		meanwhile := s.write("api", "1.0.1")
		report(meanwhile, gitops.RolloutDegraded)
		defer s.start("next")()
		s.pass(time.Minute)
		last := s.write("api", "1.0.2")
		over := now().Add(15 * time.Minute)
		s.pass(time.Second)
		reported := false
		s.store.mu.Lock()
		s.store.after = func(int) { // it has read what changed by then, and records that the time is over
			if !reported && !now().Before(over) {
				reported = true
				report(last, gitops.RolloutHealthy)
			}
		}
		s.store.mu.Unlock()
		s.pass(16 * time.Minute)
		s.expect(last, gitops.RolloutHealthy, "")
		want := []string{waited + " healthy", meanwhile + " degraded", last + " healthy"}
		if ended, _ := s.counts(); !slices.Equal(ended, want) {
			t.Errorf("counted %v, want %v", ended, want)
		}
	})
}
