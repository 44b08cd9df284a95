package server

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// gather returns tallyman's own series with their values; of a histogram, how
// many observations it has.
func gather(t *testing.T, s *Server) map[string]float64 {
	t.Helper()
	families, err := s.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]float64{}
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "tallyman_") {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			name := family.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			series[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return series
}

// Dashboards and alerts are written against these names. Each is there from the
// start, so that a rate over the first event is not lost.
var update = flag.Bool("update", false, "write the series at the start anew, into testdata/series.txt")

func TestMetricsAtTheStart(t *testing.T) {
	s := newSite(t)
	s.inspectProd("")
	s.edit("environments:\n  dev: {", "environments:\n  dev: {rollout: {by: reports}, ")
	s.must(s.git.Close()) // so that nothing happens by itself
	r := s.start()
	series := gather(t, r.Server)
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(series)) {
		fmt.Fprintf(&text, "%s\n", strings.ReplaceAll(name, s.dir, "DIR"))
		switch value := series[name]; {
		case strings.HasPrefix(name, "tallyman_build_info"):
			if value != 1 {
				t.Errorf("%s is %v", name, value)
			}
		case name == "tallyman_config_loaded_timestamp_seconds": // just now
		case strings.HasPrefix(name, "tallyman_apps{"): // those of the configuration
		case name == "tallyman_memory_limit_bytes":
			if value != float64(r.Memory().Memory) {
				t.Errorf("%s is %v", name, value)
			}
		case strings.HasPrefix(name, "tallyman_store_"): // it is there, and the lanes were claimed
			if value == 0 {
				t.Errorf("%s is 0", name)
			}
		case value != 0:
			t.Errorf("%s is %v at the start", name, value)
		}
	}
	if *update {
		s.must(os.WriteFile("testdata/series.txt", []byte(text.String()), 0o600))
	}
	golden, err := os.ReadFile("testdata/series.txt")
	s.must(err)
	if diff := cmp.Diff(string(golden), text.String()); diff != "" {
		t.Error(diff)
	}
	page := r.admin("/metrics")
	for _, want := range []string{"# HELP tallyman_deliveries_total ", "# TYPE tallyman_update_seconds histogram", "go_goroutines ", "process_open_fds "} {
		if page.StatusCode != 200 || !strings.Contains(page.body, want) {
			t.Errorf("%s: /metrics has no %q", page.Status, want)
		}
	}
}

