package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
)

const harbor = "harbor.example.com:8443/shop/api"

// anyRegistry is an app whose images are in three registries.
func anyRegistry(t *testing.T) *policy.Policy {
	t.Helper()
	p, err := policy.New(policy.Config{
		Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: ".+"}}, "prod": {Tags: policy.TagRule{Semver: ">=1.0.0"}, Downgrades: true}, "qa": {Tags: policy.TagRule{Match: "v.+"}}},
		Apps: map[string]policy.App{
			"api": {Repository: harbor, Repositories: map[string]string{"qa": "123456789012.dkr-ecr.eu-west-1.on.aws/api"}},
			"web": {Repository: "ghcr.io/shop/web", Environments: []string{"dev"}, Tags: policy.TagRule{Semver: "^1"}},
			"job": {},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A push in any registry means the apps that have the image, by the name that is
// configured; of one in ECR by whichever host it is called.
func TestAPushInAnyRegistry(t *testing.T) {
	p := anyRegistry(t)
	for _, c := range []struct {
		image, tag string
		want       []gitops.Update
		reason     string
	}{
		{harbor, "1.2.0", []gitops.Update{{App: "api", Environment: "dev", Repository: harbor, Tag: "1.2.0"}, {App: "api", Environment: "prod", Repository: harbor, Tag: "1.2.0"}},
			"qa: tag 1.2.0 does not match v.+ (a regular expression for the whole tag)"},
		{"123456789012.dkr.ecr.eu-west-1.amazonaws.com/api", "v1", []gitops.Update{{App: "api", Environment: "qa", Repository: "123456789012.dkr-ecr.eu-west-1.on.aws/api", Tag: "v1"}},
			`dev: the repository of app "api" is ` + harbor + ` there; prod: tag v1 is not a semantic version (three numbers, and it has 1), and the rule is semver >=1.0.0`},
		{"ghcr.io/shop/api", "1.2.0", nil, "no app is configured with the repository ghcr.io/shop/api"},
		{"harbor.example.com/shop/api", "1.2.0", nil, "no app is configured with the repository harbor.example.com/shop/api"},
	} {
		d, err := p.Plan(gitops.Event{Push: &gitops.ImagePush{Image: c.image, Tag: c.tag}})
		if err != nil || d.Reason != c.reason {
			t.Errorf("%s: reason %q, want %q (%v)", c.image, d.Reason, c.reason, err)
		}
		if diff := cmp.Diff(c.want, d.Updates); diff != "" {
			t.Errorf("%s: %s", c.image, diff)
		}
	}
}

// What was found for some places is for no others, only goes up where versions are
// compared, and says of each place where it is not taken why.
func TestWhatIsFoundIsForItsPlaces(t *testing.T) {
	p := anyRegistry(t)
	for name, c := range map[string]struct {
		at      []gitops.Place
		want    []gitops.Update
		outcome gitops.Outcome
		reason  string
	}{
		"one place": {[]gitops.Place{{Environment: "prod", App: "api"}}, []gitops.Update{{App: "api", Environment: "prod", Repository: harbor, Tag: "1.2.0", OnlyUp: true}}, gitops.OutcomeAccepted, ""},
		"two places": {[]gitops.Place{{Environment: "dev", App: "api"}, {Environment: "qa", App: "api"}}, []gitops.Update{{App: "api", Environment: "dev", Repository: harbor, Tag: "1.2.0"}}, gitops.OutcomeAccepted,
			`qa: the repository of app "api" is 123456789012.dkr-ecr.eu-west-1.on.aws/api there`},
		"places that are gone": {[]gitops.Place{{Environment: "stage", App: "api"}, {Environment: "dev", App: "old"}}, nil, gitops.OutcomeIgnored,
			`no environment "stage" is configured (there are dev, prod, qa); dev: the repository of app "old" is not configured there`},
	} {
		d, err := p.Plan(gitops.Event{Principal: gitops.Principal{Poll: "harbor.example.com:8443"}, Push: &gitops.ImagePush{Image: harbor, Tag: "1.2.0", For: c.at}})
		if err != nil || d.Outcome != c.outcome || d.Reason != c.reason || d.Actor != "registry:harbor.example.com:8443" || d.Principal != "poll:harbor.example.com:8443" {
			t.Errorf("%s: %+v (%v)", name, d, err)
		}
		if diff := cmp.Diff(c.want, d.Updates); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// What was found is for apps that were known: it does not wait for others, as a push does.
func TestWhatIsFoundDoesNotWait(t *testing.T) {
	p, err := policy.New(policy.Config{
		Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: ".+"}}},
		MayNameImage: func(repository string) bool { return repository == harbor },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at   []gitops.Place
		want gitops.Outcome
	}{{nil, gitops.OutcomeWaiting}, {[]gitops.Place{{Environment: "dev", App: "api"}}, gitops.OutcomeIgnored}} {
		if d, _ := p.Plan(gitops.Event{Push: &gitops.ImagePush{Image: harbor, Tag: "v1", For: c.at}}); d.Outcome != c.want {
			t.Errorf("for %v: %s, %s", c.at, d.Outcome, d.Reason)
		}
	}
}

// The places of an image are the apps that have it in the environments that are asked for.
func TestPlaces(t *testing.T) {
	p := anyRegistry(t)
	want := map[string][]gitops.Place{
		harbor:             {{Environment: "dev", App: "api"}, {Environment: "prod", App: "api"}},
		"ghcr.io/shop/web": {{Environment: "dev", App: "web"}},
	}
	if diff := cmp.Diff(want, p.Places([]string{"prod", "dev"})); diff != "" {
		t.Error(diff)
	}
	if got := p.Places(nil); len(got) != 0 {
		t.Errorf("in no environment: %v", got)
	}
	for place, want := range map[gitops.Place]bool{{Environment: "dev", App: "api"}: false, {Environment: "prod", App: "api"}: true, {Environment: "dev", App: "web"}: true} {
		if got := p.ComparesVersions(place.Environment, place.App); got != want {
			t.Errorf("%v compares versions: %t", place, got)
		}
	}
}
