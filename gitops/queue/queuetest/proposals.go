package queuetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// proposalOf is what is known of the pull request of this number; its times are finer than
// stores keep.
func (s *script) proposalOf(number int) gitops.Proposal {
	return gitops.Proposal{
		Number: number, URL: fmt.Sprintf("https://forge.example/shop/deploy/pull/%d", number), Head: commit,
		OpenedAt: s.clock.Now().Add(789 * time.Nanosecond), WaitsFor: []string{"It waits for a review of 'owners'.", "Check \"e2e\" is running."},
	}
}

// ended is the proposal after somebody merged or closed it.
func (s *script) ended(p gitops.Proposal, by string) gitops.Proposal {
	p.WaitsFor, p.EndedBy, p.EndedAt = nil, by, s.clock.Now().Add(time.Nanosecond)
	return p
}

func proposed(u gitops.Update) gitops.Transition { return transition(u.ID, gitops.ActionPropose) }

func closedBy(u gitops.Update) gitops.Transition { return transition(u.ID, gitops.ActionClose) }

// propose reports what is known of pull requests, with transitions.
func (s *script) propose(l lent, all []queue.Proposed, transitions ...gitops.Transition) {
	s.t.Helper()
	s.report(l, queue.Report{Transitions: transitions, Proposals: all})
}

// proposalsKept reports proposals of updates in every state: they are in all that is read,
// and are neither attempts nor steps.
func proposalsKept(s *script) {
	d := s.accept(s.order("dev/api", "dev/web", "dev/db", "dev/cache", "dev/mail", "prod/api"))
	l := s.one("one", "dev")
	s.transit(l, proposed(d.Updates[1]), proposed(d.Updates[2]), committed(d.Updates[3]), failed(d.Updates[4]))
	s.transit(l, closedBy(d.Updates[2]))
	for number := range 2 {
		var all []queue.Proposed
		for _, u := range d.Updates[:5] {
			all = append(all, queue.Proposed{Update: u.ID, Proposal: s.proposalOf(7)}, queue.Proposed{Update: u.ID, Proposal: s.proposalOf(number)})
		}
		latest, err := s.q.Latest(s.t.Context())
		s.code("Latest", err, "")
		s.propose(l, all)
		s.advance(time.Second)
		s.propose(l, all)
		s.propose(l, []queue.Proposed{{Update: d.Updates[2].ID, Proposal: s.ended(s.proposalOf(number), "ann")}})
		after, err := s.q.Latest(s.t.Context())
		s.same("Latest after proposals", after, err, latest, nil)
		s.crash()
		l = s.one("two", "dev")
	}
	mine := s.proposalOf(9)
	s.propose(l, []queue.Proposed{{Update: d.Updates[0].ID}, {Update: d.Updates[1].ID, Proposal: mine}})
	mine.WaitsFor[0] = "changed"
	s.check()
	for _, u := range d.Updates[:3] {
		got, err := s.q.Update(s.t.Context(), u.ID)
		s.code("Update", err, "")
		if got.Proposal == nil || len(got.Steps) > 2 || got.Attempts > 2 {
			s.t.Fatalf("a proposal left the update %+v", got)
		}
	}
	s.advance(time.Hour)
	s.transit(l, committed(d.Updates[0]))
	s.decide(d.Updates[4].ID, gitops.ActionRetry, "")
	s.prune(s.clock.Now(), 100)
}

// proposalsFenced reports proposals under a lease that was lost, and of updates of another
// lane: nothing of the report is kept.
func proposalsFenced(s *script) {
	d := s.accept(s.order("dev/api", "prod/api"))
	old := s.one("one", "dev")
	ours, others := d.Updates[0], d.Updates[1]
	for _, id := range []string{others.ID, "missing", gitops.UpdateID(d.Key(), "dev", "missing")} {
		s.propose(old, []queue.Proposed{{Update: ours.ID, Proposal: s.proposalOf(1)}, {Update: id, Proposal: s.proposalOf(2)}}, proposed(ours))
	}
	s.release(old, true)
	l := s.one("two", "dev")
	s.propose(old, []queue.Proposed{{Update: ours.ID, Proposal: s.proposalOf(1)}})
	if got, err := s.q.Update(s.t.Context(), ours.ID); err != nil || got.Proposal != nil {
		s.t.Fatalf("what was reported under an old lease is kept: %+v, %v", got, err)
	}
	s.propose(l, []queue.Proposed{{Update: ours.ID, Proposal: s.proposalOf(1)}}, proposed(ours))
	s.propose(old, []queue.Proposed{{Update: ours.ID, Proposal: s.proposalOf(3)}})
}

// proposeSupersedes proposes the third of four updates of an app: what is older is
// superseded, however it waits, and nothing else.
func proposeSupersedes(s *script) {
	var api []gitops.Update
	for range 4 {
		api = append(api, s.accept(s.order("dev/api", "dev/web", "prod/api")).Updates[0])
	}
	l := s.one("one", "dev")
	s.decide(api[1].ID, gitops.ActionCancel, "not this one")
	s.block(l, api[0].ID, stale)
	s.advance(time.Second)
	s.propose(l, []queue.Proposed{{Update: api[2].ID, Proposal: s.proposalOf(1)}}, proposed(api[2]))
	for _, u := range api[:2] {
		got, err := s.q.Update(s.t.Context(), u.ID)
		s.code("Update", err, "")
		if got.State != gitops.Superseded || !strings.Contains(got.Reason, api[2].Tag) || !strings.Contains(got.Reason, api[2].ID) {
			s.t.Fatalf("behind %s, which is proposed, %+v", api[2].Tag, got)
		}
	}
	s.transit(l, proposed(api[2])) // again: left out
	s.propose(l, []queue.Proposed{{Update: api[3].ID, Proposal: s.proposalOf(1)}}, proposed(api[3]))
	s.transit(l, committed(api[2])) // it was merged before, by somebody who was faster
	s.crash()
	s.transit(s.one("two", "dev"), committed(api[3]))
}

