package queuetest

import (
	"context"
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// rollOut has two say at once how the rollouts of what was written ended, on two views and
// against each other: each update has one verdict.
func (r *race) rollOut(written []gitops.Transition) {
	var both sync.WaitGroup
	for i, state := range []gitops.RolloutState{gitops.RolloutHealthy, gitops.RolloutDegraded} {
		var reports []queue.RolloutReport
		for _, t := range written {
			if t.Action == gitops.ActionCommit {
				reports = append(reports, queue.RolloutReport{Update: t.Update, Rollout: gitops.Rollout{State: state}})
			}
		}
		both.Go(func() {
			if _, err := r.views[i%len(r.views)].ReportRollouts(context.Background(), queue.Lease{}, reports); err != nil {
				r.t.Errorf("ReportRollouts: %v", err)
			}
		})
	}
	both.Wait()
}

// rolledOut checks how the rollouts of a lane's updates ended.
func (r *race) rolledOut(all []gitops.Update) {
	healthy := make(map[string]gitops.Update) // the newest, by app
	for _, u := range all {
		got, err := r.views[0].Update(r.t.Context(), u.ID)
		if err != nil {
			r.t.Fatal(err)
		}
		verdicts := 0
		for _, step := range got.Steps {
			if step.Rollout != "" {
				verdicts++
			}
		}
		if verdicts > 1 || (verdicts == 1) != (got.Rollout != nil) || got.Rollout != nil && !got.State.Written() {
			r.t.Errorf("update %s has %d verdicts, and is %s: %+v", u.ID, verdicts, got.State, got.Rollout)
		}
		if got.Rollout != nil && got.Rollout.State == gitops.RolloutHealthy && u.Sequence > healthy[u.App].Sequence {
			healthy[u.App] = u
		}
	}
	for app, u := range healthy {
		head, err := r.views[0].Head(r.t.Context(), u.Environment, app)
		if err != nil || head.Healthy != u.Sequence || head.HealthyID != u.ID || head.HealthyTag != u.Tag {
			r.t.Errorf("the newest update of %s in %s that runs is %s, and the head %+v: %v", app, u.Environment, u.ID, head, err)
		}
	}
	open, err := r.views[0].OpenRollouts(r.t.Context())
	if err != nil || len(open) > 0 {
		r.t.Errorf("still on its way: %+v, %v", open, err)
	}
}
