package queuetest

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// digest is the digest of a body.
func digest(body string) []byte {
	sum := sha256.Sum256([]byte(body))
	return sum[:]
}

// known fails unless the delivery is a duplicate, or is none.
func (s *script) known(d gitops.Delivery, want bool) gitops.Delivery {
	s.t.Helper()
	got := s.accept(d)
	_, duplicate, err := s.q.Accept(s.t.Context(), d)
	s.code("Accept", err, "")
	if !duplicate {
		s.t.Fatalf("%s: sent twice, it is no duplicate", d.Key())
	}
	if first := got.ReceivedAt.Before(s.clock.Now()); first != want {
		s.t.Fatalf("%s: known is %t; want %t", d.Key(), first, want)
	}
	return got
}

// keysOutliveDeliveries sends what was pruned.
func keysOutliveDeliveries(s *script) {
	d := s.accept(s.order("dev/api"))
	s.transit(s.one("one", "dev"), committed(d.Updates[0]))
	s.advance(time.Hour)
	s.prune(s.clock.Now(), 100)
	for range 2 {
		again := s.known(d, true)
		if again.Outcome != gitops.OutcomeIgnored || again.Reason == "" || len(again.Updates) > 0 || again.ReceivedAt != began {
			s.t.Fatalf("a delivery that was forgotten is answered with %+v", again)
		}
		s.crash()
	}
	other := d
	other.Source = "eventbridge"
	other.ReceivedAt = s.clock.Now()
	s.known(other, false)
	s.advance(queue.MemoryFor - time.Hour)
	s.prune(began, 100)
	s.known(d, true)
	s.advance(time.Microsecond)
	s.prune(began, 100)
	d.ReceivedAt = s.clock.Now()
	s.known(d, false)
}

// oneBodyCountsOnce sends a body under other ids.
func oneBodyCountsOnce(s *script) {
	send := func(body string, outcome gitops.Outcome) gitops.Delivery {
		d := s.order("dev/api")
		d.BodyDigest, d.Outcome = digest(body), outcome
		if outcome != gitops.OutcomeAccepted {
			d.Updates = nil
		}
		return d
	}
	s.accept(send("a", gitops.OutcomeRejected))
	s.accept(send("a", gitops.OutcomeIgnored))
	s.advance(time.Second)
	first := s.accept(send("a", gitops.OutcomeAccepted))
	if len(first.Updates) != 1 {
		s.t.Fatal("a body that was rejected before was not accepted")
	}
	s.advance(time.Second)
	for range 2 {
		if again := s.known(send("a", gitops.OutcomeAccepted), true); again.ID != first.ID || len(again.Updates) != 1 {
			s.t.Fatalf("the same body is answered with %+v", again)
		}
		s.crash()
	}
	s.known(send("b", gitops.OutcomeAccepted), false)
	s.known(send("a", gitops.OutcomeRejected), false)
	second := s.order("dev/api")
	s.known(second, false) // without a digest

	s.transit(s.one("one", "dev"), committed(first.Updates[0]))
	s.advance(time.Hour)
	s.prune(s.clock.Now(), 100)
	s.reopen()
	if again := s.known(send("a", gitops.OutcomeAccepted), true); again.Key() != first.Key() || again.Outcome != gitops.OutcomeIgnored {
		s.t.Fatalf("the same body, whose first delivery is forgotten, is answered with %+v", again)
	}
	s.advance(queue.MemoryFor)
	s.prune(began, 100)
	s.known(send("a", gitops.OutcomeAccepted), false)
}

// sameBodyAtOnce sends one body under many ids at once: one is accepted.
func sameBodyAtOnce(s *script) {
	const senders = 30
	var accepted atomic.Int64
	var all sync.WaitGroup
	for range senders {
		d := s.order("dev/api")
		d.BodyDigest = digest("a")
		all.Go(func() {
			got, duplicate, err := s.q.Accept(s.t.Context(), d)
			if err != nil || len(got.Updates) != 1 {
				s.t.Errorf("Accept: %+v, %v", got, err)
			}
			if !duplicate {
				accepted.Add(1)
			}
		})
	}
	all.Wait()
	if n := accepted.Load(); n != 1 {
		s.t.Fatalf("%d of %d were accepted; want 1", n, senders)
	}
}

// unacceptedAreForgotten keeps what was rejected or ignored for seven days.
func unacceptedAreForgotten(s *script) {
	send := func(outcome gitops.Outcome) gitops.Delivery {
		d := s.order()
		d.Outcome, d.Reason, d.BodyDigest = outcome, "a reason", digest("a")
		return s.accept(d)
	}
	kept := s.accept(s.order("dev/api"))
	first := []gitops.Delivery{send(gitops.OutcomeRejected), send(gitops.OutcomeIgnored)}
	s.advance(time.Hour)
	send(gitops.OutcomeIgnored)
	send(gitops.OutcomeRejected)
	s.advance(queue.UnacceptedFor - time.Hour)
	s.prune(began, 100)
	s.advance(time.Microsecond)
	s.prune(began, 1)
	s.prune(began, 100)
	if len(s.model.deliveries) != 3 {
		s.t.Fatalf("%d deliveries are left; want 3", len(s.model.deliveries))
	}
	s.advance(time.Hour)
	s.prune(began, 100)
	for _, d := range first {
		_, err := s.q.Delivery(s.t.Context(), d.Key())
		s.code("Delivery of what was "+string(d.Outcome)+" 7 days ago", err, gitops.NotFound)
		d.ReceivedAt = s.clock.Now()
		s.known(d, false) // nothing is remembered of it
	}
	s.advance(time.Minute)
	s.prune(s.clock.Now(), 100) // where deliveries are kept for less, so are these
	if len(s.model.deliveries) != 1 || s.model.delivery(kept.Key()).ID != kept.ID {
		s.t.Fatal("what waits must be all that is left")
	}
}

// scopedLists reads lists as somebody who may see less than everything.
func scopedLists(s *script) {
	for _, within := range scopes {
		s.listed(queue.DeliveryFilter{Within: within}, 1)
		s.listedUpdates(queue.UpdateFilter{Within: within}, 1)
	}
	s.variety()
	for _, within := range scopes {
		for _, limit := range []int{1, 3, everything} {
			for _, f := range []queue.DeliveryFilter{{}, {Source: "github"}, {Outcome: gitops.OutcomeRejected}, {Source: "eventbridge", Outcome: gitops.OutcomeAccepted}} {
				f.Within = within
				s.listed(f, limit)
			}
			for _, f := range []queue.UpdateFilter{{}, {Environment: "dev"}, {App: "api"}, {Environment: "prod", App: "web"}, {State: gitops.Pending}, {State: gitops.Failed, App: "api"}} {
				f.Within = within
				s.listedUpdates(f, limit)
			}
		}
	}
}
