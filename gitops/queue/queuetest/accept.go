package queuetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

func everythingIsKept(s *script) {
	d := s.event(s.clock.Now().Add(-time.Second), "dev/api", "prod/api", "dev/web")
	d.ID = "everything:1.2-3_4"
	d.Reason = "staging takes no tag that begins with main-"
	d.Body = []byte("\x00\xff{\"a\": \"\u00fc'; --\"}\r\n")
	d.Updates[0].Digest = "sha256:0000000000000000000000000000000000000000000000000000000000000001"
	d.Updates[1].Repository = ""
	d.Updates[0].Revision, d.Updates[2].Revision = commit, "an unknown form'; --"
	s.accept(d)
	d = s.order("dev/api")
	d.Actor, d.Remote, d.Credential, d.Body = "", "", "", nil
	s.accept(d)
	d = s.event(s.clock.Now().Add(-time.Second), "prod/web")
	d.Recovered, d.Remote = true, ""
	s.accept(d)
	s.reopen()
	s.crash()
}

func withoutUpdates(s *script) {
	ignored := s.order()
	ignored.Outcome, ignored.Reason = gitops.OutcomeIgnored, "a ping asks for nothing"
	s.accept(ignored)
	rejected := s.order()
	rejected.Outcome, rejected.Field, rejected.Reason = gitops.OutcomeRejected, "client_payload.tag", "client_payload.tag: is missing"
	rejected.Environment, rejected.App = "dev", "api"
	s.accept(rejected)
	s.accept(rejected)
	s.crash()
	s.accept(ignored)
}

// nothingOfTheArgumentIsKept changes what it gave and what it was answered. What an
// update says of itself beside what it asks for counts for nothing.
func nothingOfTheArgumentIsKept(s *script) {
	d := s.order("dev/api", "dev/web")
	d.Updates[1] = gitops.Update{
		ID: "mine", Delivery: gitops.DeliveryKey{Source: "a", ID: "b"}, Actor: "ann", Environment: "dev", App: "web", Tag: "v1",
		State: gitops.Failed, Code: gitops.NotFound, Reason: "no", Commit: commit, Attempts: 7, AcceptedAt: began.Add(time.Hour), FinishedAt: began,
		BlockedBy: []gitops.Block{stale}, EventTime: began, Recovered: true, RetriedAt: began, CancelRequest: &gitops.CancelRequest{Actor: "ann"},
		Sequence: 7, MaybePushed: true, Steps: []gitops.Step{{At: began}},
		Proposal: &gitops.Proposal{Number: 7}, ClosedBefore: &gitops.ClosedBefore{Update: "mine"},
	}
	mine := d
	mine.Body, mine.Updates = slices.Clone(d.Body), slices.Clone(d.Updates)
	got := s.accept(mine)
	s.same("the argument of Accept", mine, nil, d, nil)
	mine.Body[0], mine.Updates[0].Tag = 'X', "changed"
	got.Body[0], got.Updates[0].Tag = 'X', "changed"
	s.accept(d)
}

// duplicate is a delivery that says something else the second time.
func duplicate(s *script) {
	first := s.order("dev/api", "prod/api")
	id := s.accept(first).Updates[0].ID
	if want := gitops.UpdateID(first.Key(), "dev", "api"); id != want {
		s.t.Fatalf("the update's id is %s; want %s", id, want)
	}
	s.transit(s.one("one", "dev"), committed(gitops.Update{ID: id}))

	again := s.order("dev/other", "staging/other", "prod/other")
	again.Source, again.ID = first.Source, first.ID
	again.ReceivedAt = again.ReceivedAt.Add(time.Minute)
	again.Outcome, again.Reason, again.Body = gitops.OutcomeIgnored, "another", []byte("another")
	s.accept(again)
	s.crash()
	s.accept(again)
}

