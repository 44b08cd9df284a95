package discover_test

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/discover"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		what    string
		entries []discover.Entry
		files   files
		found   []string
	}{
		{"a chart with values for each environment",
			[]discover.Entry{{File: "charts/{app}/values-{env}.yaml"}},
			files{"charts/api/values-dev.yaml": "a", "charts/api/values-prod.yaml": "b", "charts/api/values.yaml": "c", "charts/web/values-dev.yaml": "d",
				"charts/README.md": "e", "charts/api/templates/values-dev.yaml": "f", "other/api/values-dev.yaml": "g"},
			[]string{"api dev charts/api/values-dev.yaml", "api prod charts/api/values-prod.yaml", "web dev charts/web/values-dev.yaml"}},
		{"Kustomize overlays",
			[]discover.Entry{{File: "apps/{app}/overlays/{env}/kustomization.yaml"}},
			files{"apps/api/base/kustomization.yaml": "a", "apps/api/overlays/dev/kustomization.yaml": "b", "apps/api/overlays/prod/kustomization.yaml": "c",
				"apps/api/overlays/prod/patch.yaml": "d"},
			[]string{"api dev apps/api/overlays/dev/kustomization.yaml", "api prod apps/api/overlays/prod/kustomization.yaml"}},
		{"Flux",
			[]discover.Entry{{File: "clusters/{env}/{app}/release.yaml"}},
			files{"clusters/dev/api/release.yaml": "a", "clusters/prod/api/release.yaml": "b", "clusters/prod/flux-system/gotk-sync.yaml": "c"},
			[]string{"api dev clusters/dev/api/release.yaml", "api prod clusters/prod/api/release.yaml"}},
		{"a file for each app",
			[]discover.Entry{{File: "environments/{env}/{app}.yaml"}},
			files{"environments/dev/api.yaml": "a", "environments/dev/web.yaml": "b", "environments/prod/api.yaml": "c", "environments/prod/api.json": "d"},
			[]string{"api dev environments/dev/api.yaml", "api prod environments/prod/api.yaml", "web dev environments/dev/web.yaml"}},
		{"environments at the top",
			[]discover.Entry{{File: "{env}/{app}/values.yaml"}},
			files{"dev/api/values.yaml": "a", "prod/api/values.yaml": "b", "docs/api/index.md": "c"},
			[]string{"api dev dev/api/values.yaml", "api prod prod/api/values.yaml"}},
		{"teams",
			[]discover.Entry{{File: "teams/*/{app}/values-{env}.yaml"}},
			files{"teams/red/api/values-dev.yaml": "a", "teams/blue/web/values-dev.yaml": "b", "teams/.x/job/values-prod.yaml": "c"},
			[]string{"api dev teams/red/api/values-dev.yaml", "job prod teams/.x/job/values-prod.yaml", "web dev teams/blue/web/values-dev.yaml"}},
		{"both names in one segment",
			[]discover.Entry{{File: "values/{app}-{env}.yaml"}},
			files{"values/api-dev.yaml": "a", "values/api-gateway-prod.yaml": "b", "values/dev.yaml": "c", "values/-dev.yaml": "d"},
			[]string{"api dev values/api-dev.yaml", "api-gateway prod values/api-gateway-prod.yaml"}},
		{"a name twice",
			[]discover.Entry{{File: "{env}/{app}/{app}-{env}.yaml"}},
			files{"dev/api/api-dev.yaml": "a", "dev/api/web-dev.yaml": "b", "dev/api/api-prod.yaml": "c", "prod/api-prod/api-prod-prod.yaml": "d"},
			[]string{"api dev dev/api/api-dev.yaml", "api-prod prod prod/api-prod/api-prod-prod.yaml"}},
		{"an environment for the whole entry",
			[]discover.Entry{{File: "charts/{app}/values.yaml", Environments: []string{"prod"}}},
			files{"charts/api/values.yaml": "a"},
			[]string{"api prod charts/api/values.yaml"}},
		{"some environments",
			[]discover.Entry{{File: "charts/{app}/values-{env}.yaml", Environments: []string{"dev", "staging"}}},
			files{"charts/api/values-dev.yaml": "a", "charts/api/values-prod.yaml": "b"},
			[]string{"api dev charts/api/values-dev.yaml"}},
		{"excludes",
			[]discover.Entry{{File: "charts/{app}/values-{env}.yaml", Exclude: []string{"charts/lib-*/**", "charts/old", "**/values-prod.yaml", "charts/web/values-s*.yaml"}}},
			files{"charts/lib-x/values-dev.yaml": "a", "charts/old/values-dev.yaml": "b", "charts/older/values-dev.yaml": "c", "charts/web/values-prod.yaml": "d",
				"charts/web/values-staging.yaml": "e", "charts/web/values-dev.yaml": "f"},
			[]string{"older dev charts/older/values-dev.yaml", "web dev charts/web/values-dev.yaml"}},
		{"several at once",
			[]discover.Entry{{File: "charts/{app}/values-{env}.yaml"}, {File: "apps/{app}/overlays/{env}/kustomization.yaml"}},
			files{"charts/api/values-dev.yaml": "a", "apps/web/overlays/dev/kustomization.yaml": "b"},
			[]string{"api dev charts/api/values-dev.yaml", "web dev apps/web/overlays/dev/kustomization.yaml"}},
		{"capitals, and a file at the root",
			[]discover.Entry{{File: "{app}.{env}.yaml"}},
			files{"shop.api.dev.yaml": "a"},
			[]string{"shop.api dev shop.api.dev.yaml"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := compile(t, c.entries...).Look(tree(t, c.files), read)
			same(t, "found", list(r), c.found)
			same(t, "problems", messages(r), nil)
		})
	}
}