// Whatever is sent, no name of it becomes a label, and the number of series stays
// what the routes, methods and codes make it.
func TestLabelsAreClosedSets(t *testing.T) {
	s := newSite(t)
	s.must(s.git.Close())
	r := s.start()
	sendOdd := func(round int) {
		for i := range 20 {
			odd := fmt.Sprintf("odd-%d-%d", round, i)
			r.do(r.request("ODD"+strings.Repeat("X", 20*round+i), "/webhooks/github", ""))
			r.do(r.request("POST", "/"+odd+"/webhooks", ""))
			r.do(r.request("GET", "/webhooks/"+odd+"?path="+odd, ""))
			r.do(r.github(oldSecret, odd, order(odd, "dev", "main-1a2b3c4")))
			r.do(r.github(oldSecret, odd+".2", order("api", odd, "main-1a2b3c4")))
			r.do(r.github(oldSecret, odd+".3", order("api", "dev", odd)))
			r.do(r.github(oldSecret, odd+".4", order("api", "dev", fmt.Sprintf("main-%07x", 1000*round+i))))
			r.do(r.github(odd, odd+".5", "{}"))
			r.do(r.ecr(bridgeSecret, push(odd, odd)))
		}
	}
	sendOdd(1)
	first := gather(t, r.Server)
	sendOdd(2)
	second := gather(t, r.Server)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(first)), slices.Sorted(maps.Keys(second))); diff != "" {
		t.Errorf("the second round made new series:\n%s", diff)
	}
	label := regexp.MustCompile(`(\w+)="([^"]*)"`)
	allowed := map[string][]string{
		"source": {"github", "eventbridge", "api"}, "environment": {"dev", "prod"},
		"outcome": append(webhook.Outcomes(), "committed", "unchanged", "superseded", "failed", "closed", "cancelled", "landed", "conflict"),
		"kind":    {"refused", "stale", "image", "proposal", "pin", "freeze", "stop", "bad", "file", "past", "pack"}, "credential": {"valid", "invalid"}, "cause": {"repository", "store"},
		"repository": {"default"},
		"listener":   {"listen", "adminListen", "probeListen"}, "reason": {"limit", "address_limit", "sender_limit", "store_nearly_full", "no_commit", "refused", "too_old"},
		"route": {"/webhooks/github", "/webhooks/ecr", "none"}, "method": {"GET", "POST", "other"},
		"token": {"ops", "board"}, "file": {s.dir + "/api-token", s.dir + "/read-token"}, // as configured
		"code": {"200", "202", "400", "401", "404", "405", "422"}, "version": {"1.2.3"}, "revision": {"c0ffee"}, "goversion": {"go1"},
	}
	for name := range second {
		for _, m := range label.FindAllStringSubmatch(name, -1) {
			if !slices.Contains(allowed[m[1]], m[2]) {
				t.Errorf("%s has the label %s", name, m[0])
			}
		}
	}
	for name, want := range map[string]float64{
		`tallyman_deliveries_total{outcome="accepted",source="github"}`:                    40,
		`tallyman_deliveries_total{outcome="rejected",source="github"}`:                    120,
		`tallyman_deliveries_total{outcome="unauthorized",source="github"}`:                40,
		`tallyman_deliveries_total{outcome="ignored",source="eventbridge"}`:                40,
		`tallyman_http_request_seconds{code="202",method="POST",route="/webhooks/github"}`: 40,
		`tallyman_http_request_seconds{code="422",method="POST",route="/webhooks/github"}`: 120,
		`tallyman_http_request_seconds{code="401",method="POST",route="/webhooks/github"}`: 40,
		`tallyman_http_request_seconds{code="200",method="POST",route="/webhooks/ecr"}`:    40,
		`tallyman_http_request_seconds{code="404",method="POST",route="none"}`:             40,
		`tallyman_http_request_seconds{code="404",method="GET",route="none"}`:              40,
		`tallyman_http_request_seconds{code="405",method="other",route="none"}`:            40,
		`tallyman_pending_updates{environment="dev"}`:                                      40,
		`tallyman_pending_updates{environment="prod"}`:                                     0,
		`tallyman_oldest_pending_seconds{environment="prod"}`:                              0,
	} {
		if got, there := second[name]; !there || got != want {
			t.Errorf("%s is %v (there: %t), want %v", name, got, there, want)
		}
	}
	if oldest := second[`tallyman_oldest_pending_seconds{environment="dev"}`]; oldest <= 0 {
		t.Errorf("the oldest waits for %v s", oldest)
	}
}

// heldReader is a store in which updates are held, and some have failed.
type heldReader struct{ queue.Reader }

func (heldReader) Backlogs(context.Context) ([]queue.Backlog, error) {
	return []queue.Backlog{{
		Environment: "dev", Pending: 2, Proposed: 4, Held: map[gitops.BlockKind]int{gitops.BlockStale: 3, gitops.BlockFreeze: 5},
		LastProgress: time.UnixMilli(2_500), LastSuccess: time.UnixMilli(1_500),
	}}, nil
}

func (heldReader) Failures(context.Context) ([]queue.Failure, error) {
	return []queue.Failure{{Environment: "dev", App: "api", Count: 2}, {Environment: "dev", App: "web", Count: 1}, {Environment: "gone", App: "api", Count: 4}}, nil
}