// proposeOlder proposes updates in the wrong order, and with others in one report: of an app
// only the newest stays proposed, whatever is older.
func proposeOlder(s *script) {
	l := s.one("one", "dev")
	next := func() gitops.Update { return s.accept(s.order("dev/api")).Updates[0] }
	is := func(u gitops.Update, want gitops.State) {
		s.t.Helper()
		if got, err := s.q.Update(s.t.Context(), u.ID); err != nil || got.State != want {
			s.t.Fatalf("%s is %s, %v; want %s", u.Tag, got.State, err, want)
		}
	}
	first, second := next(), next()
	s.transit(l, proposed(second), proposed(first))
	is(first, gitops.Superseded)
	is(second, gitops.Proposed)

	third, fourth := next(), next()
	s.transit(l, proposed(fourth), closedBy(fourth)) // closed by a person at once
	is(third, gitops.Superseded)
	is(second, gitops.Superseded)

	older, newer := next(), next()
	s.transit(l, failed(older), proposed(newer), failed(newer))
	s.decide(newer.ID, gitops.ActionDismiss, "")
	s.decide(older.ID, gitops.ActionRetry, "") // nothing newer is open or written
	last := next()
	s.transit(l, proposed(last), proposed(older), committed(last))
	is(older, gitops.Superseded)
	is(last, gitops.Committed)
}

// proposedIsNotReady takes from a lane that has proposed updates.
func proposedIsNotReady(s *script) {
	open := s.accept(s.order("dev/api", "dev/web")).Updates
	l := s.one("one", "dev")
	s.propose(l, []queue.Proposed{{Update: open[0].ID, Proposal: s.proposalOf(1)}}, proposed(open[0]), proposed(open[1]))
	takes := func(want int, o queue.TakeOptions) []gitops.Update {
		s.t.Helper()
		taken := s.checkTake(l, o)
		if len(taken) != want {
			s.t.Fatalf("%+v takes %d; want %d", o, len(taken), want)
		}
		return taken
	}
	everyWay := func(want int) {
		s.t.Helper()
		for _, o := range []queue.TakeOptions{{}, {NewestOnly: true}, {NewestHeld: true}, {Except: []string{"db"}}} {
			o.Limit = everything
			takes(want, o)
		}
	}
	everyWay(0)
	ready, err := s.q.Ready(s.t.Context(), []string{"dev"})
	s.same("Ready where all is proposed", ready, err, []string(nil), nil)
	takes(0, queue.TakeOptions{Limit: 9, Unresolved: []string{open[0].ID}})

	newer := s.accept(s.order("dev/api")).Updates[0]
	everyWay(1)
	takes(2, queue.TakeOptions{Limit: 1, Unresolved: []string{open[0].ID}})
	s.transit(l, failed(newer)) // what is proposed stays
	s.decide(open[0].ID, gitops.ActionCancel, "not this one")
	everyWay(1)
	got := takes(1, queue.TakeOptions{Limit: 1, NewestOnly: true})[0]
	if got.State != gitops.Proposed || got.CancelRequest == nil || got.Proposal == nil || got.Proposal.Number != 1 {
		s.t.Fatalf("to be cancelled is %+v", got)
	}
	s.release(l, false)
	l = s.one("two", "dev")
	everyWay(1)
	s.accept(s.order("dev/web"))
	everyWay(3) // what is proposed may be on the branch
	s.transit(l, transition(open[0].ID, gitops.ActionCancel))
	everyWay(2)
	s.crash()
}

// proposedBacklogs counts what is proposed beside what waits.
func proposedBacklogs(s *script) {
	l := s.one("one", "dev")
	var open []gitops.Update
	for _, app := range []string{"api", "web", "db"} {
		open = append(open, s.accept(s.order("dev/" + app)).Updates[0])
		s.advance(time.Second)
	}
	counts := func(pending, proposed int, oldest time.Time) {
		s.t.Helper()
		all, err := s.q.Backlogs(s.t.Context())
		s.code("Backlogs", err, "")
		if b := all[0]; b.Pending != pending || b.Proposed != proposed || !b.OldestProposed.Equal(oldest) {
			s.t.Fatalf("the backlog is %+v; want %d pending, %d proposed, the oldest %v", b, pending, proposed, oldest)
		}
	}
	counts(3, 0, time.Time{})
	s.transit(l, proposed(open[2]))
	counts(2, 1, open[2].AcceptedAt)
	early, late := s.proposalOf(1), s.proposalOf(2)
	early.OpenedAt = s.clock.Now().Add(-time.Hour) // by newer releases, too
	s.propose(l, []queue.Proposed{{Update: open[1].ID, Proposal: early}, {Update: open[2].ID, Proposal: late}}, proposed(open[1]))
	counts(1, 2, early.OpenedAt)
	s.crash()
	counts(1, 2, early.OpenedAt)
	l = s.one("two", "dev")
	s.transit(l, committed(open[1]))
	counts(1, 1, late.OpenedAt.Truncate(time.Microsecond))
	s.transit(l, closedBy(open[2]), proposed(open[0]), committed(open[0]))
	counts(0, 0, time.Time{})
}
