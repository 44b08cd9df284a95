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

// What is known of pull requests is recorded with what happened to their updates, also in parts;
// and so is what is known besides.
func TestReportsOfProposalsAreDivided(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.queue.most = 3
		names := numbered("app", 20)
		s.accept(names...)
		s.Start()
		elapse(15 * time.Second)
		equal(t, "happened", 20, len(s.happened()))
		waits := func(name string) []string { return s.update("dev", name).Proposal.WaitsFor }
		for _, name := range names {
			changed := *s.update("dev", name).Proposal
			changed.WaitsFor = []string{"a review"}
			p.result(name, gitops.ProposalResult{Proposal: &changed})
		}
		elapse(15 * time.Second)
		equal(t, "the first waits for", []string{"a review"}, waits(names[0]))
		equal(t, "the last waits for", []string{"a review"}, waits(names[19]))
		if largest := slices.Max(s.queue.sizes); largest > 3 {
			t.Errorf("a report has %d updates, want 3 at most", largest)
		}
		s.Stop(t.Context())
	})
}
