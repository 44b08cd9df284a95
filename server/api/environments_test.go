package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// An environment shows what is ready and held, its outage, and the lane that a
// removed environment still has.
func TestEnvironmentsShowTheirLanes(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 1, 2, 12, minute, 0, 0, time.UTC) }
	o := pendingOffice()
	o.backlogs = []queue.Backlog{
		{Environment: "gone", Held: map[gitops.BlockKind]int{gitops.BlockStale: 1}},
		{Environment: "empty", Held: map[gitops.BlockKind]int{gitops.BlockStale: 0}, LastProgress: at(1)},
		{Environment: "prod", Pending: 2, Held: map[gitops.BlockKind]int{gitops.BlockRefused: 3, gitops.BlockStale: 0}, Oldest: at(2), Holder: "a", LastProgress: at(3), LastSuccess: at(1),
			Outage: &queue.Outage{Code: gitops.Unavailable, Reason: "connection failed", RetryAt: at(9)}, OutageSince: at(4)},
		{Environment: "away", Pending: 1, Oldest: at(5)},
		{Environment: "dev", Proposed: 2, OldestProposed: at(8)},
		{Environment: "closing", Proposed: 1, OldestProposed: at(9)},
	}
	o.failures = []queue.Failure{{Environment: "prod", App: "api", Count: 2, Oldest: at(7)}, {Environment: "prod", App: "web", Count: 1, Oldest: at(6)}, {Environment: "nowhere", App: "api", Count: 9}}
	rollout := gitops.Rollout{State: gitops.RolloutDegraded, Reason: "a pod crashes", Since: at(9), By: "argocd"}
	for _, app := range []string{"aaa", "api", "zzz"} { // the others are not known
		o.rolling = append(o.rolling, gitops.Update{ID: "of " + app, Environment: "dev", App: app, Tag: "v1", Rollout: &rollout})
	}
	shared := o.BranchTags(t.Context(), at(0)).Apps["dev"]
	a := New(Config{Freezes: o.frozen, Store: o, Manifests: o, Access: o.list(t), Authenticators: []Authenticator{o}, Environments: []string{"dev", "prod"}})
	req := httptest.NewRequest(http.MethodGet, "/api/v1/environments", nil)
	req.Header.Set("Authorization", "Bearer x")
	_, answer, err := a.allow(gitops.RightRead, a.environments)(nil, req)
	if err != nil {
		t.Fatal(err)
	}
	want := Environments{
		Branch: BranchState{Problem: "connection failed"},
		Environments: []Environment{
			{Name: "dev", Lane: Lane{Proposed: &Proposals{Updates: 2, Oldest: at(8)}}, Apps: []App{{App: "api", File: "dev.yaml", Tag: "v1",
				Rollout: &AppRollout{Update: "of api", Tag: "v1", State: gitops.RolloutDegraded, Reason: "a pod crashes", Since: at(9)}}}},
			{Name: "prod", Apps: []App{}, Lane: Lane{Ready: 2, Held: map[gitops.BlockKind]int{gitops.BlockRefused: 3}, Oldest: at(2), LastProgress: at(3), LastSuccess: at(1), Holder: "a",
				Failed: &Failed{Updates: 3, Oldest: at(6), Apps: []string{"api", "web"}},
				Outage: &Outage{Code: gitops.Unavailable, Reason: "connection failed", Since: at(4), RetryAt: at(9)}}},
			{Name: "away", Removed: true, Apps: []App{}, Lane: Lane{Ready: 1, Oldest: at(5)}},
			{Name: "closing", Removed: true, Apps: []App{}, Lane: Lane{Proposed: &Proposals{Updates: 1, Oldest: at(9)}}},
			{Name: "gone", Removed: true, Apps: []App{}, Lane: Lane{Held: map[gitops.BlockKind]int{gitops.BlockStale: 1}}},
		},
	}
	if diff := cmp.Diff(want, answer); diff != "" {
		t.Error(diff)
	}
	if added := (appRollouts{"dev": o.rolling}).addTo("dev", shared); shared[0].Rollout != nil || added[0].Rollout == nil {
		t.Errorf("the tags that are shared were changed: %+v", shared)
	}
}
