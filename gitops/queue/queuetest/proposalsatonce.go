package queuetest

import (
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// proposedAtOnce reports that updates of one app are proposed, in calls of their own at
// once, while a person cancels them and the oldest is merged: only the newest stays
// proposed, whoever was first, and no cancellation is lost.
func proposedAtOnce(s *script) {
	const updates = 20
	var open []gitops.Update
	for range updates {
		d, _, err := s.q.Accept(s.t.Context(), s.order("dev/api"))
		s.code("Accept", err, "")
		open = append(open, d.Updates[0])
	}
	leases, err := s.q.Claim(s.t.Context(), "one", []string{"dev"}, hour)
	s.code("Claim", err, "")
	last := open[updates-1]
	var all sync.WaitGroup
	for i, u := range open {
		all.Go(func() {
			r := queue.Report{Transitions: []gitops.Transition{proposed(u)}, Proposals: []queue.Proposed{{Update: u.ID, Proposal: s.proposalOf(i)}}}
			if _, err := s.q.Report(s.t.Context(), leases[0], r); err != nil {
				s.t.Errorf("Report: %v", err)
			}
		})
	}
	all.Go(func() {
		if _, err := s.q.Decide(s.t.Context(), queue.Decision{Update: last.ID, Action: gitops.ActionCancel, Actor: "ann"}); err != nil {
			s.t.Errorf("Decide: %v", err)
		}
	})
	all.Go(func() {
		if _, err := s.q.Report(s.t.Context(), leases[0], queue.Report{Transitions: []gitops.Transition{committed(open[0])}}); err != nil {
			s.t.Errorf("Report: %v", err)
		}
	})
	all.Wait()
	for i, u := range open {
		got, err := s.q.Update(s.t.Context(), u.ID)
		s.code("Update", err, "")
		want := gitops.Superseded
		switch i {
		case 0:
			want = gitops.Committed
		case updates - 1:
			want = gitops.Proposed
		}
		if got.State != want || got.Proposal == nil || got.Proposal.Number != i || (got.CancelRequest != nil) != (want == gitops.Proposed) {
			s.t.Fatalf("update %d of %d is %+v; want it %s", i, updates, got, want)
		}
	}
	backlogs, err := s.q.Backlogs(s.t.Context())
	if err != nil || len(backlogs) != 1 || backlogs[0].Proposed != 1 || backlogs[0].Pending != 0 {
		s.t.Fatalf("the backlogs are %+v, %v", backlogs, err)
	}
}