// What is held is counted apart from what is pending, by kind, and makes the oldest
// no older. Success is not progress.
func TestStatesOfLanes(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(&laneStates{reader: heldReader{}, environments: func() []string { return []string{"dev"} }})
	want := map[string]float64{
		`tallyman_pending_updates{environment="dev"}`: 2, `tallyman_oldest_pending_seconds{environment="dev"}`: 0,
		`tallyman_held_updates{environment="dev",kind="stale"}`: 3, `tallyman_held_updates{environment="dev",kind="refused"}`: 0,
		`tallyman_held_updates{environment="dev",kind="pin"}`: 0, `tallyman_held_updates{environment="dev",kind="freeze"}`: 5,
		`tallyman_held_updates{environment="dev",kind="stop"}`: 0, `tallyman_held_updates{environment="dev",kind="bad"}`: 0,
		`tallyman_held_updates{environment="dev",kind="image"}`: 0, `tallyman_held_updates{environment="dev",kind="proposal"}`: 0,
		`tallyman_proposals_open{environment="dev"}`: 4, `tallyman_proposal_age_seconds{environment="dev"}`: 0,
		`tallyman_failed_updates{environment="dev"}`:                       3,
		`tallyman_lane_last_progress_timestamp_seconds{environment="dev"}`: 2.5,
		`tallyman_lane_last_success_timestamp_seconds{environment="dev"}`:  1.5,
	}
	if diff := cmp.Diff(want, gather(t, &Server{metrics: &metrics{registry: registry}})); diff != "" {
		t.Error(diff)
	}
}

// When the store does not answer, what waits is unknown, and not 0; everything
// else is still told.
func TestBacklogOfAStoreThatIsGone(t *testing.T) {
	r := newSite(t).start()
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	series := gather(t, r.Server)
	for name := range series {
		if strings.Contains(name, "pending") || strings.Contains(name, "held") {
			t.Errorf("%s is there", name)
		}
	}
	if _, ok := series[`tallyman_updates_total{environment="dev",outcome="failed"}`]; !ok {
		t.Error("the others are not there")
	}
	if page := r.admin("/metrics"); page.StatusCode != 200 {
		t.Errorf("/metrics: %s", page.Status)
	}
}

// What the parts count arrives under the right name.
func TestRecorders(t *testing.T) {
	s, err := newSite(t).newServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(t.Context()) })
	m := s.metrics
	m.lanes.Finished("dev", gitops.Committed, 0.5)
	m.deliveries.Finished("dev", gitops.Superseded, 0)
	m.lanes.Finished("dev", gitops.Failed, 7)
	m.repositories.pushes("default").Pushed("conflict", 1e9, 3)
	m.repositories.pushes("default").Pushed("landed", 1e9, 3)
	m.repositories.pushes("gone").Pushed("landed", 1e9, 3) // of a configuration before
	m.repositories.Away(s.current().repositories["default"].lanes, 2e9)
	m.lanes.BackingOff("prod", lane.CauseStore, 1.5e9)
	m.store.Committed(3, 1e6)
	series := gather(t, s)
	for name, want := range map[string]float64{
		`tallyman_updates_total{environment="dev",outcome="committed"}`:  1,
		`tallyman_updates_total{environment="dev",outcome="failed"}`:     1,
		`tallyman_updates_total{environment="dev",outcome="superseded"}`: 1,
		`tallyman_update_seconds{environment="dev"}`:                     1, // only of what is on the branch
		`tallyman_push_seconds{outcome="conflict",repository="default"}`: 1,
		`tallyman_repository_backoff{repository="default"}`:              2,
		`tallyman_push_seconds{outcome="landed",repository="default"}`:   1,
		`tallyman_push_conflicts_total{repository="default"}`:            1,
		`tallyman_lane_backoff{cause="store",environment="prod"}`:        1.5,
		`tallyman_lane_backoff{cause="repository",environment="prod"}`:   0,
		`tallyman_store_commit_seconds`:                                  1,
	} {
		if series[name] != want {
			t.Errorf("%s is %v, want %v", name, series[name], want)
		}
	}
}
