package server

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What rooms count of pull requests arrives under the right name, and what they may count is
// there from the start: nothing where no environment is written by pull requests.
func TestProposalsAreCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := newProposalMetrics(registry)
	series := func() map[string]float64 { return gather(t, &Server{metrics: &metrics{registry: registry}}) }
	if m.know(nil); len(series()) > 0 {
		t.Errorf("without such an environment there is %v", series())
	}
	m.know([]string{"prod"})
	start := series()
	for name, value := range start {
		if value != 0 {
			t.Errorf("%s is %v at the start", name, value)
		}
	}
	for _, how := range []string{"merged", "closed", "confirmed", "cancelled", "superseded", "failed", "merged"} {
		m.Ended("prod", how)
	}
	m.Request("ok")
	for _, code := range gitops.Codes() {
		m.Request(string(code))
	}
	m.Open("prod", 7, time.Now())
	if now := series(); len(now) != len(start) || now[`tallyman_proposals_ended_total{environment="prod",outcome="merged"}`] != 2 ||
		now[`tallyman_forge_requests_total{outcome="rate_limited"}`] != 1 || slices.Min(slices.Collect(maps.Values(now))) != 1 {
		t.Errorf("there is %v", now)
	}
	m.RateLeft("shop", 4711)
	if now := series(); now[`tallyman_forge_requests_left{repository="shop"}`] != 4711 || strings.Contains(strings.Join(slices.Collect(maps.Keys(now)), ""), "app=") {
		t.Errorf("there is %v", now)
	}
}
