package queuetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// lastHealthy has updates of an app run, out of their order: the newest that did is the head's,
// whatever was written, and what failed is not.
func lastHealthy(s *script) {
	l := s.one("one", "dev")
	var api []gitops.Update
	for range 5 {
		api = append(api, s.written(l, "dev/api", "dev/web")[0])
	}
	for _, c := range []struct {
		update  int
		state   gitops.RolloutState
		healthy int
	}{
		{0, gitops.RolloutHealthy, 0}, {3, gitops.RolloutProgressing, 0}, {3, gitops.RolloutHealthy, 3}, {1, gitops.RolloutHealthy, 3},
		{4, gitops.RolloutDegraded, 3}, {4, gitops.RolloutHealthy, 3}, {2, gitops.RolloutTimedOut, 3},
	} {
		s.rollOut(none, s.standing(api[c.update], c.state, ""))
		head, err := s.q.Head(s.t.Context(), "dev", "api")
		s.code("Head", err, "")
		want := api[c.healthy]
		if head.HealthyID != want.ID || head.HealthyTag != want.Tag || head.Healthy != s.sequences[want.ID] || head.WrittenID != api[4].ID {
			s.t.Fatalf("update %d is %s, and the head %+v", c.update, c.state, head)
		}
	}
	s.crash()
	s.advance(time.Hour)
	s.prune(s.clock.Now(), 100)
	s.checkHead("dev", "api") // it outlives what it is of
	s.reopen()
	next := s.written(s.one("two", "dev"), "dev/api")[0]
	s.rollOut(none, s.standing(next, gitops.RolloutHealthy, ""))
	if head, err := s.q.Head(s.t.Context(), "dev", "api"); err != nil || head.HealthyID != next.ID {
		s.t.Fatalf("the head is %+v, %v", head, err)
	}
}

// openRollouts are in the order of their acceptance, whatever was written and reported first,
// until they are final or forgotten.
func openRollouts(s *script) {
	dev, prod := s.one("one", "dev"), s.one("one", "prod")
	d := s.accept(s.order("dev/api", "prod/api", "dev/web"))
	later := s.accept(s.order("dev/db", "prod/db"))
	all := append(slices.Clone(d.Updates), later.Updates...)
	for _, u := range slices.Backward(all) {
		s.transit(map[string]lent{"dev": dev, "prod": prod}[u.Environment], committed(u))
		s.rollOut(none, s.standing(u, gitops.RolloutWaiting, ""))
	}
	open := func(want ...gitops.Update) {
		s.t.Helper()
		found, err := s.q.OpenRollouts(s.t.Context())
		s.code("OpenRollouts", err, "")
		var ids, wanted []string
		for _, u := range found {
			ids = append(ids, u.ID)
			if len(u.Steps) > 0 || u.Rollout == nil || u.Rollout.State.Final() {
				s.t.Fatalf("open is %+v", u)
			}
		}
		for _, u := range want {
			wanted = append(wanted, u.ID)
		}
		if !slices.Equal(ids, wanted) {
			s.t.Fatalf("open are %v; want %v", ids, wanted)
		}
	}
	open(all...)
	s.crash()
	open(all...)
	s.rollOut(none, s.standing(all[1], gitops.RolloutHealthy, ""), s.standing(all[3], gitops.RolloutSuperseded, ""))
	open(all[0], all[2], all[4])
	s.reopen()
	open(all[0], all[2], all[4])
	s.advance(time.Hour)
	s.prune(s.clock.Now(), 1)
	open(all[4])
	s.prune(s.clock.Now(), 1)
	open()
	s.rollOut(none, s.standing(all[4], gitops.RolloutHealthy, ""))
}

