package queuetest

import (
	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// refusals asks for each decision in each state, twice, and for what is not a decision.
func refusals(s *script) {
	decisions := []gitops.Action{gitops.ActionRetry, gitops.ActionDismiss, gitops.ActionCancel}
	var targets []string
	var reports []gitops.Action
	for _, a := range []gitops.Action{"", gitops.ActionPropose, gitops.ActionCommit, gitops.ActionConfirm, gitops.ActionSupersede, gitops.ActionFail, gitops.ActionClose, gitops.ActionCancel} {
		for _, decision := range decisions {
			targets, reports = append(targets, "dev/x"+string(a+decision)), append(reports, a)
		}
	}
	d := s.accept(s.order(targets...))
	var transitions []gitops.Transition
	for i, a := range reports {
		if a != "" {
			transitions = append(transitions, transition(d.Updates[i].ID, a))
		}
	}
	s.transit(s.one("one", "dev"), transitions...)
	for i, u := range d.Updates {
		s.quiet = i%len(decisions) > 0 // one check for each state
		s.decide(u.ID, decisions[i%len(decisions)], "a reason")
		s.decide(u.ID, decisions[i%len(decisions)], "another")
	}
	s.quiet = false
	id := s.accept(s.order("prod/api")).Updates[0].ID
	for _, a := range append(gitops.Actions(), "", "nothing") {
		s.decide(gitops.UpdateID(gitops.DeliveryKey{Source: "github", ID: "missing"}, "dev", "api"), a, "")
		if a != gitops.ActionRetry && a != gitops.ActionDismiss && a != gitops.ActionCancel {
			_, err := s.q.Decide(s.t.Context(), queue.Decision{Update: id, Action: a, Actor: "ann"})
			s.code("Decide "+string(a), err, gitops.Invalid)
		}
	}
	s.decide("missing", gitops.ActionRetry, "")
	s.check()
}

// cancelled is a request that is there until the update ends, whoever asks.
func cancelled(s *script) {
	d := s.accept(s.order("dev/api", "dev/web", "dev/db"))
	s.one("one", "dev")
	for _, u := range d.Updates {
		s.decide(u.ID, gitops.ActionCancel, "not this one")
	}
	s.crash()
	l := s.one("two", "dev")
	s.decide(d.Updates[0].ID, gitops.ActionCancel, "nor now")
	s.block(l, d.Updates[0].ID, stale)
	s.decide(d.Updates[0].ID, gitops.ActionRetry, "")
	s.checkTake(l, queue.TakeOptions{Limit: 1, NewestOnly: true})
	s.transit(l, transition(d.Updates[0].ID, gitops.ActionCancel), committed(d.Updates[1]), failed(d.Updates[2]))
	s.decide(d.Updates[2].ID, gitops.ActionRetry, "")
	s.decide(d.Updates[2].ID, gitops.ActionCancel, "after all")
}
