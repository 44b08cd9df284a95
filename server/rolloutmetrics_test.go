package server

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/argocd"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/follow"
)

// What a follower and a request that are ending say of what is not followed any more makes no
// series: an Argo CD that was away when it was removed would be away for ever.
func TestSeriesOfWhatIsNotFollowedAnyMore(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := newRolloutMetrics(registry)
	client, err := argocd.New(argocd.Config{URL: "https://argocd.example", TokenFile: "/t", Projects: []string{"myshop"}})
	if err != nil {
		t.Fatal(err)
	}
	followed := &generation{argoCDs: argoCDs{{client: client}}}
	followed.config.Environments = map[string]config.Environment{"dev": {Rollout: config.Rollout{By: config.ByArgoCD}}}
	not := &generation{}
	not.config.Environments = map[string]config.Environment{"dev": {Rollout: config.Rollout{By: "none"}}}
	say := func() {
		m.Ended(gitops.Update{Environment: "dev"}, gitops.Rollout{State: gitops.RolloutHealthy})
		m.Open(map[follow.Standing]int{{Environment: "dev", State: gitops.RolloutWaiting}: 1})
		m.Refreshed("argocd.example", follow.Causes()[0])
		m.Away("argocd.example", true)
		m.ArgoCDRequest("argocd.example", "ok")
		m.ArgoCDTokenExpires("argocd.example", time.Now())
	}
	series := func() map[string]float64 { return gather(t, &Server{metrics: &metrics{registry: registry}}) }
	m.know(nil, followed)
	say()
	if now := series(); now[`tallyman_argocd_away{argocd="argocd.example"}`] != 1 || now[`tallyman_rollouts_total{environment="dev",outcome="healthy"}`] != 1 || now[`tallyman_argocd_requests_total{argocd="argocd.example",result="ok"}`] != 1 {
		t.Errorf("%v", now)
	}
	m.know(followed, not)
	say()
	if now := series(); len(now) != 0 {
		t.Errorf("%v", now)
	}
	m.know(not, followed)
	say()
	if now := series(); now[`tallyman_argocd_away{argocd="argocd.example"}`] != 1 {
		t.Errorf("%v", now)
	}
}
