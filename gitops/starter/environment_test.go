package starter

import (
	"slices"
	"strings"
	"testing"
)

// The environment that a path names, and where.
func TestEnvironmentOfPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"charts/cart/values-dev.yaml":                     "charts/cart/values-{env}.yaml",
		"charts/cart/values.prod.yaml":                    "charts/cart/values.{env}.yaml",
		"charts/cart/dev-values.yaml":                     "charts/cart/{env}-values.yaml",
		"charts/cart/values-prod-eu.yaml":                 "charts/cart/values-{env}.yaml",
		"charts/cart/values-eu-west-1-prod.yaml":          "charts/cart/values-{env}.yaml",
		"cart-prod.yaml":                                  "cart-{env}.yaml",
		"Production/cart.yaml":                            "{env}/cart.yaml",
		"prod2/cart.yaml":                                 "{env}/cart.yaml",
		"apps/cart/overlays/blue/kustomization.yaml":      "apps/cart/overlays/{env}/kustomization.yaml",
		"clusters/eu-main/cart/release.yaml":              "clusters/{env}/cart/release.yaml",
		"apps/base/cart/release.yaml":                     "",
		"apps/cart/overlays/base/kustomization.yaml":      "",
		"environments/dev/test.yaml":                      "environments/{env}/test.yaml",
		"charts/cart/values.yaml":                         "",
		"charts/developer-portal/values.yaml":             "",
		"charts/cart/environments/uat/values.yaml":        "charts/cart/environments/{env}/values.yaml",
		"argocd/shop-staging/cart.yaml":                   "argocd/shop-{env}/cart.yaml",
		"templates/dev/values.yaml":                       "templates/{env}/values.yaml",
		"charts/cart/latest/values-devel-and-others.yaml": "charts/cart/latest/values-{env}-and-others.yaml",
	} {
		segments := strings.Split(path, "/")
		at, ok := environmentOfPath(segments)
		got := ""
		if ok {
			segments[at.segment] = at.before + envName + at.after
			got = strings.Join(segments, "/")
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

// Environments are in the order in which releases reach them.
func TestOrderOfEnvironments(t *testing.T) {
	t.Parallel()
	want := strings.Fields("sandbox dev development qa staging uat preprod team-x prod-eu prod-us production dr")
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareEnvironments)
	// Those of one stage are in the order of their names.
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// What is not YAML or JSON of a deployment is not read.
func TestFiles(t *testing.T) {
	t.Parallel()
	files, left := Files(strings.Fields(`charts/cart/values-dev.yaml charts/cart/values.yml charts/cart/Chart.yaml charts/cart/templates/x.yaml .github/workflows/ci.yaml
		README.md a/package.json a/b.json charts/cart/values.schema.json charts/cart/crds/x.yaml x/{a}.yaml`))
	if want := strings.Fields("a/b.json charts/cart/values-dev.yaml charts/cart/values.yml"); !slices.Equal(files, want) || left != 0 {
		t.Errorf("got %v and %d", files, left)
	}
}
