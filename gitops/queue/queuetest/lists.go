package queuetest

import (
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

const everything = 10_000 // more than any script has

func (s *script) checkLists() {
	s.t.Helper()
	s.listed(queue.DeliveryFilter{}, everything)
	s.listedUpdates(queue.UpdateFilter{}, everything)
}

// listed reads the list in pages and compares it with the model's.
func (s *script) listed(f queue.DeliveryFilter, limit int) []gitops.Delivery {
	s.t.Helper()
	got := pages(s, limit, f.Within != nil, func(p queue.Page) ([]gitops.Delivery, string, error) { return s.q.Deliveries(s.t.Context(), f, p) })
	want, _, err := s.model.Deliveries(s.t.Context(), f, queue.Page{Limit: everything})
	s.same(fmt.Sprintf("Deliveries %+v by %d", f, limit), got, nil, want, err)
	return got
}

func (s *script) listedUpdates(f queue.UpdateFilter, limit int) []gitops.Update {
	s.t.Helper()
	got := pages(s, limit, f.Within != nil, func(p queue.Page) ([]gitops.Update, string, error) { return s.q.Updates(s.t.Context(), f, p) })
	want, _, err := s.model.Updates(s.t.Context(), f, queue.Page{Limit: everything})
	s.same(fmt.Sprintf("Updates %+v by %d", f, limit), got, nil, want, err)
	return got
}

// pages reads a whole list. A page is full unless it is the last, and the last
// one is empty only when the list is; it may be short where short is true.
func pages[E any](s *script, limit int, short bool, read func(queue.Page) ([]E, string, error)) (all []E) {
	s.t.Helper()
	cursor := ""
	for {
		page, next, err := read(queue.Page{Cursor: cursor, Limit: limit})
		s.code("a page", err, "")
		if len(page) > limit || !short && (next != "" && len(page) < limit || len(page) == 0 && cursor != "") {
			s.t.Fatalf("a page of %d with %d entries, after %q and before %q", limit, len(page), cursor, next)
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		cursor = next
	}
}

// variety fills the store with what the filters tell apart.
func (s *script) variety() {
	s.quiet = true
	var updates []gitops.Update
	for i := range 4 {
		updates = append(updates, s.accept(s.order("dev/api", "prod/api", "dev/web")).Updates...)
		updates = append(updates, s.accept(s.event(s.clock.Now().Add(time.Duration(-i)*time.Hour), "dev/api", "staging/db")).Updates...)
		for _, outcome := range []gitops.Outcome{gitops.OutcomeIgnored, gitops.OutcomeRejected} {
			d := s.order()
			d.Outcome, d.Reason = outcome, "a reason"
			if outcome == gitops.OutcomeRejected {
				d.Environment, d.App = []string{"", "dev", "dev", "prod"}[i], []string{"", "", "api", "api"}[i]
			}
			s.accept(d)
		}
		s.waits("prod/new")
		s.advance(time.Second)
	}
	l := s.one("one", "dev")
	actions := []gitops.Action{gitops.ActionPropose, gitops.ActionFail, gitops.ActionConfirm, gitops.ActionClose, gitops.ActionCancel, gitops.ActionSupersede}
	for i, u := range updates {
		switch {
		case u.Environment != "dev" || i%3 == 0:
		case i%5 == 0:
			s.block(l, u.ID, s.refused(time.Minute))
		default:
			s.propose(l, []queue.Proposed{{Update: u.ID, Proposal: s.proposalOf(i)}}, transition(u.ID, actions[i%len(actions)]))
		}
	}
	for i, u := range updates {
		s.rollOut(none, s.standing(u, gitops.RolloutStates()[i%len(gitops.RolloutStates())], "a reason")) // of what is written
	}
	s.quiet = false
	s.check()
}

func lists(s *script) {
	for _, limit := range []int{1, 3, everything} {
		s.listed(queue.DeliveryFilter{Source: "github"}, limit)
		s.listedUpdates(queue.UpdateFilter{State: gitops.Pending}, limit)
	}
	s.variety()
	for _, limit := range []int{1, 3, everything} {
		for _, source := range []string{"", "github", "eventbridge", "missing"} {
			for _, outcome := range []gitops.Outcome{"", gitops.OutcomeAccepted, gitops.OutcomeIgnored, gitops.OutcomeRejected, gitops.OutcomeWaiting, "nothing"} {
				s.listed(queue.DeliveryFilter{Source: source, Outcome: outcome}, limit)
			}
		}
		for _, environment := range []string{"", "dev", "staging", "prod", "nowhere"} {
			for _, app := range []string{"", "api", "web", "db", "missing"} {
				for _, state := range append(gitops.States(), "", "nothing") {
					s.listedUpdates(queue.UpdateFilter{Environment: environment, App: app, State: state}, limit)
				}
			}
		}
	}
}

// pagesStandStill reads a page, lets more be accepted, and reads the next.
func pagesStandStill(s *script) {
	s.variety()
	ctx := s.t.Context()
	wantDeliveries := s.listed(queue.DeliveryFilter{}, everything)
	wantUpdates := s.listedUpdates(queue.UpdateFilter{App: "api"}, everything)
	_, deliveries, err := s.q.Deliveries(ctx, queue.DeliveryFilter{}, queue.Page{Limit: 2})
	s.code("Deliveries", err, "")
	_, updates, err := s.q.Updates(ctx, queue.UpdateFilter{App: "api"}, queue.Page{Limit: 2})
	s.code("Updates", err, "")
	s.accept(s.order("dev/api"))
	d, _, err := s.q.Deliveries(ctx, queue.DeliveryFilter{}, queue.Page{Cursor: deliveries, Limit: 2})
	s.same("the second page of Deliveries", d, err, wantDeliveries[2:4], nil)
	u, _, err := s.q.Updates(ctx, queue.UpdateFilter{App: "api"}, queue.Page{Cursor: updates, Limit: 2})
	s.same("the second page of Updates", u, err, wantUpdates[2:4], nil)
}

func foreignCursors(s *script) {
	s.variety()
	ctx := s.t.Context()
	for _, cursor := range []string{"x", "-1", "1,5", "1.2.3.4", " 1", "01", "999999999999999999999", "\x00"} {
		_, _, deliveries := s.q.Deliveries(ctx, queue.DeliveryFilter{}, queue.Page{Cursor: cursor, Limit: 1})
		_, _, updates := s.q.Updates(ctx, queue.UpdateFilter{}, queue.Page{Cursor: cursor, Limit: 1})
		_, changes := s.q.Changes(ctx, cursor, 1)
		_, _, waiting := s.q.WaitingDeliveries(ctx, queue.Page{Cursor: cursor, Limit: 1})
		_, _, audit := s.q.AuditEntries(ctx, queue.AuditFilter{}, queue.Page{Cursor: cursor, Limit: 1})
		for call, err := range map[string]error{"Deliveries": deliveries, "Updates": updates, "Changes": changes, "WaitingDeliveries": waiting, "AuditEntries": audit} {
			s.code(fmt.Sprintf("%s with the cursor %q", call, cursor), err, gitops.Invalid)
			if want := "cursor: "; gitops.PublicOf(err)[:len(want)] != want {
				s.t.Fatalf("%s with the cursor %q: %v", call, cursor, err)
			}
		}
	}
}
