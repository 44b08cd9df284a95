package test

import (
	"slices"
	"strings"
	"testing"

	"github.com/expr-lang/expr"
	"sigs.k8s.io/yaml"
)

// app is an Application as the notifications' templates and triggers see it.
func app(phase, health string) map[string]any {
	return map[string]any{
		"metadata": map[string]any{"name": "myshop-api-dev"},
		"status": map[string]any{
			"operationState": map[string]any{"phase": phase, "syncResult": map[string]any{"revision": "1a2b3c4"}},
			"health":         map[string]any{"status": health},
		},
	}
}

// TestNotifications runs the triggers and the templates as Argo CD does.
func TestNotifications(t *testing.T) {
	var v argoValues
	if err := yaml.Unmarshal([]byte(read(t, "argocd/values.yaml")), &v); err != nil {
		t.Fatal(err)
	}
	fires := func(trigger string, app map[string]any) string {
		var conditions []struct {
			When, OncePer string
			Send          []string
		}
		if err := yaml.UnmarshalStrict([]byte(v.Notifications.Triggers["trigger."+trigger]), &conditions); err != nil {
			t.Fatal(err)
		}
		for _, c := range conditions {
			for _, send := range c.Send {
				if v.Notifications.Templates["template."+send] == "" {
					t.Errorf("%s sends %s, which is no template", trigger, send)
				}
			}
			result, err := expr.Eval(c.When, map[string]any{"app": app})
			if err != nil {
				t.Fatalf("%s: %v", trigger, err)
			}
			if result == true {
				once, err := expr.Eval(c.OncePer, map[string]any{"app": app})
				if err != nil || once != "1a2b3c4" {
					t.Errorf("%s is sent once for each %v (%v)", trigger, once, err)
				}
				return strings.Join(c.Send, " ")
			}
		}
		return ""
	}
	for _, test := range []struct{ trigger, phase, health, send string }{
		{"on-deployed", "Succeeded", "Healthy", "deployed"},
		{"on-deployed", "Succeeded", "Progressing", ""},
		{"on-deployed", "Running", "Healthy", ""},
		{"on-sync-failed", "Failed", "Healthy", "failed"},
		{"on-sync-failed", "Error", "Healthy", "failed"},
		{"on-sync-failed", "Succeeded", "Healthy", ""},
		{"on-health-degraded", "Succeeded", "Degraded", "failed"},
		{"on-health-degraded", "Succeeded", "Healthy", ""},
	} {
		if send := fires(test.trigger, app(test.phase, test.health)); send != test.send {
			t.Errorf("%s with %s and %s sends %q", test.trigger, test.phase, test.health, send)
		}
		if send := fires(test.trigger, map[string]any{"metadata": map[string]any{}}); send != "" {
			t.Errorf("%s fires for an Application without a status", test.trigger)
		}
	}
	for name, text := range v.Notifications.Templates {
		var notification struct {
			Message string
			GitHub  struct {
				Status struct{ State, Label, TargetURL string }
			}
		}
		filled := execute(t, text, map[string]any{"app": app("Succeeded", "Healthy"), "context": map[string]any{"argocdUrl": "https://argocd"}})
		if err := yaml.UnmarshalStrict([]byte(filled), &notification); err != nil {
			t.Errorf("%s: %v\n%s", name, err, filled)
		}
		if s := notification.GitHub.Status; !slices.Contains([]string{"success", "failure"}, s.State) || s.Label != "argocd/myshop-api-dev" ||
			s.TargetURL != "https://argocd/applications/myshop-api-dev?operation=true" {
			t.Errorf("%s: %+v", name, s)
		}
	}
	for _, s := range v.Notifications.Subscriptions {
		for _, recipient := range s.Recipients {
			if v.Notifications.Notifiers["service."+recipient] == "" {
				t.Errorf("there is no notifier %s", recipient)
			}
		}
		for _, trigger := range s.Triggers {
			if v.Notifications.Triggers["trigger."+trigger] == "" {
				t.Errorf("there is no trigger %s", trigger)
			}
		}
	}
}