// duplicatesAtOnce sends one event many times at once: one is accepted, and all
// are answered with its updates.
func duplicatesAtOnce(s *script) {
	const senders = 50
	d := s.order("dev/api", "prod/api")
	answers := make([]gitops.Delivery, senders)
	var accepted atomic.Int64
	var all sync.WaitGroup
	for i := range senders {
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
	want, _, err := s.model.Accept(s.t.Context(), d)
	s.code("Accept of the model", err, "")
	for _, got := range answers {
		s.same("Accept", got, nil, want, nil)
	}
	s.check()
}

// sameSecond checks that an event whose sender gives whole seconds is not late
// after one whose sender gave the fraction.
func sameSecond(s *script) {
	second := s.clock.Now().Add(time.Hour).Truncate(time.Second)
	s.advance(2 * time.Hour)
	s.accept(s.event(second.Add(400*time.Millisecond), "dev/api"))
	if d := s.accept(s.event(second, "dev/api")); d.Updates[0].State != gitops.Pending {
		s.t.Fatalf("an event of the same second is %s: %s", d.Updates[0].State, d.Updates[0].Reason)
	}
	if d := s.accept(s.event(second.Add(-time.Microsecond), "dev/api")); d.Updates[0].State != gitops.Superseded {
		s.t.Fatalf("an event of the second before is %s", d.Updates[0].State)
	}
}

func lateAfterReopen(s *script) {
	at := s.clock.Now()
	s.accept(s.event(at.Add(-time.Second), "dev/api"))
	s.crash()
	s.accept(s.event(at.Add(-2*time.Second), "dev/api"))
	s.reopen()
	d := s.accept(s.event(at.Add(-3*time.Second), "dev/api"))
	if d.Updates[0].State != gitops.Superseded {
		s.t.Fatalf("after the store was opened again, a late event is %s", d.Updates[0].State)
	}
}

// oneAppTwice is a delivery that contradicts itself: nothing of it is stored.
func oneAppTwice(s *script) {
	d := s.order("dev/api", "prod/api", "dev/api")
	_, _, err := s.q.Accept(s.t.Context(), d)
	s.code("Accept of an app named twice", err, gitops.Invalid)
	_, err = s.q.Delivery(s.t.Context(), d.Key())
	s.code("Delivery", err, gitops.NotFound)
	s.check()
	d.Updates = d.Updates[:2]
	s.accept(d)
}

// bounds is the largest delivery that is taken, and one that is larger.
func bounds(s *script) {
	var targets []string
	for i := range queue.MaxUpdates + 1 {
		targets = append(targets, fmt.Sprintf("dev/app-%d", i))
	}
	_, _, err := s.q.Accept(s.t.Context(), s.order(targets...))
	s.code("Accept of too many updates", err, gitops.TooLarge)
	s.check()

	d := s.order(targets[:queue.MaxUpdates]...)
	var got gitops.Delivery
	var duplicate bool
	asked, err := patiently(func() (err error) {
		got, duplicate, err = s.q.Accept(s.t.Context(), d)
		return err
	})
	s.code("Accept", err, "")
	if duplicate && asked == 1 || len(got.Updates) != queue.MaxUpdates {
		s.t.Fatalf("accepted %d updates, asked %d times; duplicate is %t", len(got.Updates), asked, duplicate)
	}
	leases, err := s.q.Claim(s.t.Context(), "one", []string{"dev"}, time.Hour)
	s.code("Claim", err, "")
	var r queue.Report
	for _, u := range got.Updates {
		r.Transitions = append(r.Transitions, committed(u))
	}
	_, err = patiently(func() (err error) {
		_, err = s.q.Report(s.t.Context(), leases[0], r)
		return err
	})
	s.code("Report", err, "")
	var pruned int
	asked, err = patiently(func() (err error) {
		pruned, err = s.q.Prune(s.t.Context(), s.clock.Now().Add(time.Hour), 1)
		return err
	})
	s.code("Prune", err, "")
	if asked == 1 {
		s.same("Prune", pruned, nil, 1, nil)
	}
	_, err = s.q.Delivery(s.t.Context(), d.Key())
	s.code("Delivery", err, gitops.NotFound)
}

// patiently asks again while the store is Unavailable, as the contract tells its callers
// to, and returns how often it asked. What is as large as may be takes a machine that is
// busy with other tests longer than a call may take.
func patiently(ask func() error) (asked int, err error) {
	const most = 20
	for asked < most {
		asked++
		if err = ask(); gitops.CodeOf(err) != gitops.Unavailable {
			break
		}
	}
	return asked, err
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

func existingIDs(s *script) {
	s.variety()
	for _, source := range []string{"github", "eventbridge", "missing"} {
		asked := []string{"missing"}
		for key := range s.model.deliveries {
			asked = append(asked, key.ID)
		}
		got, err := s.q.ExistingIDs(s.t.Context(), source, asked)
		want, _ := s.model.ExistingIDs(s.t.Context(), source, asked)
		s.same("ExistingIDs", got, err, want, nil)
	}
	got, err := s.q.ExistingIDs(s.t.Context(), "github", nil)
	s.same("ExistingIDs of none", got, err, []string{}, nil)
}
