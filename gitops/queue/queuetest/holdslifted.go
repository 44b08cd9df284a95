package queuetest

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// liftedIsReady lifts holds of one app, one environment and everything: what they blocked,
// and nothing else, is ready, and its lanes get hints.
func liftedIsReady(s *script) {
	u := s.accept(s.order("dev/api", "dev/web", "dev/db", "prod/api", "prod/web")).Updates
	dev, prod := s.one("one", "dev"), s.one("one", "prod")
	pin, freeze, stop := s.hold(s.pinOf("dev/api", "v1")), s.hold(s.freezeOf("prod")), s.hold(stopOf())
	s.held(dev, gitops.HoldPin, u[0])
	s.report(dev, queue.Report{Blocks: []queue.Blocked{
		{Update: u[1].ID, BlockedBy: []gitops.Block{heldAs(gitops.HoldPin), heldAs(gitops.HoldStop)}},
		{Update: u[2].ID, BlockedBy: []gitops.Block{stale}},
	}})
	s.held(prod, gitops.HoldFreeze, u[3])
	s.held(prod, gitops.HoldStop, u[4])
	s.advance(time.Minute)
	for _, c := range []struct {
		h     gitops.Hold
		ready int
		wakes []string
	}{{pin, 1, []string{"dev"}}, {freeze, 1, []string{"prod"}}, {stop, 2, []string{"dev", "prod"}}} {
		for _, environment := range []string{"dev", "prod"} {
			select {
			case <-s.q.Wake(environment):
			default:
			}
		}
		if lifted := s.lift(c.h.ID); lifted.Ready != c.ready {
			s.t.Fatalf("lifting the %s made %d updates ready; want %d", c.h.Kind, lifted.Ready, c.ready)
		}
		for _, environment := range c.wakes {
			<-s.q.Wake(environment)
		}
		s.crash()
		dev, prod = s.one("one", "dev"), s.one("one", "prod")
	}
	if taken := s.checkTake(dev, queue.TakeOptions{Limit: 9}); len(taken) != 2 {
		s.t.Fatalf("of dev are taken %+v", taken)
	}

	other := s.accept(s.order("dev/api", "prod/api")).Updates
	bad := s.hold(badOf("api", u[0].Tag))
	s.held(dev, gitops.HoldBad, u[0], other[0])
	s.held(prod, gitops.HoldBad, u[3], other[1])
	if lifted := s.lift(bad.ID); lifted.Ready != 2 {
		s.t.Fatalf("%d updates have a tag that is bad no more; want 2", lifted.Ready)
	}
}

// liftedIsAsLapsed looks at what was lifted: it has no step for it, counts as held until
// something is reported of it, cannot be retried, stays ready whatever a person asks, and
// keeps since when it was held where it is held again.
func liftedIsAsLapsed(s *script) {
	u := s.accept(s.order("dev/api", "dev/web")).Updates
	l := s.one("one", "dev")
	stop := s.hold(stopOf("dev"))
	s.held(l, gitops.HoldStop, u...)
	s.advance(time.Minute)
	if taken := s.checkTake(l, queue.TakeOptions{Limit: 9, Unresolved: []string{u[0].ID}}); len(taken) > 0 {
		s.t.Fatalf("taken is what is held: %+v", taken)
	}
	s.lift(stop.ID)
	lifted := s.clock.Now()
	s.advance(time.Minute)
	for range 2 {
		taken := s.checkTake(l, queue.TakeOptions{Limit: 9})
		if len(taken) != 2 || !taken[0].HeldUntil.Equal(lifted) || !taken[1].HeldUntil.Equal(lifted) {
			s.t.Fatalf("taken is %+v; want both, held until %s", taken, lifted)
		}
		s.decide(u[0].ID, gitops.ActionCancel, "not this one")
	}
	s.decide(u[1].ID, gitops.ActionRetry, "")
	if b := s.model.backlog("dev"); b.Pending != 0 || b.Held[gitops.BlockStop] != 2 {
		s.t.Fatalf("the backlog is %+v", b)
	}
	s.crash()
	l = s.one("two", "dev")
	s.held(l, gitops.HoldStop, u[1])
	got, err := s.q.Update(s.t.Context(), u[1].ID)
	s.code("Update", err, "")
	if len(got.BlockedBy) != 1 || !got.BlockedBy[0].Since.Equal(began) || len(got.Steps) != 1 {
		s.t.Fatalf("held again, it is %+v", got)
	}
	if taken := s.checkTake(l, queue.TakeOptions{Limit: 9}); len(taken) != 1 || taken[0].CancelRequest == nil {
		s.t.Fatalf("taken is %+v", taken)
	}
	s.transit(l, committed(u[0]), failed(u[1]))
	s.decide(u[1].ID, gitops.ActionRetry, "")
	again := s.accept(s.order("dev/api")).Updates[0]
	taken := s.checkTake(l, queue.TakeOptions{Limit: 9})
	if len(taken) != 2 || !taken[0].HeldUntil.IsZero() || taken[1].ID != again.ID || taken[1].WrittenTag != u[0].Tag {
		s.t.Fatalf("taken is %+v", taken)
	}
}

