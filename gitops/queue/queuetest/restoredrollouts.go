package queuetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// followedBefore is what a store said of rollouts before it was restored.
type followedBefore struct {
	updates []gitops.Update // with their steps
	open    []gitops.Update
	head    gitops.Head
}

// someRollouts writes updates in a lane of their own. The first runs, another was superseded,
// and the last two are on their way.
func someRollouts(t *testing.T, q queue.Queue) followedBefore {
	t.Helper()
	ctx := t.Context()
	claimed, err := q.Claim(ctx, "holder", []string{"prod"}, time.Hour)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("Claim: %+v, %v", claimed, err)
	}
	var reports []queue.RolloutReport
	for i, state := range []gitops.RolloutState{gitops.RolloutHealthy, gitops.RolloutSuperseded, gitops.RolloutPerson, gitops.RolloutSyncing} {
		d, _, err := q.Accept(ctx, gitops.Delivery{Source: "rolled out", ID: string(state), ReceivedAt: time.Now(), Outcome: gitops.OutcomeAccepted,
			Updates: []gitops.Update{{Environment: "prod", App: []string{"api", "web"}[i%2], Tag: "main-1a2b3c4"}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.Report(ctx, claimed[0], queue.Report{Transitions: []gitops.Transition{committed(d.Updates[0])}}); err != nil {
			t.Fatal(err)
		}
		rollout := gitops.Rollout{State: state, Reason: "a reason", Deadline: time.Now().Add(time.Hour), By: "argocd", Revision: commit, Places: []gitops.RolloutPlace{{Name: "shop/argocd/api", State: state}}}
		reports = append(reports, queue.RolloutReport{Update: d.Updates[0].ID, Rollout: rollout})
	}
	if _, err := q.ReportRollouts(ctx, queue.Lease{}, reports); err != nil {
		t.Fatal(err)
	}
	if err := q.Release(ctx, claimed[0], true); err != nil {
		t.Fatal(err)
	}
	before := rolloutsOf(t, q)
	if len(before.updates) != 4 || len(before.open) != 2 || before.head.HealthyID == "" || len(before.updates[0].Steps) != 2 {
		t.Fatalf("before the restore: %+v", before)
	}
	return before
}

// rolloutsOf is what a store says of rollouts.
func rolloutsOf(t *testing.T, q queue.Queue) (found followedBefore) {
	t.Helper()
	listed, _, err := q.Updates(t.Context(), queue.UpdateFilter{Environment: "prod"}, queue.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range slices.Backward(listed) {
		if u.Rollout == nil {
			continue
		}
		if u, err = q.Update(t.Context(), u.ID); err != nil {
			t.Fatal(err)
		}
		found.updates = append(found.updates, u)
	}
	if found.open, err = q.OpenRollouts(t.Context()); err == nil {
		found.head, err = q.Head(t.Context(), "prod", "api")
	}
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// check fails unless the store says the same, by its own sequences.
func (before followedBefore) check(t *testing.T, q queue.Queue) {
	t.Helper()
	after := rolloutsOf(t, q)
	options := cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreFields(gitops.Update{}, "Sequence"), cmpopts.IgnoreFields(gitops.Head{}, "Written", "Healthy"), cmp.AllowUnexported(followedBefore{})}
	if diff := cmp.Diff(before, after, options); diff != "" {
		t.Errorf("rollouts: -before +after:\n%s", diff)
	}
	if after.head.Healthy != after.updates[0].Sequence {
		t.Errorf("the head runs %d, which is update %+v", after.head.Healthy, after.updates[0])
	}
}
