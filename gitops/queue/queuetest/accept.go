package queuetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

func everythingIsKept(s *script) {
	d := s.event(s.clock.now().Add(-time.Second), "dev/api", "prod/api", "dev/web")
	d.ID = "everything:1.2-3_4"
	d.Reason = "staging takes no tag that begins with main-"
	d.Body = []byte("\x00\xff{\"a\": \"\u00fc'; --\"}\r\n")
	d.Updates[0].Digest = "sha256:0000000000000000000000000000000000000000000000000000000000000001"
	d.Updates[1].Repository = ""
	s.accept(d)
	d = s.order("dev/api")
	d.Actor, d.Remote, d.Credential, d.Body = "", "", "", nil
	s.accept(d)
	s.reopen()
	s.crash()
}

func withoutUpdates(s *script) {
	ignored := s.order()
	ignored.Outcome, ignored.Reason = gitops.OutcomeIgnored, "a ping asks for nothing"
	s.accept(ignored)
	refused := s.order()
	refused.Outcome, refused.Field, refused.Reason = gitops.OutcomeRejected, "client_payload.tag", "client_payload.tag: is missing"
	s.accept(refused)
	s.accept(refused)
	s.crash()
	s.accept(ignored)
}

func nothingOfTheArgumentIsKept(s *script) {
	d := s.order("dev/api", "dev/web")
	mine := d
	mine.Body, mine.Updates = slices.Clone(d.Body), slices.Clone(d.Updates)
	s.accept(mine)
	s.same("the argument of Accept", mine, d)
	mine.Body[0], mine.Updates[0].ID = 'X', "changed"
	s.accept(d)
}

func duplicate(s *script) {
	first := s.order("dev/api", "prod/api")
	first.Updates[0].ID = "the-first"
	s.accept(first)
	l := s.claim("dev", "one", time.Minute)
	s.settle(l, gitops.Settlement{Update: "the-first", State: gitops.Committed, Commit: "0123abcd"})

	again := s.order("dev/other", "staging/other", "prod/other")
	again.Source, again.ID = first.Source, first.ID
	again.ReceivedAt = again.ReceivedAt.Add(time.Minute)
	again.Outcome, again.Reason, again.Body = gitops.OutcomeIgnored, "another", []byte("another")
	s.accept(again)
	s.crash()
	s.accept(again)

	other := s.order("dev/api")
	other.Source, other.ID = "eventbridge", first.ID
	if got := s.accept(other); got.Updates[0].ID != other.Updates[0].ID {
		s.t.Fatal("the same id from another source is another delivery")
	}
}

// duplicatesAtOnce sends one event many times at once: one is accepted, and all
// are answered with its updates.
func duplicatesAtOnce(s *script) {
	const senders = 50
	want := s.order("dev/api", "prod/api")
	answers := make([]gitops.Delivery, senders)
	var accepted atomic.Int64
	var all sync.WaitGroup
	for i := range senders {
		d := want
		d.Updates = slices.Clone(want.Updates)
		for k := range d.Updates {
			d.Updates[k].ID += fmt.Sprintf("-%d", i)
		}
		all.Go(func() {
			got, duplicate, err := s.q.Accept(s.t.Context(), d)
			if err != nil {
				s.t.Errorf("Accept: %v", err)
			}
			if !duplicate {
				accepted.Add(1)
			}
			answers[i] = got
		})
	}
	all.Wait()
	if n := accepted.Load(); n != 1 {
		s.t.Fatalf("%d of %d were accepted; want 1", n, senders)
	}
	for _, got := range answers {
		s.same("Accept", got, answers[0])
	}
	for i := range want.Updates {
		want.Updates[i].ID = answers[0].Updates[i].ID
	}
	s.model.accept(want, answers[0], s.clock.now())
	s.check()
}

func lateEvents(s *script) {
	now := s.clock.now()
	states := func(d gitops.Delivery, want ...gitops.State) {
		s.t.Helper()
		for i, u := range s.accept(d).Updates {
			if u.State != want[i] {
				s.t.Fatalf("update %d is %s; want %s", i, u.State, want[i])
			}
		}
	}
	states(s.event(now.Add(-10*time.Second), "dev/api"), gitops.Pending)
	states(s.event(now.Add(-20*time.Second), "dev/api"), gitops.Superseded)
	states(s.event(now.Add(-10*time.Second), "dev/api"), gitops.Pending)
	states(s.event(now.Add(-11*time.Second), "dev/api"), gitops.Superseded)
	states(s.event(now.Add(-5*time.Second), "dev/api"), gitops.Pending)
	states(s.event(now.Add(-20*time.Second), "dev/web", "dev/api", "prod/api"), gitops.Pending, gitops.Superseded, gitops.Pending)
	states(s.order("dev/api"), gitops.Pending)
	states(s.event(now.Add(-time.Second), "dev/api"), gitops.Superseded)
	states(s.order("dev/api"), gitops.Pending)
}

