package server

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/server/config"
)

const shop = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api"

func TestCheckReach(t *testing.T) {
	bridge := func(accounts, regions []string) config.Sources {
		return config.Sources{EventBridge: &config.EventBridge{Accounts: accounts, Regions: regions}}
	}
	both := bridge([]string{"999999999999"}, nil)
	both.SNS = &config.SNS{Regions: []string{"us-east-1"}}
	one := bridge([]string{"999999999999"}, nil)
	one.SNS = &config.SNS{}
	dispatches := bridge([]string{"999999999999"}, nil)
	dispatches.GitHub = &config.GitHub{}
	for name, c := range map[string]struct {
		sources       config.Sources
		api           config.API
		repository    string
		error, warned string
	}{
		"events of every account":     {sources: bridge(nil, nil), repository: shop},
		"of its account and region":   {sources: bridge([]string{"123456789012"}, []string{"eu-west-1"}), repository: shop},
		"of another account":          {sources: bridge([]string{"999999999999"}, nil), repository: shop, error: "apps.api.repository: its account 123456789012 is not one of sources.eventbridge.accounts, and events of Amazon ECR are all that updates it"},
		"of another region":           {sources: bridge(nil, []string{"us-east-1"}), repository: shop, error: "its region eu-west-1 is not one of sources.eventbridge.regions"},
		"outside both sources":        {sources: both, repository: shop, error: "sources.eventbridge.accounts, and its region eu-west-1 is not one of sources.sns.regions"},
		"outside one of two":          {sources: one, repository: shop},
		"another registry":            {sources: bridge(nil, nil), repository: "ghcr.io/shop/api", error: "apps.api.repository: ghcr.io/shop/api is not a repository of Amazon ECR"},
		"no repository":               {sources: bridge(nil, nil), error: "apps.api.repository: is missing, and events of Amazon ECR are all that updates it"},
		"dispatches":                  {sources: config.Sources{GitHub: &config.GitHub{}}},
		"dispatches and events":       {sources: dispatches, repository: shop, warned: "apps.api.repository: its account 123456789012 is not one of sources.eventbridge.accounts: pushes to it change nothing, only orders do"},
		"dispatches of a Docker hub":  {sources: dispatches, repository: "docker.io/shop/api"},
		"dispatches without a name":   {sources: dispatches},
		"a token that orders":         {sources: bridge(nil, nil), api: config.API{Tokens: []config.Token{{Can: []string{"read", "order"}}}}},
		"a token that only reads":     {sources: bridge(nil, nil), api: config.API{Tokens: []config.Token{{Can: []string{"read"}}}}, error: "is missing"},
		"jobs that order by a token":  {sources: bridge(nil, nil), api: config.API{OIDC: &config.OIDC{}}},
		"a repository of ECR Public":  {sources: bridge(nil, nil), repository: "public.ecr.aws/shop/api", error: "is not a repository of Amazon ECR"},
		"an account of eleven digits": {sources: bridge(nil, nil), repository: "12345678901.dkr.ecr.eu-west-1.amazonaws.com/api", error: "is not a repository of Amazon ECR"},
	} {
		t.Run(name, func(t *testing.T) {
			warnings, err := checkReach(config.Config{Sources: c.sources, API: c.api, Apps: map[string]config.App{"api": {Repository: c.repository}}})
			if (c.error == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.error) {
				t.Errorf("got %v, want %q", err, c.error)
			}
			if (c.warned != "") != (len(warnings) == 1) || c.warned != "" && warnings[0].Public() != c.warned {
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
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "warning: environments.dev.tags.match: in a regular expression the star repeats the hyphen") ||
		!strings.HasPrefix(lines[1], "warning: apps.api.repository: its account 123456789012 is not one of") {
		t.Errorf("check prints %q", lines)
	}
	s.must(server.Start(t.Context()))
	for _, field := range []string{"environments.dev.tags.match", "apps.api.repository"} {
		if len(s.log.with("configuration warning", field)) != 1 {
			t.Errorf("the start's log does not warn of %s", field)
		}
	}
}
