package gitops_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

// An update as one of its steps left it: what later ones did is taken back, and a step of the
// rollout takes back nothing of what the update became.
func TestAsOf(t *testing.T) {
	now := gitops.Update{
		ID: "u1", State: gitops.Committed, Commit: "c0ffee", Attempts: 5, FinishedAt: noon, MaybePushed: true,
		BlockedBy: []gitops.Block{{Kind: gitops.BlockRefused}}, Steps: []gitops.Step{{}},
		Rollout: &gitops.Rollout{State: gitops.RolloutHealthy, Since: noon, By: "argocd"},
	}
	for name, c := range map[string]struct {
		step  gitops.Step
		later int
		want  gitops.Update
	}{
		"refused": {gitops.Step{State: gitops.Pending, Reason: "protected", At: noon.Add(-time.Hour)}, 3,
			gitops.Update{ID: "u1", State: gitops.Pending, Reason: "protected", Attempts: 2, Rollout: now.Rollout}},
		"failed": {gitops.Step{State: gitops.Failed, Code: gitops.NotFound, Reason: "no such file", At: noon.Add(-time.Hour)}, 1,
			gitops.Update{ID: "u1", State: gitops.Failed, Code: gitops.NotFound, Reason: "no such file", Attempts: 4, FinishedAt: noon.Add(-time.Hour), Rollout: now.Rollout}},
		"waiting in the cluster": {gitops.Step{State: gitops.Committed, Rollout: gitops.RolloutWaiting, Reason: "runs v1", At: noon.Add(time.Hour)}, 0,
			gitops.Update{ID: "u1", State: gitops.Committed, Commit: "c0ffee", Attempts: 5, FinishedAt: noon,
				Rollout: &gitops.Rollout{State: gitops.RolloutWaiting, Reason: "runs v1", Since: noon, By: "argocd"}}},
	} {
		if diff := cmp.Diff(c.want, now.AsOf(c.step, c.later)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	if now.Rollout.State != gitops.RolloutHealthy {
		t.Errorf("the update itself was changed: %+v", now.Rollout)
	}
}

func TestHeadRuns(t *testing.T) {
	head := gitops.Head{App: "api", Written: 3, WrittenID: "u3"}.Run(gitops.Update{ID: "u2", Sequence: 2, Tag: "v2"})
	want := gitops.Head{App: "api", Written: 3, WrittenID: "u3", Healthy: 2, HealthyID: "u2", HealthyTag: "v2"}
	if diff := cmp.Diff(want, head.Run(gitops.Update{ID: "u1", Sequence: 1, Tag: "v1"})); diff != "" {
		t.Errorf("an older one that runs took the newest one's place: -want +got:\n%s", diff)
	}
	if got := head.Run(gitops.Update{ID: "u3", Sequence: 3, Tag: "v3"}); got.Healthy != 3 || got.HealthyID != "u3" || got.HealthyTag != "v3" {
		t.Errorf("after a newer one ran the head is %+v", got)
	}
}

// Every state is either final or goes on, and what has failed is final.
func TestRolloutStates(t *testing.T) {
	for _, s := range gitops.RolloutStates() {
		if s.Failed() && !s.Final() || s.Stands() && s.Final() {
			t.Errorf("%s: failed %t, stands %t, final %t", s, s.Failed(), s.Stands(), s.Final())
		}
	}
	for s, final := range map[gitops.RolloutState]bool{"": false, gitops.RolloutWaiting: false, gitops.RolloutHealthy: true, gitops.RolloutSuperseded: true, gitops.RolloutUnknown: false} {
		if s.Final() != final {
			t.Errorf("%q is final: %t", s, s.Final())
		}
	}
}
