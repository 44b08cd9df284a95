package queuetest

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

func checkpoints(s *script) {
	is := func(name, want string) {
		s.t.Helper()
		got, err := s.q.Checkpoint(s.t.Context(), name)
		s.same("Checkpoint "+name, got, err, want, nil)
	}
	set := func(name, value string) {
		s.t.Helper()
		s.code("SetCheckpoint", s.q.SetCheckpoint(s.t.Context(), name, value), "")
		is(name, value)
	}
	is("github", "")
	set("github", "1")
	set("other", "x'; --")
	set("github", "2")
	s.crash()
	is("github", "2")
	is("other", "x'; --")
	set("github", "")
}

func useOnce(s *script) {
	first, second := gitops.DeliveryKey{Source: "oidc", ID: "1"}, gitops.DeliveryKey{Source: "oidc", ID: "2"}
	s.use("a", first)
	s.use("a", first)
	s.use("a", second)
	s.use("b", second)
	s.crash()
	s.use("a", second)
	s.use("a", first)
	s.advance(30 * time.Minute)
	s.prune(s.clock.Now(), 100) // their time is not over
	s.use("a", second)
	s.advance(time.Hour)
	s.prune(s.clock.Now(), 100)
	s.use("a", second)
	s.use("a", first)
}

// prune forgets what is old and has ended, and nothing else.
func prune(s *script) {
	start := s.clock.Now()
	s.variety()
	ended := s.accept(s.order("dev/cache", "dev/proxy"))
	s.advance(time.Minute)
	l := s.leases[0]
	s.block(l, ended.Updates[0].ID, stale)
	s.transit(l, committed(ended.Updates[0]), failed(ended.Updates[1]))
	middle := s.clock.Now()
	s.advance(time.Hour)
	s.accept(s.order("dev/api"))

	s.prune(start, 100) // arrived at that time, not before
	s.prune(middle, 3)
	s.prune(middle, 3)
	s.prune(middle, 100)
	if _, err := s.q.Delivery(s.t.Context(), ended.Key()); err != nil {
		s.t.Fatalf("a delivery whose updates ended at the time itself: %v", err)
	}
	s.prune(middle.Add(time.Second), 100)
	_, err := s.q.Delivery(s.t.Context(), ended.Key())
	s.code("Delivery after Prune", err, gitops.NotFound)
	_, err = s.q.Update(s.t.Context(), ended.Updates[0].ID)
	s.code("Update after Prune", err, gitops.NotFound)
	s.transit(l, committed(ended.Updates[0]))
	s.decide(ended.Updates[1].ID, gitops.ActionRetry, "")
	if len(s.model.deliveries) < 2 {
		s.t.Fatal("nothing was kept that this test is about")
	}
	s.crash()
	ended.Updates = ended.Updates[:1]
	s.accept(ended) // its key is known, and its details are not
}

// pruneKeepsHeads forgets the updates that decided, and not what they decided.
func pruneKeepsHeads(s *script) {
	old := s.accept(s.event(s.clock.Now().Add(-time.Minute), "dev/api", "prod/api"))
	newer := s.accept(s.event(s.clock.Now().Add(-time.Second), "dev/api"))
	s.transit(s.one("one", "dev"), failed(old.Updates[0]), committed(newer.Updates[0]))
	s.advance(time.Hour)
	s.prune(s.clock.Now(), 100)
	s.reopen()
	s.decide(old.Updates[0].ID, gitops.ActionRetry, "")
	late := s.accept(s.event(s.clock.Now().Add(-2*time.Hour), "dev/api"))
	if late.Updates[0].State != gitops.Superseded {
		s.t.Fatalf("an event older than the newest, which was pruned, is %s", late.Updates[0].State)
	}
	s.transit(s.one("one", "prod"), committed(old.Updates[1]))
	s.advance(time.Minute)
	s.prune(s.clock.Now(), 1)
	s.prune(s.clock.Now(), 100)
	if len(s.model.deliveries) > 0 {
		s.t.Fatal("something that ended has stayed")
	}
}

// prunedNumbersStayGone empties the store: what comes afterwards still comes
// after what was there.
func prunedNumbersStayGone(s *script) {
	for range 3 {
		d := s.accept(s.order("dev/api"))
		l := s.one("one", "dev")
		s.transit(l, committed(d.Updates[0]))
		s.advance(time.Hour)
		s.prune(s.clock.Now(), 100)
		s.release(l, true)
		s.reopen()
		later := s.order()
		later.Outcome, later.Reason = gitops.OutcomeIgnored, "a ping"
		s.accept(later)
	}
}
