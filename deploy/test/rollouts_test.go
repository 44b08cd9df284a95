package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/expr-lang/expr"
	"sigs.k8s.io/yaml"
)

// TestRollouts lays each variant into the example's chart, as its README says,
// and holds what it renders against the definitions of Argo Rollouts.
func TestRollouts(t *testing.T) {
	for _, test := range []struct{ variant, service string }{{"canary", "tallyman-canary"}, {"bluegreen", "tallyman-preview"}} {
		t.Run(test.variant, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(filepath.Join(example, "charts/myshop-api"))); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"deployment.yaml", "service.yaml"} {
				if err := os.Remove(filepath.Join(dir, "templates", file)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.CopyFS(filepath.Join(dir, "templates"), os.DirFS("../rollouts/"+test.variant)); err != nil {
				t.Fatal(err)
			}
			manifests := decode(t, render(t, dir, filepath.Join(dir, "values-prod.yaml"), "--values", "../rollouts/values-rollout.yaml"))
			rollouts := objects(manifests, "Rollout")
			if len(rollouts) != 1 || len(objects(manifests, "Deployment")) > 0 {
				t.Fatalf("it renders %d Rollouts", len(rollouts))
			}
			pod, _ := rollouts[0].pod(t)
			checkRestricted(t, pod)
			checkSelected(t, pod, manifests)
			there := make(map[string]bool)
			for _, m := range manifests {
				there[name(m.raw)] = true
			}
			each(rollouts[0].raw, func(key string, value any) {
				kind := map[string]string{"stableService": "Service", "canaryService": "Service", "rootService": "Service", "activeService": "Service",
					"previewService": "Service", "ingress": "Ingress", "templateName": "AnalysisTemplate"}[key]
				if named := fmt.Sprintf("%s %v", kind, value); kind != "" && !there[named] {
					t.Errorf("%s is not there", named)
				}
			})
			if !there["Service "+test.service] {
				t.Errorf("there is no Service %s among %v", test.service, there)
			}
			for _, m := range objects(manifests, "AnalysisTemplate") {
				checkAnalysis(t, m)
			}
		})
	}
}

// checkAnalysis sees what an analysis finds and how it judges.
func checkAnalysis(t *testing.T, m manifest) {
	t.Helper()
	var a struct {
		Spec struct {
			Metrics []struct {
				SuccessCondition string
				Provider         struct{ Prometheus *struct{ Query string } }
			}
		}
	}
	convert(t, m.raw, &a)
	for _, metric := range a.Spec.Metrics {
		if metric.Provider.Prometheus == nil {
			continue
		}
		query := strings.ReplaceAll(metric.Provider.Prometheus.Query, "{{args.hash}}", "5c6d7f")
		if strings.Contains(query, "{{") {
			t.Errorf("%s asks %s", name(m.raw), query)
		}
		checkSuccessRate(t, query)
		for result, want := range map[float64]bool{1: true, 0.99: true, 0.98: false} {
			if got, err := expr.Eval(metric.SuccessCondition, map[string]any{"result": []float64{result}}); err != nil || got != want {
				t.Errorf("%s judges %g as %v (%v)", name(m.raw), result, got, err)
			}
		}
	}
}

// checkSuccessRate has a Prometheus say what the query finds.
func checkSuccessRate(t *testing.T, query string) {
	t.Helper()
	const series = `http_requests_total{namespace="tallyman",pod="tallyman-5c6d7f-x1",code="%s"}`
	type sample = map[string]any
	var tests []any
	for _, test := range []struct {
		requests map[string]string
		rate     float64
	}{
		{nil, 1},
		{map[string]string{"200": "0+60x10"}, 1},
		{map[string]string{"200": "0+45x10", "503": "0+15x10"}, 0.75},
		{map[string]string{"503": "0+60x10"}, 0}, // it never answered anything else
		{map[string]string{"200": "60+0x10"}, 1}, // nobody asks any more
	} {
		input := []sample{}
		for code, values := range test.requests {
			input = append(input, sample{"series": fmt.Sprintf(series, code), "values": values})
		}
		tests = append(tests, sample{"input_series": input, "promql_expr_test": []sample{
			{"expr": query, "eval_time": "10m", "exp_samples": []sample{{"value": test.rate, "labels": "{}"}}}}})
	}
	text, err := yaml.Marshal(map[string]any{"evaluation_interval": "1m", "tests": tests})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{"analysis.test.yaml": string(text)})
	run(t, tool(t, "promtool", "test", "rules", filepath.Join(dir, "analysis.test.yaml")))
}
