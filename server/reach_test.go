package server

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/config"
)

const shop = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api"

// reachOf is what is found of an app api with a repository in dev and prod, by rules
// that need not name every source.
func reachOf(t *testing.T, app config.App, sources config.Sources, rules ...config.Access) (warnings []*gitops.Error, err error) {
	t.Helper()
	c := config.Config{Sources: sources, Access: rules, Environments: map[string]config.Environment{"dev": {}, "prod": {}, "qa": {}}, Apps: map[string]config.App{"api": app},
		File: "{app}-{env}.yaml", Set: config.Sets{{Key: ".image.tag", Value: "{tag}"}}}
	for _, rule := range rules {
		if rule.Who.Token != "" {
			c.API.Tokens = append(c.API.Tokens, config.Token{Name: rule.Who.Token})
		}
	}
	list, err := buildAccess(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	apps, err := catalog.New(catalog.Input{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	return checkReach(c, list, apps.Targets())
}

func TestCheckReach(t *testing.T) {
	rule := func(who config.Who, right string, environments ...string) config.Access {
		return config.Access{Who: who, May: []string{right}, Apps: []string{"api"}, Environments: environments}
	}
	pushes := func(accounts, regions []string, environments ...string) config.Access {
		return rule(config.Who{Push: &config.Push{Source: "eventbridge", Accounts: accounts, Regions: regions}}, "order", environments...)
	}
	ours, theirs := []string{"123456789012"}, []string{"999999999999"}
	dispatches := rule(config.Who{Dispatch: &config.Dispatch{Repository: "shop/api", RepositoryID: 17}}, "order", "dev")
	token := func(right string) config.Access { return rule(config.Who{Token: "ops"}, right, "dev") }
	bridge := config.Sources{EventBridge: &config.EventBridge{}}
	both := config.Sources{EventBridge: &config.EventBridge{}, GitHub: &config.GitHub{}}
	for name, c := range map[string]struct {
		sources       config.Sources
		rules         []config.Access
		repository    string
		error, warned string
	}{
		"events of every account":     {bridge, []config.Access{pushes(nil, nil, "dev")}, shop, "", ""},
		"of its account and region":   {bridge, []config.Access{pushes(ours, []string{"eu-west-1"}, "dev")}, shop, "", ""},
		"of another account":          {bridge, []config.Access{pushes(theirs, nil, "dev", "prod")}, shop, `does not hold: account "123456789012" is not among 999999999999 (change that rule, or add one to access in the configuration), and events of Amazon ECR are all that updates it`, ""},
		"of another region":           {bridge, []config.Access{pushes(nil, []string{"us-east-1"}, "dev", "prod")}, shop, `region "eu-west-1" is not among us-east-1`, ""},
		"by another rule":             {bridge, []config.Access{pushes(theirs, nil, "dev"), pushes(ours, nil, "prod")}, shop, "", ""},
		"another registry":            {bridge, []config.Access{pushes(nil, nil, "dev")}, "ghcr.io/shop/api", "apps.api.repository: ghcr.io/shop/api is not a repository of Amazon ECR", ""},
		"no repository":               {bridge, []config.Access{pushes(nil, nil, "dev")}, "", "apps.api.repository: is missing, and events of Amazon ECR are all that updates it", ""},
		"dispatches":                  {config.Sources{GitHub: &config.GitHub{}}, []config.Access{dispatches}, "", "", ""},
		"dispatches and events":       {both, []config.Access{dispatches, pushes(theirs, nil, "dev", "prod")}, shop, "", `account "123456789012" is not among 999999999999 (change that rule, or add one to access in the configuration)`},
		"dispatches of a Docker hub":  {both, []config.Access{dispatches, pushes(ours, nil, "dev")}, "docker.io/shop/api", "", ""},
		"dispatches without a name":   {both, []config.Access{dispatches, pushes(ours, nil, "dev")}, "", "", ""},
		"a token that orders":         {bridge, []config.Access{pushes(ours, nil, "dev"), token("order")}, "", "", ""},
		"a token that only reads":     {bridge, []config.Access{pushes(ours, nil, "dev"), token("read")}, "", "is missing", ""},
		"a repository of ECR Public":  {bridge, []config.Access{pushes(ours, nil, "dev")}, "public.ecr.aws/shop/api", "is not a repository of Amazon ECR", ""},
		"an account of eleven digits": {bridge, []config.Access{pushes(ours, nil, "dev")}, "12345678901.dkr.ecr.eu-west-1.amazonaws.com/api", "is not a repository of Amazon ECR", ""},
	} {
		t.Run(name, func(t *testing.T) {
			warnings, err := reachOf(t, config.App{Repository: c.repository}, c.sources, c.rules...)
			if (c.error == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.error) {
				t.Errorf("got %v, want %q", err, c.error)
			}
			if (c.warned != "") != (len(warnings) == 1) || c.warned != "" && !strings.HasSuffix(warnings[0].Public(), c.warned) {
				t.Errorf("warned of %v, want %q", warnings, c.warned)
			}
		})
	}
}

// An app whose image is written must have a name for it.
func TestCheckNamed(t *testing.T) {
	s := newSite(t)
	s.edit("worker: {environments: [dev]}", "worker: {environments: [dev], set: image}")
	_, err := s.newServer()
	if want := "apps.worker.repository: is missing, and apps.worker.set[0] writes {repository} in dev: name the app's image, or give the app a set without it"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Warnings are in what check prints and in the log of the start, and stop neither.
func TestWarnings(t *testing.T) {
	s := newSite(t)
	s.edit("main-[0-9a-f]{7,40}", "main-*")
	s.edit(`accounts: ["123456789012"]`, `accounts: ["999999999999"]`)
	server, err := s.newServer()
	s.must(err)
	defer func() { s.must(server.Stop(t.Context())) }()
	var text strings.Builder
	server.PrintWarnings(&text)
	for _, want := range []string{
		"warning: environments.dev.tags.match: in a regular expression the star repeats the hyphen before it, so this takes",
		"\nwarning: apps.api.repository: pushes to it change nothing, only orders do: push from eventbridge (account 123456789012, region eu-west-1) may not order api in dev",
		"\nwarning: access[2]: token ops may read, order, retry, cancel in every environment",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("check prints %s without %q", text.String(), want)
		}
	}
	s.must(server.Start(t.Context()))
	for _, field := range []string{"environments.dev.tags.match", "apps.api.repository"} {
		if len(s.log.Lines("configuration warning", field)) != 1 {
			t.Errorf("the start's log does not warn of %s", field)
		}
	}
}
