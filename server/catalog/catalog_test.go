package catalog_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/config"
)

// found is a target in dev.
func found(app, file string) *discover.Found {
	return &discover.Found{App: app, Environment: "dev", File: file, Origin: "discover[0]"}
}

// look makes a catalog of what was found.
func look(t *testing.T, in catalog.Input, all ...*discover.Found) *catalog.Catalog {
	t.Helper()
	in.Looks[0].Result = &discover.Result{Found: all}
	c, err := catalog.New(in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// refused wants an app not to be known in dev, with a problem that has the texts.
func refused(t *testing.T, c *catalog.Catalog, app string, texts ...string) {
	t.Helper()
	if _, known := c.Target("dev", app); known {
		t.Errorf("%s is known", app)
	}
	p, ok := c.Problem("dev", app)
	for _, text := range texts {
		if !ok || !strings.Contains(p.Text(), text) {
			t.Errorf("%s: the problem %q does not say %q", app, p.Text(), text)
		}
	}
}

// What is wrong with a found app is its problem alone; a good one beside it is known.
func TestAFoundAppsProblemIsItsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		wrong *discover.Found
		says  string
	}{
		"a bad name":        {found("-x", "charts/-x/values-dev.yaml"), "rename the directory or file"},
		"a bad image":       {&discover.Found{App: "x", Environment: "dev", File: "x.yaml", Image: "registry.example/X", Origin: "discover[0]"}, "must be an image name"},
		"a bad key":         {&discover.Found{App: "x", Environment: "dev", File: "x.yaml", Set: []values.Target{{Key: ".a ="}}, Origin: "x/tallyman.yaml"}, "x/tallyman.yaml"},
		"an image is named": {&discover.Found{App: "x", Environment: "dev", File: "x.yaml", Set: []values.Target{{Key: ".a", Value: "{repository}:{tag}"}}, Origin: "x/tallyman.yaml"}, "it has no repository"},
		"one file twice":    {&discover.Found{App: "x", Environment: "dev", File: "x.yaml", Also: []discover.File{{Path: "x.yaml"}}, Origin: "discover[0]"}, "which the same update edits already"},
	} {
		t.Run(name, func(t *testing.T) {
			got := look(t, site(t, "dev"), c.wrong, found("good", "charts/good/values-dev.yaml"))
			refused(t, got, c.wrong.App, c.says)
			if _, known := got.Target("dev", "good"); !known || len(got.Problems()) != 1 {
				t.Errorf("the other app is not known, or has a problem: %v", got.Problems())
			}
		})
	}
}

// Of two found apps that write one key neither is known, and each problem names the other;
// one of the configuration goes on beside a found one.
func TestTheSameKeyTwice(t *testing.T) {
	in := site(t, "dev")
	in.Config.Apps = map[string]config.App{"own": {File: "own.yaml"}}
	c := look(t, in, found("a", "shared.yaml"), found("b", "shared.yaml"), found("c", "own.yaml"), found("d", "d.yaml"))
	refused(t, c, "a", "of b in dev", "shared.yaml")
	refused(t, c, "b", "of a in dev", "shared.yaml")
	refused(t, c, "c", "own.yaml")
	for _, app := range []string{"own", "d"} {
		if _, known := c.Target("dev", app); !known {
			t.Errorf("%s is not known", app)
		}
	}
}

// An app of the configuration without a file refines what is found: its fields come first,
// each by itself. It is known where it is found, and one that is not found is a problem.
func TestRefinements(t *testing.T) {
	in := site(t, "dev", "prod")
	in.Config.Apps = map[string]config.App{"api": {Repository: "registry.example/other", Environments: []string{"dev"}}, "gone": {}}
	c := look(t, in, found("api", "charts/api/values-dev.yaml"), &discover.Found{App: "api", Environment: "prod", File: "p.yaml", Origin: "discover[0]"})
	to, known := c.Target("dev", "api")
	if !known || to.Image != "registry.example/other" || to.Files[0].Path != "charts/api/values-dev.yaml" {
		t.Errorf("%+v", to)
	}
	if _, known := c.Target("prod", "api"); known {
		t.Error("it is known where the configuration does not have it")
	}
	if p, ok := c.Problem("dev", "gone"); !ok || !strings.Contains(p.Message, "apps.gone names no file") {
		t.Errorf("%+v", p)
	}
	in.Looks[0].Result = nil
	before, err := catalog.New(in)
	if err != nil || before.Complete() || before.Has("api") || len(before.Problems()) > 0 {
		t.Errorf("before the first look: %v, %v", before.Apps(), err)
	}
	in.Config.Apps["api"] = config.App{Set: config.Sets{{Key: ".a ="}}}
	if _, err := catalog.New(in); err == nil || !strings.Contains(err.Error(), "apps.api.set[0].key") {
		t.Errorf("a wrong key of the configuration: %v", err)
	}
}

