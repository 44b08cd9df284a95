package catalog

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/server/config"
)

// Apps are apart where their files are in more than one manifest repository.
func TestApart(t *testing.T) {
	c := config.Config{
		File: "{app}-{env}.yaml", Set: config.Sets{{Key: ".tag", Value: "{tag}"}},
		Environments: map[string]config.Environment{"dev": {}, "prod": {Manifests: "release"}},
		Apps:         map[string]config.App{"api": {}, "pay": {Manifests: "pay"}, "web": {}},
	}
	all, err := New(Input{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	for environment, want := range map[string]map[string][]string{
		"dev": {"default": {"api", "web"}, "pay": {"pay"}}, "prod": {"release": {"api", "web"}, "pay": {"pay"}}, "qa": nil,
	} {
		if diff := cmp.Diff(want, all.Apart(environment)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", environment, diff)
		}
	}
	c.Environments, c.Apps = map[string]config.Environment{"dev": {}}, map[string]config.App{"api": {}}
	if all, err = New(Input{Config: c}); err != nil || all.Apart("dev") != nil {
		t.Errorf("of one repository: %v, %v", all.Apart("dev"), err)
	}
}
