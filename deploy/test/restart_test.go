package test

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"testing"
)

// changes changes each field of the configuration, by what is set. The chart itself writes
// those without one, and they stay as they are.
var changes = map[string]string{
	"listen": "", "adminListen": "", "probeListen": "", "store": "", "storePasswordFile": "", "backup": "",
	"pprof": "config.pprof=true", "lease": "config.lease=1m", "retention": "config.retention.keep=200h", "log": "config.log.level=debug", "shutdown": "shutdown.deadlineSeconds=7",
	"limits": "config.limits.refusedPerMinute=7", "manifests": "config.manifests.branch=other",
	"sources": "config.sources.github.eventTypes={x}", "api": "config.api.oidc.audience=x", "access": "config.access[0].apps={x}",
	"file": "config.file=x/{app}", "set": "config.set=image", "environments": "config.environments.dev.coalesce=newest", "apps": "config.apps.shop.file=x",
}

// TestOnlyWhatNeedsARestartStartsNewPods wants new pods for the fields that a running
// tallyman cannot change, and for no others.
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
	checksum := regexp.MustCompile("checksum/restart: [0-9a-f]{64}")
	with := func(set string) string {
		return checksum.FindString(render(t, chart, filepath.Join(chart, "ci", "default-values.yaml"), "--set", set))
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
		if restarts := with(change) != before; restarts != (property.Reload == "restart") {
			t.Errorf("a change of %s starts new pods: %t; x-reload is %q", field, restarts, property.Reload)
		}
	}
}
