package feedback_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

const (
	commitURL = "https://github.example/shop/manifests/commit/" + other
	placeURL  = "https://argocd.example/applications/argocd/api-prod"
)

// Each state of a rollout has its status, after the one that says that the cluster is awaited:
// "success" says that it runs.
func TestEachStateOfARolloutHasItsStatus(t *testing.T) {
	for state, want := range map[gitops.RolloutState]githubapp.DeploymentStatus{
		gitops.RolloutWaiting:     {State: "in_progress", Description: "Written to Git; waits for the cluster", LogURL: commitURL},
		gitops.RolloutSyncing:     {State: "in_progress", Description: "Written to Git; waits for the cluster", LogURL: commitURL},
		gitops.RolloutProgressing: {State: "in_progress", Description: "Written to Git; waits for the cluster", LogURL: commitURL},
		gitops.RolloutUnknown:     {State: "in_progress", Description: "Written to Git; waits for the cluster", LogURL: commitURL},
		gitops.RolloutPerson:      {State: "pending", Description: "Waits for a person: why", LogURL: placeURL},
		gitops.RolloutPaused:      {State: "pending", Description: "Waits for a person: why", LogURL: placeURL},
		gitops.RolloutHealthy:     {State: "success", Description: "Runs", LogURL: placeURL},
		gitops.RolloutDegraded:    {State: "failure", Description: "Does not run: why", LogURL: placeURL},
		gitops.RolloutSyncFailed:  {State: "failure", Description: "Could not be applied: why", LogURL: placeURL},
		gitops.RolloutTimedOut:    {State: "failure", Description: "Not known to run in time: why", LogURL: placeURL},
		gitops.RolloutSuperseded:  {State: "inactive", Description: "Replaced before it was known to run: why", LogURL: placeURL},
		gitops.RolloutGone:        {State: "inactive", Description: "What read its file was removed: why", LogURL: placeURL},
		gitops.RolloutUnmapped:    {State: "success", Description: "Written to Git; whether it runs is not known: why", LogURL: commitURL},
	} {
		t.Run(string(state), func(t *testing.T) {
			play(t, func(s *site) {
				s.followed = "prod"
				id := s.order("prod", "api", "1.0.0", sha)
				s.ends(id, gitops.ActionCommit, "")
				s.pass(time.Minute)
				s.expect("shop/api prod 1a2b3c4 1.0.0: in_progress")
				s.stands(id, gitops.Rollout{State: state, Reason: "why", Places: []gitops.RolloutPlace{{Name: "a", URL: "https://argocd.example/a", State: "another"}, {Name: "b", URL: placeURL, State: state}}})
				s.pass(time.Minute)
				states := "in_progress"
				if want.State != states {
					states += " " + want.State
				}
				s.expect("shop/api prod 1a2b3c4 1.0.0: " + states)
				d := s.hub.made[0]
				if diff := cmp.Diff(want, d.statuses[len(d.statuses)-1]); diff != "" {
					t.Error(diff)
				}
				s.hub.asked()
				s.pass(time.Hour)
				if calls := s.hub.asked(); len(calls) > 0 {
					t.Errorf("GitHub was asked although nothing happened: %v", calls)
				}
			})
		})
	}
	if states := gitops.RolloutStates(); len(states) != 13 {
		t.Errorf("there are %d states: the table lacks one", len(states))
	}
}

