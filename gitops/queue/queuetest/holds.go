package queuetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// placed are holds of each kind, with their entries in the audit, until they are lifted.
func placed(s *script) {
	for _, h := range []gitops.Hold{s.pinOf("prod/api", "v1"), s.freezeOf("prod", "staging"), stopOf(), badOf("api", "v2")} {
		h = s.hold(h)
		s.advance(time.Second)
		if since := s.clock.Now().Add(-time.Second); !h.Since.Equal(since) || h.Since.Location() != time.UTC {
			s.t.Fatalf("%s is since %s; want %s in UTC", h.ID, h.Since, since)
		}
	}
	s.crash()
	want := gitops.AuditEntry{
		At: began.Add(time.Second), Act: gitops.ActHold, Principal: "token:ops", Actor: "token:ops", Credential: "token ops", Remote: "192.0.2.9",
		Right: gitops.RightHold, Rule: "access[3]", Environment: "prod", Reason: "incident 4711",
		After: "freeze h2 of all apps in prod, staging until 2026-03-01T13:00:00Z", Config: "c0ffee",
	}
	entries := s.listedAudit(queue.AuditFilter{Act: gitops.ActHold, Environment: "prod"}, everything)
	s.same("the entry of a freeze, in one of its environments", entries[0], nil, want, nil)
	want.At, want.App, want.After = began, "api", "pin h1 at v1 of api in prod until 2026-03-01T13:00:00Z"
	s.same("the entry of a pin", entries[1], nil, want, nil)
	s.lift("h4", "h1", "h1")
	s.lift("h2", "h3")
	want = gitops.AuditEntry{
		At: s.clock.Now(), Act: gitops.ActLift, Principal: "token:cy", Actor: "token:cy", Credential: "token cy", Remote: "192.0.2.8",
		Right: gitops.RightStop, Rule: "access[2]", Reason: "it is over", Before: "stop h3 of all apps in all environments", After: "lifted", Config: "c0ffee",
	}
	entries = s.listedAudit(queue.AuditFilter{Act: gitops.ActLift}, everything)
	s.same("the entry of a stop that was lifted", entries[0], nil, want, nil)
	if len(entries) != 5 {
		s.t.Fatalf("four holds, one of two environments, were lifted in %d entries", len(entries))
	}
	s.reopen()
	if h := s.hold(stopOf()); h.ID != "h5" {
		s.t.Fatalf("the fifth hold is %s", h.ID)
	}
}

// placeRefusals are placements that cannot be: nothing of them is placed.
func placeRefusals(s *script) {
	over := s.freezeOf("dev")
	over.Until = s.clock.Now()
	waiting := s.order()
	waiting.Outcome, waiting.Event = gitops.OutcomeWaiting, []byte("an event")
	twice, large := s.order("dev/api", "dev/api"), s.order()
	for i := range queue.MaxUpdates + 1 {
		large.Updates = append(large.Updates, gitops.Update{Environment: "dev", App: fmt.Sprint("app-", i), Tag: "v1"})
	}
	two := s.order("dev/api", "prod/api")
	for _, p := range []queue.Placement{
		{}, {Key: "a"},
		{Holds: []gitops.Hold{{Kind: gitops.HoldStop}}},
		{Holds: []gitops.Hold{stopOf("dev"), over}},
		{Holds: []gitops.Hold{s.pinOf("dev/api", "v1"), s.pinOf("dev/api", "v2")}},
		{Holds: []gitops.Hold{stopOf("dev")}, Order: &waiting},
		{Holds: []gitops.Hold{stopOf("dev")}, Order: &twice},
		{Holds: []gitops.Hold{stopOf("dev")}, Order: &large},
		{Holds: []gitops.Hold{stopOf("dev")}, Order: &two, Written: "a"},
		{Holds: []gitops.Hold{stopOf("dev")}, Written: "a"},
	} {
		s.place(p)
	}
	if len(s.model.holds) > 0 || len(s.model.deliveries) > 0 {
		s.t.Fatal("something was placed that cannot be")
	}
}

