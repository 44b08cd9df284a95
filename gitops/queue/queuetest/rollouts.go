package queuetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// none is the zero lease, of who reports without one.
var none lent

// rollOut reports where updates stand in the cluster, and returns what the store says of it.
func (s *script) rollOut(l lent, reports ...queue.RolloutReport) []gitops.Rollout {
	s.t.Helper()
	got, err := s.q.ReportRollouts(s.t.Context(), l.store, reports)
	want, wantErr := s.model.ReportRollouts(s.t.Context(), l.model, reports)
	s.same("ReportRollouts", got, err, want, wantErr)
	s.check()
	return got
}

// checkRollouts asks what is on its way in the cluster.
func (s *script) checkRollouts() {
	s.t.Helper()
	got, err := s.q.OpenRollouts(s.t.Context())
	want, wantErr := s.model.OpenRollouts(s.t.Context())
	s.same("OpenRollouts", got, err, want, wantErr)
}

// standing is a report that an update is in this state, with all that a rollout can have; its
// times are finer than stores keep.
func (s *script) standing(u gitops.Update, state gitops.RolloutState, reason string) queue.RolloutReport {
	r := gitops.Rollout{
		State: state, Reason: reason, Since: s.clock.Now().Add(time.Hour), Deadline: s.clock.Now().Add(15*time.Minute + 789*time.Nanosecond), Revision: commit, By: "argocd",
		Places: []gitops.RolloutPlace{
			{Name: "shop/argocd/" + u.App, URL: "https://argocd.example/applications/" + u.App, State: state, Reason: reason},
			{Name: "shop/argocd/" + u.App + "-eu", State: gitops.RolloutHealthy},
		},
	}
	return queue.RolloutReport{Update: u.ID, Rollout: r}
}

// rolledOut are the steps of an update that are of its rollout, as "state: reason".
func (s *script) rolledOut(u gitops.Update) (steps []string) {
	s.t.Helper()
	got, err := s.q.Update(s.t.Context(), u.ID)
	s.code("Update", err, "")
	for _, step := range got.Steps {
		if step.Rollout != "" {
			steps = append(steps, string(step.Rollout)+": "+step.Reason)
		}
	}
	return steps
}

// written accepts an order and reports its updates as committed.
func (s *script) written(l lent, targets ...string) []gitops.Update {
	s.t.Helper()
	d := s.accept(s.order(targets...))
	for _, u := range d.Updates {
		s.transit(l, committed(u))
	}
	return d.Updates
}

// rolloutsKept has rollouts in every state of all that is read, also after a crash.
func rolloutsKept(s *script) {
	l, follower := s.one("one", "dev"), s.one("one", "job/follow")
	var all []queue.RolloutReport
	for i, state := range gitops.RolloutStates() {
		u := s.written(l, fmt.Sprintf("dev/app-%d", i))[0]
		all = append(all, s.standing(u, state, "a reason with \"quotes\" & <signs>"))
	}
	for _, kept := range s.rollOut(follower, all...) {
		if !kept.Since.Equal(s.clock.Now()) || kept.Since.Location() != time.UTC || kept.Deadline.Location() != time.UTC || kept.Deadline.Nanosecond()%1000 != 0 {
			s.t.Fatalf("kept is %+v", kept)
		}
	}
	s.crash()
	follower = s.one("two", "job/follow")
	s.advance(time.Second)
	for i := range all {
		all[i].Rollout.Places[0].Name = "another"
	}
	s.check()
	s.rollOut(follower, all...)
	s.rollOut(follower)
	s.reopen()
}

// rolloutSteps reports another state, another reason, and neither: the first two are steps and
// changes, and the state's time stays with the state.
func rolloutSteps(s *script) {
	u := s.written(s.one("one", "dev"), "dev/api")[0]
	follower, began := s.one("one", "job/follow"), s.clock.Now()
	latest := func() string {
		cursor, err := s.q.Latest(s.t.Context())
		s.code("Latest", err, "")
		return cursor
	}
	for i, c := range []struct {
		report queue.RolloutReport
		step   bool
	}{
		{s.standing(u, gitops.RolloutWaiting, ""), true},
		{s.standing(u, gitops.RolloutWaiting, "runs api:v1"), true},
		{s.standing(u, gitops.RolloutWaiting, "runs api:v1"), false},
		{s.standing(u, gitops.RolloutSyncing, "runs api:v1"), true},
		{s.standing(u, gitops.RolloutWaiting, ""), true},
	} {
		s.advance(time.Second)
		if i == 2 {
			c.report.Rollout.Revision, c.report.Rollout.Places, c.report.Rollout.By = "another", nil, "token:flux"
		}
		before, steps := latest(), len(s.rolledOut(u))
		kept := s.rollOut(follower, c.report)[0]
		if stepped := len(s.rolledOut(u)) > steps; stepped != c.step || (latest() != before) != c.step {
			s.t.Fatalf("report %d: it is a step: %t", i, stepped)
		}
		if state := kept.State == gitops.RolloutWaiting && i < 3; state != kept.Since.Equal(began.Add(time.Second)) {
			s.t.Fatalf("report %d: it stands so since %s", i, kept.Since)
		}
		before = latest()
		s.rollOut(follower, c.report) // again
		if latest() != before {
			s.t.Fatalf("report %d: the same report again is a change", i)
		}
	}
	found, _ := s.sameChanges(followers{})
	var told []string
	for _, c := range found {
		if c.Rollout {
			told = append(told, string(c.Update.Rollout.State)+": "+c.Update.Rollout.Reason)
			if c.Update.State != gitops.Committed || c.Update.Commit != commit || c.Update.Reason != "" || c.Update.Attempts != 1 || !c.Update.FinishedAt.Equal(began) {
				s.t.Fatalf("a change of the rollout tells of %+v", c.Update)
			}
		}
	}
	want := []string{"waiting: ", "waiting: runs api:v1", "syncing: runs api:v1", "waiting: "}
	if !slices.Equal(told, want) || !slices.Equal(s.rolledOut(u), want) {
		s.t.Fatalf("the feed tells %q, and the steps %q; want %q", told, s.rolledOut(u), want)
	}
}

