package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/server/api"
)

// The repository of an app is shown where there is more than one.
func TestAppsNameTheirRepository(t *testing.T) {
	cart := api.KnownApp{App: "cart", Environment: "dev", Manifests: "default", Files: []string{"cart/dev.yaml"}, Origin: "discover[0]"}
	wallet := api.KnownApp{App: "wallet", Environment: "dev", Manifests: "pay", Files: []string{"wallet/dev.yaml"}, Origin: api.OriginBranch, Problem: "its file is not YAML"}
	for want, found := range map[string][]api.KnownApp{
		"APP ENVIRONMENT FILES ORIGIN IMAGE, OR WHAT IS WRONG cart dev cart/dev.yaml discover[0] -":                                                                               {cart},
		"APP ENVIRONMENT REPOSITORY FILES ORIGIN IMAGE, OR WHAT IS WRONG cart dev default cart/dev.yaml discover[0] - wallet dev pay wallet/dev.yaml branch its file is not YAML": {cart, wallet},
	} {
		var out bytes.Buffer
		(&printer{out: &out}).apps(found, true)
		if got := strings.Join(strings.Fields(out.String()), " "); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
