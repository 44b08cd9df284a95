package queuetest

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// standsAt reports where an update stands in the cluster, and asks which apps do not run what
// was written last: they must be of these updates.
func (s *script) standsAt(u gitops.Update, state gitops.RolloutState, notRunning ...gitops.Update) {
	s.t.Helper()
	reports := []queue.RolloutReport{{Update: u.ID, Rollout: gitops.Rollout{State: state, Reason: "why", Deadline: s.clock.Now().Add(time.Hour)}}}
	got, err := s.q.ReportRollouts(s.t.Context(), queue.Lease{}, reports)
	want, wantErr := s.model.ReportRollouts(s.t.Context(), queue.Lease{}, reports)
	s.same("ReportRollouts", got, err, want, wantErr)
	s.checkNotRunning(notRunning...)
}

func (s *script) checkNotRunning(updates ...gitops.Update) {
	s.t.Helper()
	got, err := s.q.NotRunning(s.t.Context())
	want, _ := s.model.NotRunning(s.t.Context())
	s.same("NotRunning", got, err, want, nil)
	if len(want) != len(updates) {
		s.t.Fatalf("%d apps do not run what was written last, want %d", len(want), len(updates))
	}
	for i, u := range updates {
		if want[i].ID != u.ID {
			s.t.Fatalf("the model has %s in place %d, want %s of %s", want[i].ID, i, u.ID, u.App)
		}
	}
}

// notRunning has updates come to stand in each state: of each app the newest one that is
// written counts, while it is not known to run.
func notRunning(s *script) {
	l := s.one("one", "dev")
	first, other := s.accept(s.order("dev/api")).Updates[0], s.accept(s.order("dev/web")).Updates[0]
	s.checkNotRunning()
	s.transit(l, committed(first), committed(other))
	s.checkNotRunning()
	s.standsAt(first, gitops.RolloutWaiting, first)
	for _, state := range []gitops.RolloutState{gitops.RolloutPerson, gitops.RolloutSyncing, gitops.RolloutProgressing, gitops.RolloutPaused, gitops.RolloutUnknown} {
		s.standsAt(other, state, first, other)
	}
	s.standsAt(other, gitops.RolloutDegraded, first, other)
	s.standsAt(first, gitops.RolloutHealthy, other)
	s.reopen()
	s.checkNotRunning(other)

	l = s.one("two", "dev")
	last := other
	for _, state := range []gitops.RolloutState{gitops.RolloutSyncFailed, gitops.RolloutTimedOut, gitops.RolloutGone} {
		u := s.accept(s.order("dev/web")).Updates[0]
		s.checkNotRunning(last)
		s.transit(l, committed(u))
		s.checkNotRunning() // nothing is known of the newest one
		s.standsAt(u, state, u)
		last = u
	}
	for _, state := range []gitops.RolloutState{gitops.RolloutUnmapped, gitops.RolloutSuperseded} {
		u := s.accept(s.order("dev/web")).Updates[0]
		s.transit(l, committed(u))
		s.standsAt(u, state)
	}
}