// verdictsAtOnce has several say at once how rollouts ended, also under a lease that others
// claim meanwhile: each update has one verdict, and everybody is answered with that.
func verdictsAtOnce(s *script) {
	const updates, reporters = 10, 6
	l := s.one("one", "dev")
	var all []gitops.Update
	for i := range updates {
		all = append(all, s.written(l, fmt.Sprintf("dev/app-%d", i))[0])
	}
	leases, err := s.q.Claim(s.t.Context(), "follower", []string{"job/follow"}, hour)
	s.code("Claim", err, "")
	answers := make([][]gitops.Rollout, reporters)
	var at sync.WaitGroup
	for i := range reporters {
		at.Go(func() {
			lease, state := queue.Lease{}, gitops.RolloutHealthy
			if i%2 == 0 {
				lease, state = leases[0], gitops.RolloutDegraded
			}
			var reports []queue.RolloutReport
			for _, u := range all {
				reports = append(reports, s.standing(u, state, fmt.Sprintf("says %d", i)))
			}
			kept, err := s.q.ReportRollouts(s.t.Context(), lease, reports)
			if err != nil && (i%2 != 0 || gitops.CodeOf(err) != gitops.Conflict) {
				s.t.Errorf("ReportRollouts: %v", err)
			}
			answers[i] = kept
		})
	}
	at.Go(func() {
		if _, err := s.q.Claim(s.t.Context(), "follower", []string{"job/follow"}, hour); err != nil {
			s.t.Errorf("Claim: %v", err)
		}
	})
	at.Wait()
	for i, u := range all {
		got, err := s.q.Update(s.t.Context(), u.ID)
		s.code("Update", err, "")
		if steps := s.rolledOut(u); len(steps) != 1 || got.Rollout == nil || steps[0] != string(got.Rollout.State)+": "+got.Rollout.Reason {
			s.t.Fatalf("of update %d the steps are %q, and it stands %+v", i, steps, got.Rollout)
		}
		for n, kept := range answers {
			if len(kept) > 0 && !kept[i].Equal(*got.Rollout) {
				s.t.Errorf("of update %d reporter %d was told %+v, and it stands %+v", i, n, kept[i], got.Rollout)
			}
		}
		head, err := s.q.Head(s.t.Context(), "dev", u.App)
		s.code("Head", err, "")
		if healthy := got.Rollout.State == gitops.RolloutHealthy; healthy != (head.HealthyID == u.ID) {
			s.t.Errorf("update %d is %s, and the head %+v", i, got.Rollout.State, head)
		}
	}
}

// rolloutsWhileLanesWork reports rollouts of a lane's updates while the lane reports others: both
// are kept, and in the end the head has what each said.
func rolloutsWhileLanesWork(s *script) {
	const rounds = 15
	l := s.one("one", "dev")
	first := s.written(l, "dev/api")[0]
	var later []gitops.Update
	for range rounds {
		later = append(later, s.accept(s.order("dev/api")).Updates...)
	}
	var both sync.WaitGroup
	both.Go(func() {
		for _, u := range later {
			if _, err := s.q.Report(s.t.Context(), l.store, queue.Report{Transitions: []gitops.Transition{committed(u)}}); err != nil {
				s.t.Errorf("Report: %v", err)
			}
		}
	})
	both.Go(func() {
		for i := range rounds {
			state := gitops.RolloutSyncing
			if i == rounds-1 {
				state = gitops.RolloutHealthy
			}
			if _, err := s.q.ReportRollouts(s.t.Context(), queue.Lease{}, []queue.RolloutReport{s.standing(first, state, fmt.Sprint(i))}); err != nil {
				s.t.Errorf("ReportRollouts: %v", err)
			}
		}
	})
	both.Wait()
	head, err := s.q.Head(s.t.Context(), "dev", "api")
	s.code("Head", err, "")
	if head.WrittenID != later[rounds-1].ID || head.HealthyID != first.ID || len(s.rolledOut(first)) != rounds {
		s.t.Fatalf("the head is %+v, and the steps are %q", head, s.rolledOut(first))
	}
}
