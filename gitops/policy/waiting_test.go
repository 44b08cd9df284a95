package policy_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
)

// discovering is a policy under which apps of some names and images may become known.
func discovering(t *testing.T) *policy.Policy {
	t.Helper()
	p, err := policy.New(policy.Config{
		Environments: map[string]policy.Environment{
			"dev":  {Tags: policy.TagRule{Match: `main-[0-9a-f]{7,40}`}},
			"prod": {Tags: policy.TagRule{Semver: ">=1.0.0"}},
		},
		Apps:         map[string]policy.App{"api": {Repository: registry + "myshop/api", Environments: []string{"dev"}}, "shop-known": {}},
		MayNameApp:   func(name string) bool { return strings.HasPrefix(strings.ToLower(name), "shop-") },
		MayNameImage: func(repository string) bool { return strings.HasPrefix(repository, registry+"shop/") },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestAnOrderWaits for an app that may become known, where nothing else is wrong with it,
// and with all orders of the same dispatch.
func TestAnOrderWaits(t *testing.T) {
	p := discovering(t)
	known := gitops.Order{App: "api", Environment: "dev", Tag: "main-1a2b3c4"}
	job, token := gitops.Principal{Job: &gitops.Job{RepositoryID: "17"}}, gitops.Principal{Token: "ops"}
	for _, c := range []struct {
		name    string
		of      gitops.Principal
		orders  []gitops.Order
		outcome gitops.Outcome
		field   string
		reason  string
	}{
		{"a new app", ann, []gitops.Order{{App: "shop-web", Environment: "dev", Tag: "main-1a2b3c4"}}, gitops.OutcomeWaiting, "app", `no app "shop-web" is configured, and none was discovered yet`},
		{"with a known one", ann, []gitops.Order{known, {App: "shop-web", Environment: "prod", Tag: "1.2.3"}}, gitops.OutcomeWaiting, "app", `no app "shop-web"`},
		{"with a known one, and a digest", ann, ordersOf("api shop-web", "dev", "main-1a2b3c4", digest), gitops.OutcomeWaiting, "client_payload.app[1]", `no app "shop-web"`},
		{"a known app", ann, []gitops.Order{known}, gitops.OutcomeAccepted, "", ""},
		{"a known app elsewhere", ann, []gitops.Order{{App: "api", Environment: "prod", Tag: "1.2.3"}}, gitops.OutcomeRejected, "environment", "not configured for environment"},
		{"a name that none may have", ann, []gitops.Order{{App: "blog", Environment: "dev", Tag: "main-1a2b3c4"}}, gitops.OutcomeRejected, "app", "add it to apps"},
		{"no name", ann, []gitops.Order{{App: "shop-../x", Environment: "dev", Tag: "main-1a2b3c4"}}, gitops.OutcomeRejected, "app", "must"},
		{"an unknown environment", ann, []gitops.Order{{App: "shop-web", Environment: "qa", Tag: "main-1a2b3c4"}}, gitops.OutcomeRejected, "environment", `no environment "qa"`},
		{"no tag", ann, []gitops.Order{{App: "shop-web", Environment: "dev", Tag: "latest"}}, gitops.OutcomeRejected, "tag", "never reaches a manifest"},
		{"a tag that no app may have there", ann, []gitops.Order{{App: "shop-web", Environment: "prod", Tag: "main-1a2b3c4"}}, gitops.OutcomeRejected, "tag", "is not a semantic version"},
		{"no digest", ann, []gitops.Order{{App: "shop-web", Environment: "dev", Tag: "main-1a2b3c4", Digest: "sha256:1"}}, gitops.OutcomeRejected, "digest", "is not a digest"},
		{"another order cannot be", ann, []gitops.Order{{App: "shop-web", Environment: "dev", Tag: "main-1a2b3c4"}, {App: "blog", Environment: "dev", Tag: "main-1a2b3c4"}}, gitops.OutcomeRejected, "app", `"blog"`},
		{"a known name in capitals", ann, []gitops.Order{{App: "SHOP-known", Environment: "dev", Tag: "main-1a2b3c4"}}, gitops.OutcomeRejected, "app", "capitals count"},
		{"a job", job, []gitops.Order{{App: "shop-web", Environment: "dev", Tag: "main-1a2b3c4"}}, gitops.OutcomeRejected, "app", "and no file of the branch names it: add its file there"},
		{"a token", token, []gitops.Order{{App: "shop-web", Environment: "dev", Tag: "main-1a2b3c4"}}, gitops.OutcomeRejected, "app", "and no file of the branch names it: add its file there"},
	} {
		d, err := p.Plan(gitops.Event{Delivery: gitops.DeliveryKey{Source: "github", ID: "1"}, Principal: c.of, Orders: c.orders})
		if d.Outcome != c.outcome || d.Field != c.field || !strings.Contains(d.Reason, c.reason) || (err != nil) != (c.outcome == gitops.OutcomeRejected) {
			t.Errorf("%s: %s, %s: %s (%v)", c.name, d.Outcome, d.Field, d.Reason, err)
		}
		if accepted := d.Outcome == gitops.OutcomeAccepted; (len(d.Updates) > 0) != accepted {
			t.Errorf("%s: %d updates", c.name, len(d.Updates))
		}
	}
}

// TestAPushWaits where an app with its image may become known, and would take its tag.
func TestAPushWaits(t *testing.T) {
	p := discovering(t)
	for _, c := range []struct {
		repository, tag string
		outcome         gitops.Outcome
		reason          string
	}{
		{"shop/web", "1.2.3", gitops.OutcomeWaiting, "no app is configured with the repository " + registry + "shop/web, and none was discovered yet"},
		{"shop/web", "feature-1", gitops.OutcomeIgnored, "no app is configured with the repository"},
		{"shop/web", "", gitops.OutcomeIgnored, "without a tag"},
		{"shop/web", "latest", gitops.OutcomeIgnored, "no app is configured with the repository"},
		{"blog", "1.2.3", gitops.OutcomeIgnored, "no app is configured with the repository"},
		{"myshop/api", "1.2.3", gitops.OutcomeIgnored, `prod: app "api" is not configured for it`},
		{"myshop/api", "main-1a2b3c4", gitops.OutcomeAccepted, ""},
	} {
		e := gitops.Event{Push: &gitops.ImagePush{Account: "123456789012", Region: "ap-northeast-2", Repository: c.repository, Tag: c.tag}}
		d, err := p.Plan(e)
		if err != nil || d.Outcome != c.outcome || !strings.Contains(d.Reason, c.reason) || (len(d.Updates) > 0) != (c.outcome == gitops.OutcomeAccepted) {
			t.Errorf("%s:%s: %s: %s, %d updates (%v)", c.repository, c.tag, d.Outcome, d.Reason, len(d.Updates), err)
		}
	}
}

// TestNothingWaitsWithoutDiscovery is a configuration whose apps are all known.
func TestNothingWaitsWithoutDiscovery(t *testing.T) {
	p := myshop(t)
	order := gitops.Event{Principal: ann, Orders: []gitops.Order{{App: "shop", Environment: "dev", Tag: "main-1a2b3c4"}}}
	push := gitops.Event{Push: &gitops.ImagePush{Account: "123456789012", Region: "ap-northeast-2", Repository: "shop", Tag: "main-1a2b3c4"}}
	for e, want := range map[*gitops.Event]gitops.Outcome{&order: gitops.OutcomeRejected, &push: gitops.OutcomeIgnored} {
		if d, _ := p.Plan(*e); d.Outcome != want {
			t.Errorf("%s: %s", d.Outcome, d.Reason)
		}
	}
}
