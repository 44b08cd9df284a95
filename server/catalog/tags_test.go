package catalog

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/config"
)

// narrowed is what a branch names, in dev and prod, with the tag rules of the apps' own
// files.
func narrowed(t *testing.T, c config.Config, found ...*discover.Found) (*Catalog, error) {
	t.Helper()
	c.Environments = map[string]config.Environment{"dev": {Tags: config.Tags{Match: "[a-z0-9.-]+"}}, "prod": {Tags: config.Tags{Semver: ">=1.0.0"}}}
	c.Set = config.Sets{{Key: ".image.tag", Value: "{tag}"}}
	c.Discover = []config.Discover{{File: "charts/{app}/values-{env}.yaml"}}
	rules, err := discover.Compile(discover.Config{
		Entries: []discover.Entry{{Field: "discover[0]", File: c.Discover[0].File}}, Environments: []string{"dev", "prod"}, Set: nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	return New(Input{Config: c, Looks: []Look{{Manifests: "default", Entries: []int{0}, Rules: rules, Result: &discover.Result{Found: found}}}})
}

func own(app, environment string, tags discover.Tags) *discover.Found {
	return &discover.Found{App: app, Environment: environment, File: "charts/" + app + "/values-" + environment + ".yaml", Tags: tags, Origin: "charts/" + app + "/tallyman.yaml"}
}

// A tag rule beside a chart narrows its app; a wrong one stops that app alone, and one that
// leaves an environment nothing stops it there alone.
func TestTagRulesOfFoundApps(t *testing.T) {
	semver := discover.Tags{Semver: "^2"}
	c, err := narrowed(t, config.Config{},
		own("api", "dev", semver), own("api", "prod", semver),
		own("cart", "dev", discover.Tags{Match: "("}),
		own("mail", "dev", discover.Tags{Match: "main-.*"}), own("mail", "prod", discover.Tags{Match: "main-.*"}),
		own("shop", "dev", semver), own("shop", "prod", discover.Tags{}),
		own("web", "dev", semver), own("web", "prod", discover.Tags{Semver: "^3"}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, target := range c.Targets() {
		got = append(got, target.Environment+"/"+target.App)
	}
	if want := "dev/api prod/api dev/mail dev/shop prod/shop dev/web"; strings.Join(got, " ") != want {
		t.Errorf("there are %v, want %s", got, want)
	}
	for at, want := range map[At]string{
		{"dev", "cart"}:  "its tags.match: is not a regular expression",
		{"prod", "mail"}: "its tags: no tag satisfies it and environments.prod.tags at once",
		{"prod", "web"}:  "its tags are not those that it has in dev by charts/web/values-dev.yaml of default: an app has one rule",
	} {
		if p, ok := c.Problem(at.Environment, at.App); !ok || !strings.HasPrefix(p.Message, want) {
			t.Errorf("%s in %s: %q, want %s", at.App, at.Environment, p.Message, want)
		}
	}
	for _, app := range []string{"api", "shop"} {
		if rule := c.PolicyApps()[app].Tags; rule != (policy.TagRule{Semver: "^2"}) {
			t.Errorf("the rule of %s is %+v", app, rule)
		}
	}
}

// The rule that the configuration gives an app comes before its own file's; a wrong one is
// the configuration's error, also before the app is found.
func TestTheConfigurationsTagRuleComesFirst(t *testing.T) {
	of := func(tags config.Tags, environments ...string) config.Config {
		return config.Config{Apps: map[string]config.App{"api": {Tags: &tags, Environments: environments}}}
	}
	c, err := narrowed(t, of(config.Tags{Match: "v.*"}), own("api", "dev", discover.Tags{Semver: "^2"}))
	if rule := c.PolicyApps()["api"].Tags; err != nil || rule != (policy.TagRule{Match: "v.*"}) {
		t.Errorf("%+v, %v", rule, err)
	}
	for want, wrong := range map[string]config.Config{
		"apps.api.tags.match: is not a regular expression":                               of(config.Tags{Match: "("}),
		"apps.api.tags: no tag satisfies it and environments.prod.tags at once: it take": of(config.Tags{Match: "main-.*"}, "dev", "prod"),
	} {
		if _, err := narrowed(t, wrong); gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