// replaced has a pin take the place of another, and a mark of one of the same names. What
// was held by what is gone is ready, as it is when that is lifted.
func replaced(s *script) {
	u := s.accept(s.order("prod/api", "prod/web", "dev/api")).Updates
	prod, dev := s.one("one", "prod"), s.one("one", "dev")
	s.hold(s.pinOf("prod/api", "v1"))
	s.hold(s.pinOf("prod/web", "v1"))
	s.held(prod, gitops.HoldPin, u[0], u[1])
	s.advance(time.Minute)
	<-s.q.Wake("prod")
	p := s.place(queue.Placement{Holds: []gitops.Hold{s.pinOf("prod/api", u[0].Tag)}})
	<-s.q.Wake("prod")
	if len(p.Replaced) != 1 || p.Replaced[0].ID != "h1" || p.Replaced[0].Lifted == nil || p.Replaced[0].Lifted.Reason != "replaced by h3" {
		s.t.Fatalf("replaced was %+v", p.Replaced)
	}
	if taken := s.checkTake(prod, queue.TakeOptions{Limit: 9}); len(taken) != 1 || taken[0].ID != u[0].ID {
		s.t.Fatalf("taken is %+v; want what the pin that is gone held", taken)
	}
	entries := s.listedAudit(queue.AuditFilter{Environment: "prod", App: "api"}, everything)
	if entries[0].Act != gitops.ActHold || entries[0].Before == "" || entries[1].Act != gitops.ActLift || entries[1].After != "lifted" {
		s.t.Fatalf("the entries are %+v", entries[:2])
	}
	s.hold(badOf("api", "v1"))
	s.hold(badOf("api", "v1", "dev", "prod"))
	s.hold(badOf("api", "v2", "prod", "dev"))
	s.hold(stopOf("dev"))
	s.held(dev, gitops.HoldStop, u[2])
	for _, h := range []gitops.Hold{badOf("api", "v1"), badOf("api", "v1", "prod", "dev"), s.pinOf("dev/api", "v1"), stopOf("dev"), s.freezeOf("dev"), s.freezeOf("dev")} {
		replaced := s.place(queue.Placement{Holds: []gitops.Hold{h}}).Replaced
		if want := h.Kind == gitops.HoldBad; (len(replaced) == 1) != want {
			s.t.Fatalf("a %s replaced %+v", h.Kind, replaced)
		}
	}
	s.checkTake(dev, queue.TakeOptions{Limit: 9})
	s.advance(2 * time.Hour)
	if p := s.place(queue.Placement{Holds: []gitops.Hold{s.pinOf("prod/api", "v9")}}); len(p.Replaced) > 0 {
		s.t.Fatalf("a pin whose time is over was replaced: %+v", p.Replaced)
	}
}

// sameKey asks for a placement again: with an order by its key and by its body, without one
// by a key.
func sameKey(s *script) {
	order := s.order("prod/api")
	order.BodyDigest = digest("a")
	order.Updates[0].Terms = &gitops.Terms{Reason: "back", RollsBack: "v2", Passes: []gitops.BlockKind{gitops.BlockPin}}
	p := queue.Placement{Holds: []gitops.Hold{s.pinOf("prod/api", "v1"), badOf("api", "v2", "prod")}, Order: &order, Entries: []gitops.AuditEntry{{Act: gitops.ActRollback, Environment: "prod", App: "api", Reason: "back"}}}
	first := s.place(p)
	s.advance(time.Minute)
	s.crash()
	s.lift(first.Holds[0].ID)
	again := s.place(p)
	if !again.Duplicate || len(again.Holds) != 2 || again.Holds[0].Lifted == nil || again.Order.ID != order.ID {
		s.t.Fatalf("asked again, it is %+v", again)
	}
	other := s.order("prod/api")
	other.BodyDigest, p.Order = digest("a"), &other
	if again = s.place(p); !again.Duplicate || len(again.Holds) != 2 || again.Order.ID != order.ID {
		s.t.Fatalf("with the body of another, it is %+v", again)
	}
	plain := s.accept(s.order("dev/api"))
	p.Order = &plain
	if again = s.place(p); !again.Duplicate || len(again.Holds) > 0 {
		s.t.Fatalf("with the key of an order that had no holds, it is %+v", again)
	}

	s.transit(s.one("one", "prod"), committed(first.Order.Updates[0]))
	s.advance(time.Hour)
	s.prune(s.clock.Now(), 100)
	p.Order = &order
	if again = s.place(p); !again.Duplicate || len(again.Holds) != 2 || again.Order.Outcome != gitops.OutcomeIgnored {
		s.t.Fatalf("of an order that was forgotten, it is %+v", again)
	}

	keyed := queue.Placement{Holds: []gitops.Hold{stopOf("dev"), stopOf("prod")}, Key: "order:github/delivery-1"}
	s.place(keyed)
	s.advance(time.Minute)
	s.reopen()
	if again := s.place(keyed); !again.Duplicate || len(again.Holds) != 2 || !again.Holds[0].Since.Before(s.clock.Now()) {
		s.t.Fatalf("with the same key, it is %+v", again)
	}
	keyed.Key = ""
	if again := s.place(keyed); again.Duplicate {
		s.t.Fatal("without a key it is known")
	}
}