// The repository that an image is built from is the app's own, or the entry's that found it,
// with the app's name in it.
func TestSourceOfAnApp(t *testing.T) {
	in := site(t, "dev")
	in.Config.Discover[0].Source = "shop/{app}-service"
	in.Config.Apps = map[string]config.App{"pay": {Source: "bank/pay"}, "own": {File: "own.yaml", Source: "shop/own"}, "none": {File: "none.yaml"}}
	c := look(t, in, found("cart", "charts/cart/values-dev.yaml"), found("pay", "charts/pay/values-dev.yaml"))
	for app, want := range map[string]string{"cart": "shop/cart-service", "pay": "bank/pay", "own": "shop/own", "none": ""} {
		if to, known := c.Target("dev", app); !known || to.Source != want {
			t.Errorf("%s: %+v", app, to)
		}
	}
	in.Config.Discover[0].Source = "shop/{app}"
	if look(t, in, found("cart", "charts/cart/values-dev.yaml"), found("pay", "charts/pay/values-dev.yaml")).Same(c) {
		t.Error("another source changes nothing")
	}
}

// How an app is followed to the cluster is its environment's, and what deploys it is its own.
func TestHowAnAppIsFollowed(t *testing.T) {
	in := site(t, "dev", "prod")
	dev := in.Config.Environments["dev"]
	dev.Rollout = config.Rollout{By: config.ByArgoCD, Timeout: time.Minute, Revert: true}
	in.Config.Environments["dev"] = dev
	in.Config.Apps = map[string]config.App{"pay": {ArgoCD: map[string]string{"dev": "bank/ns/pay-dev"}}, "own": {File: "own-{env}.yaml", ArgoCD: map[string]string{"dev": "bank/own"}}}
	all := []*discover.Found{found("cart", "charts/cart/values-dev.yaml"), found("pay", "charts/pay/values-dev.yaml")}
	c := look(t, in, all...)
	for app, want := range map[string]string{"cart": "", "pay": "bank/ns/pay-dev", "own": "bank/own"} {
		if to, known := c.Target("dev", app); !known || to.Rollout != dev.Rollout || to.Deployed.String() != want {
			t.Errorf("%s: %+v", app, to)
		}
	}
	if to, known := c.Target("prod", "own"); !known || to.Rollout.By == config.ByArgoCD || to.Deployed.String() != "" {
		t.Errorf("in prod: %+v", to)
	}
	dev.Rollout.Timeout = time.Hour
	in.Config.Environments["dev"] = dev
	if look(t, in, all...).Same(c) {
		t.Error("another timeout changes nothing")
	}
	dev.Rollout.Timeout = time.Minute
	in.Config.Environments["dev"], in.Config.Apps["pay"] = dev, config.App{}
	if look(t, in, all...).Same(c) {
		t.Error("another Application changes nothing")
	}
}

// A problem names each file once, and whose it is where that is known.
func TestAProblemInALine(t *testing.T) {
	for want, p := range map[string]catalog.Problem{
		"cart in dev: a.yaml has a tab (b.yaml)": {At: catalog.At{App: "cart", Environment: "dev"}, Files: []string{"a.yaml", "b.yaml"}, Message: "a.yaml has a tab"},
		"cart: no image (a.yaml, b.yaml)":        {At: catalog.At{App: "cart"}, Files: []string{"a.yaml", "b.yaml"}, Message: "no image"},
		"_lib/dev.yaml is no name":               {At: catalog.At{Environment: "dev"}, Files: []string{"_lib/dev.yaml"}, Message: "_lib/dev.yaml is no name"},
	} {
		if got := p.Text(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// An app that is refined and has a problem is told that one, and not that no file names it.
func TestARefinedAppWithAProblem(t *testing.T) {
	for what, p := range map[string]discover.Problem{
		"everywhere":     {App: "api", Message: "its own file"},
		"in dev":         {App: "api", Environment: "dev", Message: "its own file"},
		"that hides dev": {Environment: "dev", HidesApps: true, Message: "its own file"},
	} {
		in := site(t, "dev", "prod")
		in.Config.Apps = map[string]config.App{"api": {}, "web": {Environments: []string{"prod"}}}
		in.Looks[0].Result = &discover.Result{Found: []*discover.Found{found("other", "charts/other/values-dev.yaml")}, Problems: []discover.Problem{p}}
		c, err := catalog.New(in)
		if err != nil {
			t.Fatal(err)
		}
		if all := c.Problems(); len(all) != 2 || strings.Contains(all[0].Message, "apps.api") || !strings.Contains(all[1].Message, "apps.web names no file") {
			t.Errorf("a problem %s: %+v", what, all)
		}
	}
}

// Found apps whose image means more updates than a delivery may have are refused together;
// an image of the configuration's that does is an error.
func TestFanOutOfFoundApps(t *testing.T) {
	var all []*discover.Found
	for n := range queue.MaxUpdates + 1 {
		app := fmt.Sprintf("app-%05d", n)
		all = append(all, &discover.Found{App: app, Environment: "dev", File: app + ".yaml", Image: "registry.example/one", Origin: "discover[0]"})
	}
	c := look(t, site(t, "dev"), append(all, found("other", "other.yaml"))...)
	if apps := c.Apps(); len(apps) != 1 || apps[0] != "other" {
		t.Errorf("%d apps are known", len(apps))
	}
	refused(t, c, "app-00000", fmt.Sprintf("would mean %d updates", queue.MaxUpdates+1))
}

// The same again is the same, and shares its edits; one app more is not.
func TestSame(t *testing.T) {
	in := site(t, "dev")
	first := look(t, in, found("a", "a.yaml"))
	in.Before = first
	if again := look(t, in, found("a", "a.yaml")); !again.Same(first) {
		t.Error("the same is another")
	}
	if more := look(t, in, found("a", "a.yaml"), found("b", "b.yaml")); more.Same(first) {
		t.Error("one more app is the same")
	}
}
