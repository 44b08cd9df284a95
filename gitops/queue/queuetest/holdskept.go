package queuetest

import (
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// holdsListed asks for each kind of part, in pages.
func holdsListed(s *script) {
	s.quiet = true
	for range 2 {
		for _, h := range []gitops.Hold{stopOf(), stopOf("dev", "prod"), s.pinOf("prod/api", "v1"), s.pinOf("staging/db", "v1"), s.freezeOf("prod"), badOf("api", "v2"), badOf("db", "v2", "dev")} {
			if h.Kind == gitops.HoldFreeze {
				h.Apps, h.Principal = []string{"api", "web"}, "dispatch:1"
			}
			s.hold(h)
		}
		s.lift("h1", "h5")
		s.clock.Pass(45 * time.Minute)
	}
	s.quiet = false
	s.check()
	for _, limit := range []int{1, 3, everything} {
		for _, f := range []queue.HoldFilter{
			{}, {Environment: "prod"}, {App: "api"}, {Environment: "dev", App: "db"}, {Environment: "nowhere"}, {App: "missing"},
			{Kind: gitops.HoldPin}, {Kind: gitops.HoldStop, Environment: "prod"}, {Kind: "nothing"},
		} {
			for _, f.Ended = range []bool{false, true} {
				f.Within = nil
				s.listedHolds(f, limit)
				for _, f.Within = range scopes {
					s.listedHolds(f, limit)
				}
			}
		}
	}
	_, _, err := s.q.HoldsListed(s.t.Context(), queue.HoldFilter{}, queue.Page{Cursor: "x", Limit: 1})
	s.code("HoldsListed from another's cursor", err, gitops.Invalid)
}

// holdsInTheOneOrder follows the changes: each replica sees holds and deliveries alike, and
// a hold as it was then.
func holdsInTheOneOrder(s *script) {
	hint := s.q.Changed()
	before := s.accept(s.order("prod/api")).Updates[0]
	<-hint
	order := s.order("prod/api")
	hint = s.q.Changed()
	pin := s.place(queue.Placement{Holds: []gitops.Hold{s.pinOf("prod/api", "v1")}, Order: &order}).Holds[0]
	<-hint
	s.transit(s.one("one", "prod"), failed(before))
	s.advance(time.Minute)
	hint = s.q.Changed()
	s.lift(pin.ID)
	<-hint
	s.accept(s.order("prod/api"))
	all, model := s.sameChanges(followers{})
	if len(all) != 6 || all[1].Hold == nil || all[1].Hold.Lifted != nil || all[2].Delivery == nil || all[4].Hold == nil || all[4].Hold.Lifted == nil {
		s.t.Fatalf("the changes are %+v", all)
	}
	for i, c := range all {
		s.sameChanges(followers{c.Cursor, model[i].Cursor})
		piece, err := s.q.Changes(s.t.Context(), c.Cursor, 1)
		s.same("the change after another", piece, err, all[i+1:min(i+2, len(all))], nil)
	}
	s.crash()
	s.hold(stopOf())
	s.reopen()
	s.accept(s.order("prod/api"))
}

// holdsKept prunes: what is in force stays for ever, and what has ended for as long as the
// audit.
func holdsKept(s *script) {
	s.hold(stopOf("prod"))
	s.hold(badOf("api", "v1"))
	s.lift(s.hold(stopOf("dev")).ID)
	s.hold(s.freezeOf("dev"))
	s.advance(queue.MemoryFor)
	s.prune(s.clock.Now(), 100)
	if n := len(s.model.holds); n != 4 {
		s.t.Fatalf("%d holds are left; want 4", n)
	}
	s.advance(time.Microsecond)
	s.prune(s.clock.Now(), 100)
	if n := len(s.model.holds); n != 3 {
		s.t.Fatalf("%d holds are left; want those in force, and the freeze that ended later", n)
	}
	s.advance(time.Hour)
	s.crash()
	s.prune(s.clock.Now(), 100)
	if left := s.listedHolds(queue.HoldFilter{Ended: true}, everything); len(left) != 2 || left[0].ID != "h2" {
		s.t.Fatalf("left are %+v", left)
	}
	s.reopen()
	if h := s.hold(stopOf()); h.ID != "h5" {
		s.t.Fatalf("the fifth hold is %s", h.ID)
	}
	s.advance(2 * queue.MemoryFor)
	s.prune(s.clock.Now(), 100)
	if n := len(s.model.inForce()); n != 3 {
		s.t.Fatalf("%d holds are in force; want 3", n)
	}
	_, err := s.q.Lift(s.t.Context(), queue.Lifting{IDs: []string{"h3"}})
	s.code("Lift of a hold that is forgotten", err, gitops.NotFound)
}

// lastWord has a person order, and then automation of events from before and after that.
func lastWord(s *script) {
	ordered := s.order("prod/api")
	ordered.Source, ordered.Principal = "api", "token:ann"
	ordered.Updates[0].Terms = &gitops.Terms{
		Reason: "back", Passes: []gitops.BlockKind{gitops.BlockPin, gitops.BlockFreeze}, Override: "at once", RollsBack: "v2", PinUntil: s.clock.Now().Add(time.Hour),
	}
	word := s.clock.Now()
	s.accept(ordered)
	s.advance(10 * time.Minute)
	s.crash()
	for _, c := range []struct {
		principal string
		event     time.Duration // after the order
		pushed    bool
		want      gitops.State
	}{
		{"dispatch:1", -2 * time.Minute, false, gitops.Superseded},
		{"job:1@x", -2 * time.Minute, false, gitops.Superseded},
		{"push:sns/1", -2 * time.Minute, true, gitops.Superseded},
		{"dispatch:1", -time.Minute, false, gitops.Pending}, // two clocks tell of them
		{"push:sns/1", time.Minute, true, gitops.Pending},
		{"token:bo", -time.Hour, false, gitops.Superseded}, // behind what was just accepted, and not behind a person
	} {
		d := s.event(word.Add(c.event), "prod/api")
		d.Principal, d.Updates[0].OnlyUp = c.principal, c.pushed
		u := s.accept(d).Updates[0]
		late := strings.HasPrefix(u.Reason, "a person ordered api in prod at "+word.Format(time.RFC3339))
		if u.State != c.want || late != (c.want == gitops.Superseded && c.principal != "token:bo") {
			s.t.Errorf("%s, %s after the order: %s %q", c.principal, c.event, u.State, u.Reason)
		}
	}
	undated := s.order("prod/api")
	undated.Principal = "dispatch:1"
	if u := s.accept(undated).Updates[0]; u.State != gitops.Pending {
		s.t.Errorf("what has no time is %s", u.State)
	}
	if h, err := s.q.Head(s.t.Context(), "prod", "api"); err != nil || !h.Word.Equal(word) {
		s.t.Errorf("the last word is of %s, %v; want %s", h.Word, err, word)
	}
}
