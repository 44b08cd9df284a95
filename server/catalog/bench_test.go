package catalog_test

import (
	"fmt"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/config"
)

// BenchmarkNew makes the catalog of 10,000 discovered apps in 4 environments after one
// more has come.
func BenchmarkNew(b *testing.B) {
	in := site(b, "dev", "qa", "staging", "prod")
	result := &discover.Result{}
	for app := range 10_000 {
		for environment := range in.Config.Environments {
			name := fmt.Sprintf("app-%05d", app)
			result.Found = append(result.Found, &discover.Found{App: name, Environment: environment, File: "charts/" + name + "/values-" + environment + ".yaml",
				Image: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/" + name, Origin: "discover[0]"})
		}
	}
	in.Looks[0].Result = result
	before, err := catalog.New(in)
	if err != nil {
		b.Fatal(err)
	}
	in.Before = before
	b.ReportAllocs()
	for b.Loop() {
		if _, err := catalog.New(in); err != nil {
			b.Fatal(err)
		}
	}
}

// site is a configuration that discovers charts in the environments.
func site(t testing.TB, environments ...string) catalog.Input {
	t.Helper()
	c := config.Config{
		Environments: make(map[string]config.Environment), Set: config.Sets{{Key: ".image.tag", Value: "{tag}"}},
		File: "charts/{app}/values-{env}.yaml", Discover: []config.Discover{{File: "charts/{app}/values-{env}.yaml", Manifests: "default"}},
	}
	for _, environment := range environments {
		c.Environments[environment] = config.Environment{}
	}
	rules, err := discover.Compile(discover.Config{
		Entries: []discover.Entry{{Field: "discover[0]", File: "charts/{app}/values-{env}.yaml", Repository: "registry.example/{app}"}}, Environments: environments,
		Set: func(string) []values.Target { return []values.Target{{Key: ".image.tag", Value: "{tag}"}} },
	})
	if err != nil {
		t.Fatal(err)
	}
	return catalog.Input{Config: c, Looks: []catalog.Look{{Manifests: "default", Rules: rules, Entries: []int{0}}}}
}