// liftEnded lifts what ended before, and what never was.
func liftEnded(s *script) {
	u := s.accept(s.order("dev/api")).Updates[0]
	l := s.one("one", "dev")
	freeze, stop := s.hold(s.freezeOf("dev")), s.hold(stopOf("prod"))
	s.advance(time.Hour)
	s.held(l, gitops.HoldFreeze, u)
	for range 2 {
		lifted := s.lift(stop.ID, freeze.ID)
		if len(lifted.Holds) != 2 || lifted.Holds[0].Lifted != nil || lifted.Holds[1].Lifted == nil || lifted.Ready > 0 {
			s.t.Fatalf("lifted is %+v", lifted)
		}
	}
	stop = s.hold(stopOf("dev"))
	for _, id := range []string{"h4", "h0", "h", "h-1", "h+1", "h01", "3", "H3", "", "h99999999999999999999", "missing"} {
		_, err := s.q.Lift(s.t.Context(), queue.Lifting{IDs: []string{stop.ID, id}})
		s.code("Lift of "+id, err, gitops.NotFound)
		s.lift(stop.ID, id)
	}
	s.lift()
	if held := s.model.inForce(); len(held) != 1 {
		s.t.Fatalf("in force are %+v; want the stop", held)
	}
}

// rejudge makes ready what has a block of a kind, in some environments or in all.
func rejudge(s *script) {
	u := s.accept(s.order("dev/api", "dev/web", "dev/db", "prod/api", "staging/api")).Updates
	dev, prod, staging := s.one("one", "dev"), s.one("one", "prod"), s.one("one", "staging")
	again := func() {
		s.held(dev, gitops.HoldFreeze, u[0])
		s.report(dev, queue.Report{Blocks: []queue.Blocked{
			{Update: u[1].ID, BlockedBy: []gitops.Block{heldAs(gitops.HoldStop), heldAs(gitops.HoldFreeze)}},
			{Update: u[2].ID, BlockedBy: []gitops.Block{heldAs(gitops.HoldStop)}},
		}})
		s.held(prod, gitops.HoldFreeze, u[3])
		s.held(staging, gitops.HoldFreeze, u[4])
	}
	for _, c := range []struct {
		kind         gitops.BlockKind
		environments []string
		ready        int
	}{
		{gitops.BlockFreeze, []string{"dev", "prod", "nowhere"}, 3}, {gitops.BlockFreeze, nil, 4}, {gitops.BlockPin, nil, 0},
		{gitops.BlockStale, nil, 0}, {gitops.BlockStop, []string{"dev"}, 2},
	} {
		again()
		s.advance(time.Second)
		s.rejudge(c.kind, c.environments...)
		ready := 0
		for _, l := range []lent{dev, prod, staging} {
			ready += len(s.checkTake(l, queue.TakeOptions{Limit: 9}))
		}
		if ready != c.ready {
			s.t.Fatalf("of %s in %v are %d ready; want %d", c.kind, c.environments, ready, c.ready)
		}
	}
	<-s.q.Wake("dev")
}

// newestHeld takes the newest of what was held, and all of what never was.
func newestHeld(s *script) {
	var updates []gitops.Update
	for range 3 {
		updates = append(updates, s.accept(s.order("dev/api", "dev/web")).Updates...)
	}
	l := s.one("one", "dev")
	taken := func(want ...gitops.Update) {
		s.t.Helper()
		for limit := 1; limit < 10; limit++ {
			for _, except := range [][]string{nil, {"web"}, {"api", "db"}} {
				s.checkTake(l, queue.TakeOptions{Limit: limit, NewestHeld: true, Except: except})
				s.checkTake(l, queue.TakeOptions{Limit: limit, NewestHeld: true, NewestOnly: true, Except: except})
			}
		}
		got := s.checkTake(l, queue.TakeOptions{Limit: 9, NewestHeld: true})
		for i, u := range got {
			if len(got) != len(want) || u.ID != want[i].ID {
				s.t.Fatalf("taken is %+v; want %+v", got, want)
			}
		}
	}
	taken(updates...)
	stop := s.hold(stopOf("dev"))
	s.held(l, gitops.HoldStop, updates...)
	s.lift(stop.ID)
	taken(updates[4], updates[5])

	// The newest is held by something else: the next one goes.
	s.held(l, gitops.HoldBad, updates[4])
	taken(updates[2], updates[5])

	// What came after the hold goes in its order, and what was held is left.
	later := s.accept(s.order("dev/web", "dev/db")).Updates
	taken(updates[2], later[0], later[1])

	// One that is refused for a while was not held, and one that is to be cancelled goes in
	// any case.
	s.block(l, later[0].ID, s.refused(time.Minute))
	taken(updates[2], updates[5], later[1])
	s.advance(time.Minute)
	taken(updates[2], later[0], later[1])
	s.decide(updates[0].ID, gitops.ActionCancel, "")
	taken(updates[0], updates[2], later[0], later[1])
	s.transit(l, committed(updates[2]), committed(later[0]))
	taken(later[1])
}