// eventsFromTheFuture come from a sender whose clock is ahead: they count as
// happening at their receipt, so that they do not shut out what follows.
func eventsFromTheFuture(s *script) {
	s.accept(s.event(s.clock.now().Add(time.Hour), "dev/api"))
	s.advance(time.Second)
	d := s.accept(s.event(s.clock.now().Add(-time.Millisecond), "dev/api"))
	if d.Updates[0].State != gitops.Pending {
		s.t.Fatalf("an event from the future made the next one %s", d.Updates[0].State)
	}
}

// sameSecond checks that an event whose sender gives whole seconds is not late
// after a receipt that knows the fraction.
func sameSecond(s *script) {
	second := s.clock.now().Add(time.Hour).Truncate(time.Second)
	s.advance(second.Add(400 * time.Millisecond).Sub(s.clock.now()))
	s.accept(s.order("dev/api"))
	s.advance(300 * time.Millisecond)
	if d := s.accept(s.event(second, "dev/api")); d.Updates[0].State != gitops.Pending {
		s.t.Fatalf("an event of the same second is %s: %s", d.Updates[0].State, d.Updates[0].Reason)
	}
	s.advance(time.Second)
	if d := s.accept(s.event(second.Add(-time.Second), "dev/api")); d.Updates[0].State != gitops.Superseded {
		s.t.Fatalf("an event of the second before is %s", d.Updates[0].State)
	}
}

// clockSetBack checks that what is known to be new is never taken for late.
func clockSetBack(s *script) {
	s.accept(s.order("dev/api"))
	s.advance(-time.Hour)
	for _, d := range []gitops.Delivery{s.order("dev/api"), s.event(s.clock.now(), "dev/api"), s.event(s.clock.now().Add(time.Second), "dev/api")} {
		if got := s.accept(d); got.Updates[0].State != gitops.Pending {
			s.t.Fatalf("after the clock was set back a new event is %s", got.Updates[0].State)
		}
	}
	late := s.accept(s.event(s.clock.now().Add(-time.Second), "dev/api"))
	if late.Updates[0].State != gitops.Superseded {
		s.t.Fatalf("an event older than the newest is %s", late.Updates[0].State)
	}
	// What was accepted by the clock that was wrong does not hide what is newest.
	s.advance(30 * time.Minute)
	late = s.accept(s.event(s.clock.now().Add(-time.Minute), "dev/api"))
	if late.Updates[0].State != gitops.Superseded {
		s.t.Fatalf("an event older than the newest, but not than the latest, is %s", late.Updates[0].State)
	}
}

func oneAppTwice(s *script) {
	d := s.accept(s.event(s.clock.now().Add(-time.Second), "dev/api", "dev/api"))
	if d.Updates[0].State != gitops.Pending || d.Updates[1].State != gitops.Pending {
		s.t.Fatalf("one delivery's updates supersede each other: %+v", d.Updates)
	}
}

func lateAfterReopen(s *script) {
	at := s.clock.now()
	s.accept(s.event(at.Add(-time.Second), "dev/api"))
	s.crash()
	s.accept(s.event(at.Add(-2*time.Second), "dev/api"))
	s.reopen()
	d := s.accept(s.event(at.Add(-3*time.Second), "dev/api"))
	if d.Updates[0].State != gitops.Superseded {
		s.t.Fatalf("after the store was opened again, a late event is %s", d.Updates[0].State)
	}
}

// orderUnderConcurrency sends from many goroutines and holds the sequences to
// the contract: if one Accept returned before another began, its updates have
// the smaller ones.
func orderUnderConcurrency(s *script) {
	const senders, each = 24, 20
	type span struct {
		began, ended int64 // by a counter that all share
		sequence     int64
	}
	var ticks atomic.Int64
	var mu sync.Mutex
	spans := make(map[string][]span)
	var all sync.WaitGroup
	for range senders {
		var deliveries []gitops.Delivery
		for range each {
			deliveries = append(deliveries, s.order([]string{"dev/api", "prod/api"}[rand.IntN(2)]))
		}
		all.Go(func() {
			for _, d := range deliveries {
				began := ticks.Add(1)
				got, _, err := s.q.Accept(s.t.Context(), d)
				ended := ticks.Add(1)
				if err != nil {
					s.t.Errorf("Accept: %v", err)
					return
				}
				u := got.Updates[0]
				mu.Lock()
				spans[u.Environment] = append(spans[u.Environment], span{began, ended, u.Sequence})
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for environment, list := range spans {
		slices.SortFunc(list, func(a, b span) int { return int(b.sequence - a.sequence) })
		first := list[0].ended // the first end among those with a higher sequence
		for i, sp := range list[1:] {
			if sp.sequence == list[i].sequence {
				s.t.Fatalf("%s: sequence %d was given twice", environment, sp.sequence)
			}
			if first < sp.began {
				s.t.Fatalf("%s: an update was answered before the one with sequence %d was sent, and has a higher sequence", environment, sp.sequence)
			}
			first = min(first, sp.ended)
		}
	}
}
