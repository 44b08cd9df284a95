package queuetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// waits brings in a delivery that waits for a target.
func (s *script) waits(target string) gitops.Delivery {
	s.t.Helper()
	d := s.order(target)
	d.Environment, d.App = d.Updates[0].Environment, d.Updates[0].App
	d.Outcome, d.Reason, d.Event = gitops.OutcomeWaiting, "no app has the name yet", fmt.Appendf(nil, `{"n":%d}`, s.ids)
	d.Updates = nil
	return s.accept(d)
}

// becomes is what a delivery that waited shall be: accepted with the updates of another,
// or ignored where there is none.
func becomes(waited gitops.Delivery, updates []gitops.Update) gitops.Delivery {
	d := waited
	d.Outcome, d.Environment, d.App, d.Updates = gitops.OutcomeAccepted, "", "", updates
	if len(updates) == 0 {
		d.Outcome = gitops.OutcomeIgnored
	}
	return d
}

// settle ends the wait of a delivery, and returns it as the store answered.
func (s *script) settle(d gitops.Delivery) gitops.Delivery {
	s.t.Helper()
	highest := s.highest()
	got, settled, err := s.q.Settle(s.t.Context(), d)
	want, wanted, wantErr := s.model.Settle(s.t.Context(), d)
	s.same("Settle", got, err, want, wantErr)
	if settled != wanted {
		s.t.Fatalf("Settle(%s): settled is %t", d.Key(), settled)
	}
	for _, u := range got.Updates {
		if settled && u.Sequence <= highest[u.Environment] {
			s.t.Fatalf("update %s has sequence %d; %s already had %d", u.ID, u.Sequence, u.Environment, highest[u.Environment])
		}
		if settled {
			s.sequences[u.ID] = u.Sequence
		}
		s.numbered(u)
	}
	s.check()
	return got
}

// checkWaiting compares what waits, in pages of two.
func (s *script) checkWaiting() {
	s.t.Helper()
	read := func(q queue.Queue) (all []gitops.Delivery) {
		s.t.Helper()
		for p := (queue.Page{Limit: 2}); ; {
			page, next, err := q.WaitingDeliveries(s.t.Context(), p)
			s.code("WaitingDeliveries", err, "")
			all = append(all, page...)
			if next == "" {
				return all
			}
			if p.Cursor = next; len(page) != p.Limit {
				s.t.Fatalf("WaitingDeliveries: a page of %d before %q", len(page), next)
			}
		}
	}
	s.same("WaitingDeliveries", read(s.q), nil, read(s.model), nil)
	got, err := s.q.WaitingCount(s.t.Context())
	want, _ := s.model.WaitingCount(s.t.Context())
	s.same("WaitingCount", got, err, want, nil)
}

// settled ends waits in each way, and reads everything after each.
func settled(s *script) {
	first, second, third := s.waits("dev/new"), s.waits("prod/new"), s.waits("dev/other")
	s.accept(first)
	s.advance(time.Hour)
	s.crash()
	s.accept(s.order("dev/api"))
	d := s.settle(becomes(second, s.order("prod/new", "prod/api").Updates))
	if d.Outcome != gitops.OutcomeAccepted || len(d.Updates) != 2 || d.DecidedAt != s.clock.Now() || d.ReceivedAt != second.ReceivedAt || !d.Updates[0].Recovered {
		s.t.Fatalf("settled is %+v", d)
	}
	s.transit(s.one("one", "prod"), committed(d.Updates[0]))
	s.accept(second) // the same delivery again
	s.settle(becomes(second, nil))
	s.reopen()
	s.settle(becomes(first, nil))
	rejected := becomes(third, nil)
	rejected.Outcome, rejected.Field, rejected.Environment, rejected.App = gitops.OutcomeRejected, "client_payload.app", "dev", "other"
	s.settle(rejected)
	s.accept(third)
	s.crash()
}

// settledAtOnce has many replicas decide one delivery, each in its own way, while it is
// sent again: one of them settles it, and all are answered with what that one made of it.
func settledAtOnce(s *script) {
	const deciders = 30
	waiting := s.waits("dev/new")
	var settled atomic.Int64
	answers := make([]gitops.Delivery, deciders)
	var all sync.WaitGroup
	for i := range deciders {
		d := becomes(waiting, nil)
		d.Reason = fmt.Sprint("decided by ", i)
		all.Go(func() {
			if i%3 == 0 {
				if _, duplicate, err := s.q.Accept(s.t.Context(), waiting); err != nil || !duplicate {
					s.t.Errorf("Accept again: %t, %v", duplicate, err)
				}
			}
			got, first, err := s.q.Settle(s.t.Context(), d)
			if err != nil {
				s.t.Errorf("Settle: %v", err)
			}
			if first {
				settled.Add(1)
			}
			answers[i] = got
		})
	}
	all.Wait()
	if n := settled.Load(); n != 1 {
		s.t.Fatalf("%d of %d settled it; want 1", n, deciders)
	}
	for _, got := range answers {
		s.same("Settle", got, nil, answers[0], nil)
	}
	_, _, err := s.model.Settle(s.t.Context(), becomes(answers[0], nil))
	s.code("Settle of the model", err, "")
	s.check()
}

