package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/expr-lang/expr"
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

// checkAnalysis compiles what an analysis asks and how it judges.
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
		if _, err := parsePromQL(query); err != nil {
			t.Errorf("%s: %v", name(m.raw), err)
		}
		for result, want := range map[float64]bool{1: true, 0.99: true, 0.98: false} {
			if got, err := expr.Eval(metric.SuccessCondition, map[string]any{"result": []float64{result}}); err != nil || got != want {
				t.Errorf("%s judges %g as %v (%v)", name(m.raw), result, got, err)
			}
		}
	}
}
