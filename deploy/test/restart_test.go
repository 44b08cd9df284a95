package test

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"testing"
)

// changes changes each field of the configuration, by what is set. The chart itself writes
// those that values set in another way, and those without one stay as they are.
var changes = map[string]string{
	"listen": "", "adminListen": "", "probeListen": "", "store": "", "storePasswordFile": "", "backup": "backup.every=3h",
	"pprof": "config.pprof=true", "lease": "config.lease=1m", "retention": "config.retention.keep=200h", "log": "config.log.level=debug", "shutdown": "shutdown.deadlineSeconds=7",
	"limits": "config.limits.refusedPerMinute=7", "manifests": "config.manifests.branch=other", "repositories": "config.repositories.release.branch=release", "registries": "config.registries[0].host=ghcr.io",
	"argocd":  "config.argocd[0].url=https://argocd.example,config.argocd[0].tokenFile=/secrets/argocd/token,config.argocd[0].projects={myshop}",
	"sources": "config.sources.github.eventTypes={x}", "api": "config.api.oidc.audience=x", "access": "config.access[0].apps={x}",
	"file": "config.file=x/{app}", "set": "config.set=image", "also": "config.also[0].file=charts/{app}/Chart.yaml",
	"freezes": "config.freezes[0].name=move,config.freezes[0].zone=UTC", "holds": "config.holds.pinFor=1h", "notify": "config.notify[0].name=ops",
	"environments": "config.environments.qa.tags.match=main-.+", "apps": "config.apps.web.tags.match=web-.+", "discover": "config.discover[0].file=charts/{app}/values-{env}.yaml",
}

// TestOnlyWhatNeedsARestartStartsNewPods wants new pods for the fields that a running
// tallyman cannot change, and for no others: a new app, environment or repository leaves
// everything that makes a pod as it is.
func TestOnlyWhatNeedsARestartStartsNewPods(t *testing.T) {
	t.Parallel()
	var schema struct {
		Properties map[string]struct {
			Reload string `json:"x-reload"`
		}
	}
	if err := json.Unmarshal([]byte(run(t, tallyman("schema"))), &schema); err != nil {
		t.Fatal(err)
	}
	with := func(set string) any {
		return podTemplate(t, render(t, chart, filepath.Join(chart, "ci", "backup-values.yaml"), "--set", set))
	}
	before := with("replicas=1")
	for field, property := range schema.Properties {
		change, known := changes[field]
		if !known {
			t.Errorf("there is no change of %s here", field)
		}
		if change == "" {
			continue
		}
		if restarts := !reflect.DeepEqual(with(change), before); restarts != (property.Reload == "restart") {
			t.Errorf("a change of %s starts new pods: %t; x-reload is %q", field, restarts, property.Reload)
		}
	}
}

// podTemplate is what the server's pods are made of.
func podTemplate(t *testing.T, text string) any {
	t.Helper()
	servers := objects(decode(t, text), "StatefulSet")
	if len(servers) != 1 {
		t.Fatalf("there are %d servers", len(servers))
	}
	return servers[0].raw["spec"].(map[string]any)["template"]
}
