package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
)

const (
	devImage  = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/api"
	prodImage = "210987654321.dkr.ecr.eu-west-1.amazonaws.com/prod/api"
)

// twoRegistries is an app whose prod has a registry of its own.
func twoRegistries() policy.Config {
	return policy.Config{
		Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: ".+"}}, "prod": {Tags: policy.TagRule{Semver: ">=1.0.0"}}, "qa": {Tags: policy.TagRule{Match: ".+"}}},
		Apps: map[string]policy.App{
			"api": {Repository: devImage, Repositories: map[string]string{"prod": prodImage}, Environments: []string{"dev", "prod"}},
			"web": {Repositories: map[string]string{"prod": prodImage, "qa": "registry.example.com/web"}},
		},
	}
}

// An update has the repository of its environment, and only a push to that means it.
func TestEachEnvironmentHasItsRepository(t *testing.T) {
	p, err := policy.New(twoRegistries())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		account, name string
		want          []gitops.Update
		reason        string
	}{
		{"123456789012", "api", []gitops.Update{{App: "api", Environment: "dev", Repository: devImage, Tag: "1.2.3"}},
			`prod: the repository of app "api" is ` + prodImage + ` there; qa: app "api" is not configured for it`},
		{"210987654321", "prod/api", []gitops.Update{{App: "api", Environment: "prod", Repository: prodImage, Tag: "1.2.3", OnlyUp: true}, {App: "web", Environment: "prod", Repository: prodImage, Tag: "1.2.3", OnlyUp: true}},
			`dev: the repository of app "api" is ` + devImage + ` there; dev: the repository of app "web" is not configured there; ` +
				`qa: app "api" is not configured for it; qa: the repository of app "web" is registry.example.com/web there`},
	} {
		d, err := p.Plan(gitops.Event{Push: &gitops.ImagePush{Account: c.account, Region: "eu-west-1", Repository: c.name, Tag: "1.2.3"}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, d.Updates); diff != "" || d.Reason != c.reason {
			t.Errorf("%s: %s\nreason %s", c.name, diff, d.Reason)
		}
	}
	for env, want := range map[string]string{"dev": devImage, "prod": prodImage} {
		d, err := p.Plan(gitops.Event{Orders: []gitops.Order{{App: "api", Environment: env, Tag: "1.2.3"}}})
		if err != nil || d.Updates[0].Repository != want {
			t.Errorf("an order in %s: %+v, %v", env, d, err)
		}
	}
}

// What one image means is counted in the environments that take it from there.
func TestFanOutCountsEachRepositoryWhereItIsUsed(t *testing.T) {
	c := twoRegistries()
	c.MaxUpdates = 1
	_, err := policy.New(c)
	if got := gitops.PublicOf(err); strings.Count(got, "means") != 1 || !strings.Contains(got, prodImage+" means 2 updates") {
		t.Errorf("got %v", err)
	}
}

func TestRepositoriesAreStrict(t *testing.T) {
	for name, c := range map[string]struct {
		app  policy.App
		want string
	}{
		"an unknown environment":   {policy.App{Repositories: map[string]string{"pord": prodImage}}, `apps.api.repositories.pord: "pord" is not among the configured environments (dev, prod, qa)`},
		"where the app is not":     {policy.App{Repositories: map[string]string{"prod": prodImage}, Environments: []string{"dev"}}, `apps.api.repositories.prod: the app is not in "prod": add it to apps.api.environments`},
		"no image":                 {policy.App{Repositories: map[string]string{"prod": ""}}, "apps.api.repositories.prod: must be an image name"},
		"an image with a tag":      {policy.App{Repositories: map[string]string{"prod": prodImage + ":v1"}}, "apps.api.repositories.prod: must be an image name"},
		"nearly one of ECR":        {policy.App{Repositories: map[string]string{"prod": "1.dkr.ecr.eu-west-1.amazonaws.com/api"}}, "apps.api.repositories.prod: 1.dkr.ecr.eu-west-1.amazonaws.com is not a host of Amazon ECR: "},
		"an empty map":             {policy.App{Repositories: map[string]string{}}, "apps.api.repositories: must name at least one environment"},
		"one that is never used":   {policy.App{Repository: devImage, Repositories: map[string]string{"prod": prodImage}, Environments: []string{"prod"}}, "apps.api.repository: is never used: each environment of the app has a repository of its own"},
		"the default used for one": {policy.App{Repository: devImage, Repositories: map[string]string{"dev": prodImage, "prod": prodImage}}, ""},
	} {
		config := twoRegistries()
		config.Apps = map[string]policy.App{"api": c.app}
		_, err := policy.New(config)
		var e *gitops.Error
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &e) || e.Code != gitops.Invalid || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// What is not an image's name is shown, with what to write.
func TestARepositoryThatIsNoName(t *testing.T) {
	for repository, says := range map[string]string{
		registry + "api:latest":     `api:latest"; leave :latest out`,
		registry + "api@sha256:abc": `api@sha256:abc"; leave @sha256:abc out`,
		"https://" + registry + "a": `; write ` + registry + "a",
		registry + "Shop":           `; write it in small letters, as registries do`,
		"api":                       `, not "api"; write the registry's host before it`,
		registry:                    `, not "` + registry + `"`,
	} {
		_, err := policy.New(policy.Config{
			Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: "main-.*"}}},
			Apps:         map[string]policy.App{"api": {Repository: repository}},
		})
		if gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), "apps.api.repository: must be an image name without tag or digest, such as ") || !strings.HasSuffix(err.Error(), says) {
			t.Errorf("%s: got %v, want %s", repository, err, says)
		}
	}
}
