package server

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/config"
)

// A version that is pushed to the registry of dev is not of prod. What ECR replicates into
// prod's registry is, and prod's file names that registry.
func TestARegistryForEachEnvironment(t *testing.T) {
	const prodImage = "210987654321.dkr.ecr.eu-central-1.amazonaws.com/copy/api"
	s := newSite(t)
	s.edit(`accounts: ["123456789012"]`, `accounts: ["123456789012", "210987654321"]`)
	s.edit("shop/api}", "shop/api, repositories: {prod: "+prodImage+"}, set: image, environments: [dev, prod]}")
	_, err := s.repository.Commit(gitserver.Change{Files: map[string]string{
		"charts/api/values-dev.yaml":  "image: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api:main-0000000\n",
		"charts/api/values-prod.yaml": "image: " + prodImage + ":1.0.0\n",
	}})
	s.must(err)
	out, err := s.check()
	if err != nil || len(out) != 4 {
		t.Fatalf("check: %q, %v", out, err)
	}
	r := s.start()
	d := r.do(r.ecr(bridgeSecret, push("d1", "1.2.3"))).delivery(t, 200)
	if len(d.Updates) > 0 || !strings.Contains(d.Reason, `prod: the repository of app "api" is `+prodImage+` there`) {
		t.Errorf("a push to dev's registry is %+v", d)
	}
	copied := strings.NewReplacer("ECR Image Action", "ECR Replication Action", `"PUSH"`, `"REPLICATE", "source-account": "123456789012"`,
		"123456789012\",\n", "210987654321\",\n", "eu-west-1", "eu-central-1", "shop/api", "copy/api").Replace(push("d2", "1.2.3"))
	d = r.do(r.ecr(bridgeSecret, copied)).delivery(t, 202)
	if len(d.Updates) != 1 || d.Updates[0].Environment != "prod" || d.Updates[0].Repository != prodImage {
		t.Fatalf("a replication is %+v", d)
	}
	if u := r.settled(d.Updates[0].ID); u.State != gitops.Committed {
		t.Errorf("ended as %+v", u)
	}
	if text, err := s.repository.Git("show", "main:charts/api/values-prod.yaml"); err != nil || text != "image: "+prodImage+":1.2.3" {
		t.Errorf("the file says %q, %v", text, err)
	}
}

// Each repository of an app must be in reach where it is used, and is named where it
// stands.
func TestReachOfEachRepository(t *testing.T) {
	const near, far = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/api", "210987654321.dkr.ecr.eu-west-1.amazonaws.com/api"
	for name, c := range map[string]struct {
		app  config.App
		want []string
	}{
		"both in reach":         {config.App{Repository: near, Repositories: map[string]string{"prod": near + "-prod"}}, nil},
		"prod's out of reach":   {config.App{Repository: near, Repositories: map[string]string{"prod": far}}, []string{"apps.api.repositories.prod: push from eventbridge (account 210987654321, region eu-west-1) may not order api in prod"}},
		"dev has none":          {config.App{Repositories: map[string]string{"prod": near}}, []string{"apps.api.repository: is missing, and events"}},
		"the app is not in dev": {config.App{Repositories: map[string]string{"prod": near}, Environments: []string{"prod"}}, nil},
		"all out of reach":      {config.App{Repository: far, Repositories: map[string]string{"prod": far}}, []string{"apps.api.repositories.prod: push from eventbridge (account 210987654321", "apps.api.repository: push from eventbridge"}},
	} {
		_, err := reachOf(t, c.app, config.Sources{EventBridge: &config.EventBridge{}}, config.Access{
			Who: config.Who{Push: &config.Push{Source: "eventbridge", Accounts: []string{"123456789012"}}}, May: []string{"order"}, Apps: []string{"*"}, Environments: []string{"*"},
		})
		got := sentences(err)
		if len(got) != len(c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("%s: %q, want %q", name, got[i], want)
			}
		}
	}
}

// A set that writes {repository} needs one in each environment.
func TestRepositoriesNameTheImage(t *testing.T) {
	s := newSite(t)
	s.edit("worker: {environments: [dev]}", "worker: {environments: [dev], set: image, repositories: {dev: registry.example.com/worker}}")
	server, err := s.newServer()
	s.must(err)
	s.must(server.Stop(t.Context()))
}
