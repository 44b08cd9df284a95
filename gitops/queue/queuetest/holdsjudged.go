package queuetest

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// judgedBefore reports blocks that were judged before a hold was lifted: whoever lifted it
// could not find what it was to hold, which is ready, and counts as held. What was judged by
// what holds now is blocked.
func judgedBefore(s *script) {
	u := s.accept(s.order("dev/api", "dev/web", "dev/db")).Updates
	l := s.one("one", "dev")
	stop := s.hold(stopOf("dev"))
	judged, err := s.q.HoldsInForce(s.t.Context())
	s.code("HoldsInForce", err, "")
	by := func(kind gitops.HoldKind, revision int64) gitops.Block {
		b := heldAs(kind)
		b.Revision = revision
		return b
	}
	s.advance(time.Minute)
	s.report(l, queue.Report{Blocks: []queue.Blocked{{Update: u[2].ID, BlockedBy: []gitops.Block{by(gitops.HoldStop, judged.Revision)}}}})
	if taken := s.checkTake(l, queue.TakeOptions{Limit: 9}); len(taken) != 2 {
		s.t.Fatalf("taken is %+v; want what nothing holds", taken)
	}
	s.lift(stop.ID)
	s.advance(time.Minute)
	s.report(l, queue.Report{Blocks: []queue.Blocked{
		{Update: u[0].ID, BlockedBy: []gitops.Block{by(gitops.HoldStop, judged.Revision), by(gitops.HoldBad, judged.Revision)}},
		{Update: u[1].ID, BlockedBy: []gitops.Block{by(gitops.HoldStop, judged.Revision)}},
	}})
	taken := s.checkTake(l, queue.TakeOptions{Limit: 9})
	if len(taken) != 3 || !taken[0].HeldUntil.Equal(s.clock.Now()) || !taken[1].HeldUntil.Equal(s.clock.Now()) {
		s.t.Fatalf("taken is %+v; want all, held until now", taken)
	}
	again := s.hold(stopOf("dev"))
	now, err := s.q.HoldsInForce(s.t.Context())
	s.code("HoldsInForce", err, "")
	s.report(l, queue.Report{Blocks: []queue.Blocked{{Update: u[0].ID, BlockedBy: []gitops.Block{by(gitops.HoldStop, now.Revision)}}}})
	if taken := s.checkTake(l, queue.TakeOptions{Limit: 9}); len(taken) != 2 || again.ID == stop.ID {
		s.t.Fatalf("taken is %+v", taken)
	}
}