// What is known before GitHub is told is told as it is. An environment that is not followed, or
// not any more, has "success" for what is written, and one that was known to run keeps it.
func TestWhatIsKnownOfTheClusterFirst(t *testing.T) {
	for name, c := range map[string]struct {
		followed string
		action   gitops.Action
		rollout  gitops.Rollout
		want     githubapp.DeploymentStatus
	}{
		"it runs already":          {"prod", gitops.ActionCommit, gitops.Rollout{State: gitops.RolloutHealthy}, githubapp.DeploymentStatus{State: "success", Description: "Runs", LogURL: commitURL}},
		"it was healthy before":    {"", gitops.ActionCommit, gitops.Rollout{State: gitops.RolloutHealthy}, githubapp.DeploymentStatus{State: "success", Description: "Runs", LogURL: commitURL}},
		"it is unchanged":          {"prod", gitops.ActionConfirm, gitops.Rollout{State: gitops.RolloutProgressing, Reason: "1 of 3 pods is ready"}, githubapp.DeploymentStatus{State: "in_progress", Description: "Git had this tag already; waits for the cluster: 1 of 3 pods is ready"}},
		"the cluster does not say": {"prod", gitops.ActionCommit, gitops.Rollout{State: gitops.RolloutUnknown, Reason: "argocd.example does not answer"}, githubapp.DeploymentStatus{State: "in_progress", Description: "Written to Git; the cluster cannot be asked: argocd.example does not answer", LogURL: commitURL}},
		"another one is followed":  {"dev", gitops.ActionCommit, gitops.Rollout{}, githubapp.DeploymentStatus{State: "success", Description: "Written to Git", LogURL: commitURL}},
		"it is followed no longer": {"dev", gitops.ActionCommit, gitops.Rollout{State: gitops.RolloutProgressing}, githubapp.DeploymentStatus{State: "success", Description: "Written to Git", LogURL: commitURL}},
		"a page that GitHub refuses": {"prod", gitops.ActionCommit, gitops.Rollout{State: gitops.RolloutHealthy, Places: []gitops.RolloutPlace{{URL: "ftp://x", State: gitops.RolloutHealthy}}},
			githubapp.DeploymentStatus{State: "success", Description: "Runs", LogURL: commitURL}},
		"words that are too long": {"prod", gitops.ActionCommit, gitops.Rollout{State: gitops.RolloutDegraded, Reason: strings.Repeat("é", 200)},
			githubapp.DeploymentStatus{State: "failure", Description: "Does not run: " + strings.Repeat("é", 123) + "...", LogURL: commitURL}},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *site) {
				s.followed = c.followed
				id := s.order("prod", "api", "1.0.0", sha)
				s.ends(id, c.action, "")
				if c.rollout.State != "" {
					s.stands(id, c.rollout)
				}
				s.pass(time.Minute)
				s.expect("shop/api prod 1a2b3c4 1.0.0: " + c.want.State)
				if diff := cmp.Diff(c.want, s.hub.made[0].statuses[0]); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// What has ended without effect before GitHub was told has no Deployment.
func TestARolloutThatEndedWithoutEffect(t *testing.T) {
	for _, state := range []gitops.RolloutState{gitops.RolloutSuperseded, gitops.RolloutGone} {
		play(t, func(s *site) {
			s.followed = "prod"
			id := s.order("prod", "api", "1.0.0", sha)
			s.ends(id, gitops.ActionCommit, "")
			s.stands(id, gitops.Rollout{State: state})
			s.pass(time.Minute)
			s.expect()
		})
	}
}

// The one before stays the active one until the newer one runs, and does so where that fails.
// What was written before a newer one and failed says so.
func TestTheOneThatRunsIsTheActiveOne(t *testing.T) {
	play(t, func(s *site) {
		s.followed = "prod"
		var ids []string
		for n, state := range []gitops.RolloutState{gitops.RolloutHealthy, gitops.RolloutDegraded, gitops.RolloutProgressing, gitops.RolloutHealthy} {
			id := s.order("prod", "api", fmt.Sprint("1.0.", n), sha)
			s.ends(id, gitops.ActionCommit, "")
			s.pass(time.Minute)
			s.stands(id, gitops.Rollout{State: state})
			s.pass(time.Minute)
			if ids = append(ids, id); n == 1 {
				s.expect("shop/api prod 1a2b3c4 1.0.0: in_progress success", "shop/api prod 1a2b3c4 1.0.1: in_progress failure")
			}
		}
		s.stands(ids[2], gitops.Rollout{State: gitops.RolloutSuperseded})
		s.pass(time.Minute)
		s.expect("shop/api prod 1a2b3c4 1.0.0: in_progress success inactive", "shop/api prod 1a2b3c4 1.0.1: in_progress failure",
			"shop/api prod 1a2b3c4 1.0.2: in_progress inactive", "shop/api prod 1a2b3c4 1.0.3: in_progress success")
	})
	play(t, func(s *site) {
		s.followed = "prod"
		older := s.order("prod", "api", "1.0.0", sha)
		s.ends(older, gitops.ActionCommit, "")
		s.pass(time.Minute)
		s.hub.set(func() { s.hub.repositories[api] = gitops.Errorf(gitops.Unavailable, "away") })
		s.stands(older, gitops.Rollout{State: gitops.RolloutDegraded})
		s.ends(s.order("prod", "api", "1.0.1", sha), gitops.ActionCommit, "")
		s.pass(time.Minute)
		s.hub.set(func() { s.hub.repositories = map[string]error{} })
		s.pass(10 * time.Minute)
		s.expect("shop/api prod 1a2b3c4 1.0.0: in_progress failure", "shop/api prod 1a2b3c4 1.0.1: in_progress")
	})
}

// After its pull request an update may wait for a person in the cluster: both are pending, and
// lead elsewhere.
func TestPendingInTheClusterAfterAPullRequest(t *testing.T) {
	play(t, func(s *site) {
		s.followed = "prod"
		id := s.order("prod", "api", "1.0.0", sha)
		s.ends(id, gitops.ActionPropose, "")
		s.pass(time.Minute)
		s.ends(id, gitops.ActionCommit, "")
		s.stands(id, gitops.Rollout{State: gitops.RolloutPerson, Places: []gitops.RolloutPlace{{URL: placeURL, State: gitops.RolloutPerson}}})
		s.pass(time.Minute)
		s.expect("shop/api prod 1a2b3c4 1.0.0: pending pending")
	})
}

// rollouts plays updates whose rollouts end in each way, and returns what GitHub is to show in
// the end besides what is inactive.
func (s *site) rollouts() (want []string) {
	s.followed = "prod"
	runs, fails := s.order("prod", "api", "1.0.0", sha), s.order("prod", "web", "1.0.0", sha)
	s.ends(runs, gitops.ActionCommit, "")
	s.ends(fails, gitops.ActionCommit, "")
	for _, state := range []gitops.RolloutState{gitops.RolloutWaiting, gitops.RolloutPerson, gitops.RolloutProgressing} {
		s.stands(runs, gitops.Rollout{State: state})
		s.stands(fails, gitops.Rollout{State: state})
		s.pass(30 * time.Second)
	}
	s.stands(runs, gitops.Rollout{State: gitops.RolloutHealthy})
	s.stands(fails, gitops.Rollout{State: gitops.RolloutDegraded, Reason: "a pod crashes"})
	s.pass(time.Hour)
	return []string{"shop/api prod 1a2b3c4 1.0.0: success", "shop/web prod 1a2b3c4 1.0.0: failure"}
}

// Each call that fails in a rollout, done or not, is made again, and once when it was done.
func TestEachCallOfARolloutThatFails(t *testing.T) {
	for _, done := range []bool{false, true} {
		for n := range 18 {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				s.hub.faults = make([]fault, n+1)
				s.hub.faults[n] = fault{gitops.Errorf(gitops.Unavailable, "it fails"), done}
				defer s.start("this")()
				if diff := cmp.Diff(s.rollouts(), s.ended()); diff != "" {
					t.Errorf("call %d, done %t: %s", n, done, diff)
				}
				if s.repeated() {
					t.Errorf("call %d, done %t: a status was set twice: %q", n, done, s.hub.shown())
				}
				s.check()
			})
		}
	}
}

// A replica that follows after another told of a rollout tells its end, once.
func TestARolloutIsToldByTwoReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.followed = "prod"
		stop := s.start("first")
		id := s.order("prod", "api", "1.0.0", sha)
		s.ends(id, gitops.ActionCommit, "")
		s.stands(id, gitops.Rollout{State: gitops.RolloutProgressing})
		s.pass(time.Minute)
		stop()
		s.stands(id, gitops.Rollout{State: gitops.RolloutHealthy})
		defer s.start("second")()
		s.pass(time.Minute)
		s.expect("shop/api prod 1a2b3c4 1.0.0: in_progress success")
		s.check()
	})
}