// writtenMeanwhile decides by what was written last.
func writtenMeanwhile(s *script) {
	first, second := s.accept(s.order("prod/api")).Updates[0], s.accept(s.order("prod/api")).Updates[0]
	l := s.one("one", "prod")
	s.transit(l, committed(first))
	order := s.order("prod/api")
	p := queue.Placement{Holds: []gitops.Hold{s.pinOf("prod/api", "v1")}, Order: &order, Written: first.ID, Entries: []gitops.AuditEntry{{Act: gitops.ActRollback}}}
	s.transit(l, committed(second))
	_, err := s.q.Place(s.t.Context(), p)
	s.code("Place", err, gitops.Conflict)
	s.place(p)
	s.crash()
	p.Written = second.ID
	placed := s.place(p)
	if placed.Order == nil || len(placed.Holds) != 1 {
		s.t.Fatalf("placed was %+v", placed)
	}
	s.transit(s.one("two", "prod"), committed(placed.Order.Updates[0]))
	if placed := s.place(p); !placed.Duplicate {
		s.t.Fatal("asked again, it is compared with what was written since")
	}
}

// tooManyHolds are all that may be in force, and one more.
func tooManyHolds(s *script) {
	place := func(want gitops.Code, order *gitops.Delivery, holds ...gitops.Hold) queue.Placed {
		s.t.Helper()
		placed, err := s.q.Place(s.t.Context(), queue.Placement{Holds: holds, Order: order})
		s.code("Place", err, want)
		return placed
	}
	all := []gitops.Hold{s.pinOf("prod/api", "v1")}
	for i := range queue.MaxHolds - 1 {
		all = append(all, stopOf(fmt.Sprint("e", i)))
	}
	place("", nil, all...)
	order := s.order("dev/api")
	place(gitops.TooLarge, &order, stopOf("dev"))
	_, err := s.q.Delivery(s.t.Context(), order.Key())
	s.code("Delivery", err, gitops.NotFound)
	if placed := place("", nil, s.pinOf("prod/api", "v2")); len(placed.Replaced) != 1 {
		s.t.Fatalf("in the place of another, placed was %+v", placed)
	}
	s.clock.Pass(2 * time.Hour) // the pin's time is over
	place("", nil, stopOf("dev"))
	place(gitops.TooLarge, nil, stopOf("dev"))
	held, err := s.q.HoldsInForce(s.t.Context())
	s.code("HoldsInForce", err, "")
	if len(held.Holds) != queue.MaxHolds {
		s.t.Fatalf("%d holds are in force; want %d", len(held.Holds), queue.MaxHolds)
	}
}

// pinsAtOnce has one pin in force, whoever of many was last.
func pinsAtOnce(s *script) {
	const people = 20
	var all sync.WaitGroup
	for i := range people {
		p := queue.Placement{Holds: []gitops.Hold{s.pinOf("prod/api", fmt.Sprint("v", i))}, Key: fmt.Sprint("key-", i/2)}
		all.Go(func() {
			if _, err := s.q.Place(s.t.Context(), p); err != nil {
				s.t.Errorf("Place: %v", err)
			}
		})
	}
	all.Wait()
	held, err := s.q.HoldsInForce(s.t.Context())
	s.code("HoldsInForce", err, "")
	found, _, err := s.q.HoldsListed(s.t.Context(), queue.HoldFilter{Ended: true}, queue.Page{Limit: everything})
	s.code("HoldsListed", err, "")
	if len(held.Holds) != 1 || len(found) != people/2 || held.Holds[0].ID != found[0].ID {
		s.t.Fatalf("%d of %d pins are in force; want 1 of %d, the last", len(held.Holds), len(found), people/2)
	}
}