// rolloutsFenced reports under a lease that was lost or released or is another's, and of an
// update that is not there: nothing is kept of it.
func rolloutsFenced(s *script) {
	both := s.written(s.one("one", "dev"), "dev/api", "dev/web")
	old := s.one("one", "job/follow")
	waits, syncs := s.standing(both[0], gitops.RolloutWaiting, ""), s.standing(both[1], gitops.RolloutSyncing, "")
	for _, id := range []string{"missing", "", gitops.UpdateID(both[0].Delivery, "dev", "missing")} {
		s.rollOut(old, waits, syncs, queue.RolloutReport{Update: id, Rollout: waits.Rollout})
		s.rollOut(none, queue.RolloutReport{Update: id, Rollout: waits.Rollout}, waits)
	}
	s.release(old, true)
	s.rollOut(old, waits)
	s.rollOut(lent{queue.Lease{Name: "job/other"}, queue.Lease{Name: "job/other"}}, waits)
	if open, err := s.q.OpenRollouts(s.t.Context()); err != nil || len(open) > 0 {
		s.t.Fatalf("what was refused is kept: %+v, %v", open, err)
	}
	s.rollOut(s.one("two", "job/follow"), waits)
	s.rollOut(old, syncs)
	if steps := append(s.rolledOut(both[0]), s.rolledOut(both[1])...); len(steps) != 1 {
		s.t.Fatalf("the steps are %q", steps)
	}
}

// rolloutsFinal has one verdict of each update: what is reported later changes nothing.
func rolloutsFinal(s *script) {
	l, follower := s.one("one", "dev"), s.one("one", "job/follow")
	for i, state := range gitops.RolloutStates() {
		u := s.written(l, fmt.Sprintf("dev/app-%d", i))[0]
		s.rollOut(follower, s.standing(u, gitops.RolloutWaiting, "first"), s.standing(u, state, "second"))
		s.advance(time.Second)
		for _, later := range []gitops.RolloutState{gitops.RolloutDegraded, gitops.RolloutHealthy} {
			kept := s.rollOut(follower, s.standing(u, later, "third"))[0]
			if final := state.Final(); final != (kept.State == state && kept.Reason == "second") && later == gitops.RolloutDegraded {
				s.t.Fatalf("%s became %+v", state, kept)
			}
		}
	}
}

// rolloutsOfOthers reports of updates that are not written: nothing is kept, until they are.
func rolloutsOfOthers(s *script) {
	l := s.one("one", "dev")
	var updates []gitops.Update
	for i, state := range gitops.States() {
		u := s.accept(s.order(fmt.Sprintf("dev/app-%d", i))).Updates[0]
		for _, e := range gitops.Edges() {
			if e.From == gitops.Pending && e.To == state && state != gitops.Pending {
				s.transit(l, transition(u.ID, e.Action))
				break
			}
		}
		updates = append(updates, u)
		kept := s.rollOut(none, s.standing(u, gitops.RolloutSyncing, "a reason"))[0]
		if written := state.Written(); written != (kept.State != "") || written != (len(s.rolledOut(u)) == 1) {
			s.t.Fatalf("of an update that is %s is kept %+v", state, kept)
		}
	}
	for _, u := range updates {
		s.transit(l, committed(u))
		s.rollOut(none, s.standing(u, gitops.RolloutSyncing, "a reason"))
	}
}

// rolloutBounds reports more than stores keep.
func rolloutBounds(s *script) {
	u := s.written(s.one("one", "dev"), "dev/api")[0]
	r := s.standing(u, gitops.RolloutSyncing, strings.Repeat("é", 1000)+"\n")
	r.Rollout.Revision, r.Rollout.By = strings.Repeat("r", 1000), strings.Repeat("b", 1000)
	for i := range 50 {
		r.Rollout.Places = append(r.Rollout.Places, gitops.RolloutPlace{Name: fmt.Sprint(i, strings.Repeat("n", 1000)), URL: "https://" + strings.Repeat("u", 1000), State: gitops.RolloutSyncing, Reason: strings.Repeat("x", 1000)})
	}
	kept := s.rollOut(none, r)[0]
	if n := len(kept.Reason); n > queue.MaxRolloutReason || n < queue.MaxRolloutReason-3 || len(kept.Places) != queue.MaxRolloutPlaces || kept.Places[19].URL != "" {
		s.t.Fatalf("%d bytes of the reason and %d places are kept", n, len(kept.Places))
	}
	s.rollOut(none, r)
	if steps := s.rolledOut(u); len(steps) != 1 {
		s.t.Fatalf("the same report again is a step: %q", steps)
	}
}
