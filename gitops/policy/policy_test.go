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
	registry = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/"
	digest   = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

func myshop(t *testing.T) *policy.Policy {
	t.Helper()
	p, err := policy.New(policy.Config{
		Environments: map[string]policy.Environment{
			"dev":     {Tags: policy.TagRule{Match: `main-[0-9a-f]{7,40}`}},
			"staging": {Tags: policy.TagRule{Match: `v?[0-9.]+`, Semver: ">=1.0.0-0"}},
			"prod":    {Tags: policy.TagRule{Semver: ">=1.0.0"}},
		},
		Apps: map[string]policy.App{
			"api":    {Repository: registry + "myshop/api"},
			"worker": {Repository: registry + "myshop/api", Environments: []string{"dev"}},
			"legacy": {},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var ann = gitops.Principal{Dispatch: &gitops.DispatchSender{RepositoryID: 17, Sender: "ann", SenderID: 3}}

func TestOrder(t *testing.T) {
	p := myshop(t)
	for _, c := range []struct {
		name  string
		order gitops.Order
		want  string // the refusal, "" when it is accepted
	}{
		{"a commit to dev", gitops.Order{App: "api", Environment: "dev", Tag: "main-1a2b3c4"}, ""},
		{"with a digest", gitops.Order{App: "api", Environment: "dev", Tag: "main-1a2b3c4", Digest: digest}, ""},
		{"with a revision", gitops.Order{App: "api", Environment: "dev", Tag: "main-1a2b3c4", Revision: strings.Repeat("ab", 20)}, ""},
		{"a version to prod", gitops.Order{App: "api", Environment: "prod", Tag: "v1.2.3"}, ""},
		{"both rules hold", gitops.Order{App: "api", Environment: "staging", Tag: "1.2.3"}, ""},
		{"an app without repository", gitops.Order{App: "legacy", Environment: "dev", Tag: "main-1a2b3c4"}, ""},
		{"no app", gitops.Order{Environment: "dev", Tag: "main-1a2b3c4"}, "client_payload.app: is missing"},
		{"no env", gitops.Order{App: "api", Tag: "main-1a2b3c4"}, "client_payload.env: is missing"},
		{"no tag", gitops.Order{App: "api", Environment: "dev"}, "client_payload.tag: is missing"},
		{"a path for an app", gitops.Order{App: "../../etc", Environment: "dev", Tag: "x"}, "client_payload.app: must be 1 to 100 of"},
		{"dots in the middle", gitops.Order{App: "a..b", Environment: "dev", Tag: "x"}, `client_payload.app: must not contain ".."`},
		{"a newline in the tag", gitops.Order{App: "api", Environment: "dev", Tag: "main-1a2b3c4\nx"}, `client_payload.tag: "main-1a2b3c4\nx" is not an image tag`},
		{"a short digest", gitops.Order{App: "api", Environment: "dev", Tag: "main-1a2b3c4", Digest: "sha256:abc"}, `client_payload.digest: "sha256:abc" is not a digest`},
		{"an unknown app", gitops.Order{App: "shop", Environment: "dev", Tag: "main-1a2b3c4"}, `client_payload.app: no app "shop" is configured: add it to apps, or correct the name`},
		{"an unknown environment", gitops.Order{App: "api", Environment: "qa", Tag: "main-1a2b3c4"}, `client_payload.env: no environment "qa" is configured (there are dev, prod, staging)`},
		{"an app in another case", gitops.Order{App: "Api", Environment: "dev", Tag: "main-1a2b3c4"}, `client_payload.app: no app "Api" is configured: capitals count, and there is api`},
		{"an environment in another case", gitops.Order{App: "api", Environment: "PROD", Tag: "1.2.3"}, `client_payload.env: no environment "PROD" is configured: capitals count, and there is prod`},
		{"not there", gitops.Order{App: "worker", Environment: "prod", Tag: "1.2.3"}, `client_payload.env: app "worker" is not configured for environment "prod"`},
		{"latest", gitops.Order{App: "api", Environment: "dev", Tag: "latest"}, `client_payload.tag: "latest" never reaches a manifest`},
		{"a commit to prod", gitops.Order{App: "api", Environment: "prod", Tag: "main-1a2b3c4"}, "client_payload.tag: prod: tag main-1a2b3c4 is not a semantic version (three numbers, such as 1.4.2), and the rule is semver >=1.0.0"},
		{"digits are no version", gitops.Order{App: "api", Environment: "prod", Tag: "20240102"}, "is not a semantic version"},
		{"too old for prod", gitops.Order{App: "api", Environment: "prod", Tag: "0.9.0"}, "client_payload.tag: prod: tag 0.9.0 does not satisfy semver >=1.0.0"},
		{"a pre-release to prod", gitops.Order{App: "api", Environment: "prod", Tag: "1.2.3-rc.1"}, "tag 1.2.3-rc.1 is a pre-release, and semver >=1.0.0 takes none: a constraint that names one does, such as >=1.0.0-0"},
		{"one of two rules", gitops.Order{App: "api", Environment: "staging", Tag: "1.2.3-rc.1"}, "does not match v?[0-9.]+ (a regular expression for the whole tag)"},
		{"the whole tag must match", gitops.Order{App: "api", Environment: "dev", Tag: "xmain-1a2b3c4"}, "does not match"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.order.Within = "client_payload"
			d, err := p.Plan(gitops.Event{Delivery: gitops.DeliveryKey{Source: "github", ID: "g1"}, Principal: ann, Orders: []gitops.Order{c.order}})
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				want := gitops.Update{Environment: c.order.Environment, App: c.order.App, Tag: c.order.Tag, Digest: c.order.Digest, Revision: c.order.Revision}
				if c.order.App != "legacy" {
					want.Repository = registry + "myshop/api"
				}
				if diff := cmp.Diff(gitops.Delivery{Source: "github", ID: "g1", Actor: "github:ann", Principal: "dispatch:17", Outcome: gitops.OutcomeAccepted, Updates: []gitops.Update{want}}, d); diff != "" {
					t.Error(diff)
				}
				return
			}
			var refusal *gitops.Error
			if !errors.As(err, &refusal) || refusal.Code != gitops.Rejected || !strings.Contains(refusal.Public(), c.want) {
				t.Fatalf("refused with %v, want rejected: %s", err, c.want)
			}
			if d.Outcome != gitops.OutcomeRejected || d.Field != refusal.Field || d.Reason != refusal.Message || len(d.Updates) != 0 {
				t.Errorf("the delivery does not say why it was refused: %+v", d)
			}
		})
	}
}

func TestPush(t *testing.T) {
	p := myshop(t)
	push := func(edit func(*gitops.ImagePush)) gitops.ImagePush {
		e := gitops.ImagePush{Account: "123456789012", Region: "ap-northeast-2", Repository: "myshop/api", Tag: "main-1a2b3c4", Digest: digest}
		edit(&e)
		return e
	}
	for _, c := range []struct {
		name    string
		push    gitops.ImagePush
		targets []string
		reason  string
	}{
		{"every app of the repository", push(func(e *gitops.ImagePush) {}), []string{"dev/api", "dev/worker"},
			"prod: tag main-1a2b3c4 is not a semantic version (three numbers, such as 1.4.2), and the rule is semver >=1.0.0; staging: tag main-1a2b3c4 does not match v?[0-9.]+ (a regular expression for the whole tag)"},
		{"every environment whose rule takes it", push(func(e *gitops.ImagePush) { e.Tag = "1.0.0" }), []string{"prod/api", "staging/api"}, `prod: app "worker" is not configured for it`},
		{"no tag", push(func(e *gitops.ImagePush) { e.Tag = "" }), nil, "the image was pushed without a tag"},
		{"latest", push(func(e *gitops.ImagePush) { e.Tag = "latest" }), nil, `"latest" never reaches a manifest`},
		{"no such tag exists", push(func(e *gitops.ImagePush) { e.Tag = "a b" }), nil, `detail.image-tag: "a b" is not an image tag`},
		{"a digest that is not one", push(func(e *gitops.ImagePush) { e.Digest = "sha256:12" }), nil, `detail.image-digest: "sha256:12" is not a digest`},
		{"another account", push(func(e *gitops.ImagePush) { e.Account = "999999999999" }), nil, "no app is configured with the repository 999999999999.dkr.ecr.ap-northeast-2.amazonaws.com/myshop/api"},
		{"another region", push(func(e *gitops.ImagePush) { e.Region = "us-east-1" }), nil, "no app is configured with the repository"},
		{"another name", push(func(e *gitops.ImagePush) { e.Repository = strings.Repeat("x", 9999) }), nil, "no app is configured with the repository"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := p.Plan(gitops.Event{Push: &c.push})
			if err != nil {
				t.Fatal(err)
			}
			var targets []string
			for _, u := range d.Updates {
				if u.Tag != c.push.Tag || u.Digest != c.push.Digest || u.Repository != registry+"myshop/api" {
					t.Errorf("update %+v does not carry the image", u)
				}
				targets = append(targets, u.Environment+"/"+u.App)
			}
			if diff := cmp.Diff(c.targets, targets); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(d.Reason, c.reason) || len(d.Reason) > 1000 {
				t.Errorf("reason %q, want %q", d.Reason, c.reason)
			}
			if want := map[bool]gitops.Outcome{true: gitops.OutcomeAccepted, false: gitops.OutcomeIgnored}[len(c.targets) > 0]; d.Outcome != want {
				t.Errorf("outcome %s, want %s", d.Outcome, want)
			}
		})
	}
}

func TestPlanOfNothingAndOfAFault(t *testing.T) {
	p := myshop(t)
	d, err := p.Plan(gitops.Event{IgnoreReason: "a ping"})
	if err != nil || d.Outcome != gitops.OutcomeIgnored || d.Reason != "a ping" {
		t.Errorf("got %+v, %v", d, err)
	}
	fault := &gitops.Error{Code: gitops.Rejected, Field: "client_payload", Message: "is missing"}
	d, err = p.Plan(gitops.Event{Violation: fault})
	if !errors.Is(err, fault) || d.Outcome != gitops.OutcomeRejected || d.Field != "client_payload" || d.Reason != "is missing" {
		t.Errorf("got %+v, %v", d, err)
	}
}

func TestNewReportsEverythingAtOnce(t *testing.T) {
	_, err := policy.New(policy.Config{
		Environments: map[string]policy.Environment{"dev": {}, "prod": {Tags: policy.TagRule{Semver: "newest"}}},
		Apps:         map[string]policy.App{"api": {Repository: "api:v1", Environments: []string{"qa", "dev"}}},
	})
	for _, want := range []string{"environments.dev.tags: ", "environments.prod.tags.semver: ", "apps.api.repository: ", "apps.api.environments[0]: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

func TestNewNamesTheField(t *testing.T) {
	anyTag := policy.TagRule{Match: ".*"}
	dev := map[string]policy.Environment{"dev": {Tags: anyTag}}
	for want, c := range map[string]policy.Config{
		"environments.Dev!: must be 1 to 100": {Environments: map[string]policy.Environment{"Dev!": {}}},
		"environments.dev: differs from environments.Dev only in case: give one of the two another name": {Environments: map[string]policy.Environment{"Dev": {Tags: anyTag}, "dev": {Tags: anyTag}, "prod": {Tags: anyTag}}},
		"apps.Api: differs from apps.API only in case":                                                   {Environments: dev, Apps: map[string]policy.App{"Api": {}, "API": {}, "web": {}}},
		"environments.dev.tags: must have match or semver":                                               {Environments: map[string]policy.Environment{"dev": {}}},
		"environments.dev.tags.match: is not a regular expression":                                       {Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: "a)|(b"}}}},
		"environments.dev.tags.semver: is not a version":                                                 {Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Semver: "newest"}}}},
		"apps.a/b: must be 1 to 100":                                                                     {Environments: dev, Apps: map[string]policy.App{"a/b": {}}},
		"apps.api.repository: must be an image name":                                                     {Environments: dev, Apps: map[string]policy.App{"api": {Repository: "example.com/api:v1"}}},
		`apps.api.environments[0]: "qa" is not among`:                                                    {Environments: dev, Apps: map[string]policy.App{"api": {Environments: []string{"qa"}}}},
	} {
		_, err := policy.New(c)
		if gitops.CodeOf(err) != gitops.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