// lateBehindNewer settles what is older than what was accepted meanwhile: it supersedes
// nothing, whether its sender said when it happened or not.
func lateBehindNewer(s *script) {
	undated, dated := s.waits("dev/new"), s.waits("prod/new")
	dated.EventTime = dated.ReceivedAt.Add(-time.Second)
	s.advance(time.Second)
	s.accept(s.order("dev/new"))
	s.accept(s.event(s.clock.Now(), "prod/new"))
	s.advance(time.Second)
	for _, d := range []gitops.Delivery{undated, dated} {
		got := s.settle(becomes(d, s.order(d.Environment+"/new").Updates))
		if got.Updates[0].State != gitops.Superseded {
			s.t.Fatalf("an order from before the newest is %s in %s", got.Updates[0].State, d.Environment)
		}
	}
	third := s.waits("dev/new")
	if got := s.settle(becomes(third, s.order("dev/new").Updates)); got.Updates[0].State != gitops.Pending {
		s.t.Fatalf("the newest order is %s: %s", got.Updates[0].State, got.Updates[0].Reason)
	}
}

// waitingBodyCountsOnce sends the body of a waiting order under other ids.
func waitingBodyCountsOnce(s *script) {
	send := func(outcome gitops.Outcome) gitops.Delivery {
		d := s.order("dev/new")
		d.BodyDigest, d.Outcome = digest("a"), outcome
		if outcome == gitops.OutcomeWaiting {
			d.Updates, d.Event = nil, []byte("an event")
		}
		return d
	}
	first := s.accept(send(gitops.OutcomeWaiting))
	s.advance(time.Second)
	for _, outcome := range []gitops.Outcome{gitops.OutcomeWaiting, gitops.OutcomeAccepted} {
		if again := s.known(send(outcome), true); again.ID != first.ID || again.Outcome != gitops.OutcomeWaiting {
			s.t.Fatalf("the body of what waits is answered with %+v", again)
		}
	}
	accepted := s.settle(becomes(first, s.order("dev/new").Updates))
	for _, outcome := range []gitops.Outcome{gitops.OutcomeWaiting, gitops.OutcomeAccepted} {
		if again := s.known(send(outcome), true); again.ID != first.ID || len(again.Updates) != 1 {
			s.t.Fatalf("the body of what waited is answered with %+v", again)
		}
	}
	s.transit(s.one("one", "dev"), committed(accepted.Updates[0]))
	s.advance(time.Hour)
	s.prune(s.clock.Now(), 100)
	if again := s.known(send(gitops.OutcomeWaiting), true); again.Key() != first.Key() || again.Outcome != gitops.OutcomeIgnored {
		s.t.Fatalf("the body of what waited, and is forgotten, is answered with %+v", again)
	}

	other := send(gitops.OutcomeWaiting)
	other.BodyDigest = digest("b")
	s.settle(becomes(s.accept(other), nil))
	s.advance(time.Second)
	again := send(gitops.OutcomeWaiting)
	again.BodyDigest = digest("b")
	s.known(again, false) // what ended without updates may be sent again
}

// keptWhileItWaits prunes: what waits stays however old, and what is decided stays for as
// long as what was ignored then.
func keptWhileItWaits(s *script) {
	d := s.waits("dev/new")
	s.advance(2 * queue.UnacceptedFor)
	s.prune(s.clock.Now(), 100)
	s.settle(becomes(d, nil))
	s.advance(queue.UnacceptedFor)
	s.prune(began, 100)
	if _, err := s.q.Delivery(s.t.Context(), d.Key()); err != nil {
		s.t.Fatalf("a delivery that was decided 7 days ago: %v", err)
	}
	s.advance(time.Microsecond)
	s.prune(began, 100)
	_, err := s.q.Delivery(s.t.Context(), d.Key())
	s.code("Delivery of what was decided more than 7 days ago", err, gitops.NotFound)
	s.settle(becomes(d, nil))
}

// settleRefusals settles what cannot be, and changes nothing.
func settleRefusals(s *script) {
	waiting := s.waits("dev/new")
	s.settle(waiting) // it waits already
	s.settle(becomes(s.order(), nil))
	s.settle(becomes(waiting, s.order("dev/new", "dev/new").Updates))
	s.settle(becomes(s.accept(s.order("dev/api")), nil))
	s.settle(becomes(waiting, nil))
}

// waitingBound has as many wait as may: another one is not stored, and is again when one
// was decided.
func waitingBound(s *script) {
	s.quiet = true
	var all sync.WaitGroup
	work := make(chan gitops.Delivery)
	for range 64 {
		all.Go(func() {
			for d := range work {
				if _, _, err := s.q.Accept(s.t.Context(), d); err != nil {
					s.t.Errorf("Accept: %v", err)
				}
			}
		})
	}
	var first gitops.Delivery
	for i := range queue.MaxWaiting {
		d := s.order()
		d.Outcome, d.Reason, d.Event = gitops.OutcomeWaiting, "a reason", []byte("{}")
		if i == 0 {
			first = d
		}
		work <- d
	}
	close(work)
	all.Wait()
	more := s.order()
	more.Outcome, more.Reason, more.Event = gitops.OutcomeWaiting, "a reason", []byte("{}")
	_, _, err := s.q.Accept(s.t.Context(), more)
	s.code("Accept of one too many", err, gitops.TooLarge)
	if _, duplicate, err := s.q.Accept(s.t.Context(), first); err != nil || !duplicate {
		s.t.Fatalf("Accept of one that waits: duplicate is %t, %v", duplicate, err)
	}
	if w, err := s.q.WaitingCount(s.t.Context()); err != nil || w.Count != queue.MaxWaiting {
		s.t.Fatalf("%d wait, %v", w.Count, err)
	}
	_, settled, err := s.q.Settle(s.t.Context(), becomes(first, nil))
	if err != nil || !settled {
		s.t.Fatalf("Settle: %t, %v", settled, err)
	}
	_, duplicate, err := s.q.Accept(s.t.Context(), more)
	if err != nil || duplicate {
		s.t.Fatalf("Accept after one was decided: duplicate is %t, %v", duplicate, err)
	}
}
