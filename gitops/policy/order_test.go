package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
)

// ordersOf are those of a dispatch that names apps and environments, in lists of more
// than one.
func ordersOf(apps, environments, tag, digest string) (orders []gitops.Order) {
	place := func(list []string, i int) int {
		if len(list) == 1 {
			return 0
		}
		return i + 1
	}
	envs, names := strings.Split(environments, " "), strings.Split(apps, " ")
	for e, env := range envs {
		for a, app := range names {
			orders = append(orders, gitops.Order{App: app, Environment: env, Tag: tag, Digest: digest, Within: "client_payload", AppPlace: place(names, a), EnvironmentPlace: place(envs, e)})
		}
	}
	return orders
}

// Orders that came together are planned together: each becomes an update, in their order.
func TestOrdersBecomeUpdates(t *testing.T) {
	d, err := myshop(t).Plan(gitops.Event{Principal: ann, Orders: ordersOf("legacy api", "staging prod", "1.2.3", "")})
	if err != nil || d.Outcome != gitops.OutcomeAccepted {
		t.Fatal(d, err)
	}
	var got []string
	for _, u := range d.Updates {
		got = append(got, fmt.Sprintf("%s/%s %s %s", u.Environment, u.App, u.Repository, u.Tag))
	}
	want := []string{"staging/legacy  1.2.3", "staging/api " + registry + "myshop/api 1.2.3", "prod/legacy  1.2.3", "prod/api " + registry + "myshop/api 1.2.3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Of orders that came together nothing becomes an update when one of them cannot be, and
// the error has each problem once, with its field.
func TestEveryProblemOfOrdersIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		orders []gitops.Order
		field  string
		want   string
	}{
		"the last app": {ordersOf("api legacy shop", "dev", "main-1a2b3c4", ""), "client_payload.app[2]",
			`no app "shop" is configured: add it to apps, or correct the name`},
		"an app in each environment": {ordersOf("shop", "staging prod", "1.2.3", ""), "client_payload.app",
			`no app "shop" is configured: add it to apps, or correct the name`},
		"apps and an environment": {ordersOf("a api b", "qa prod", "1.2.3", ""), "client_payload.app[0]",
			`no app "a" is configured: add it to apps, or correct the name; ` +
				`client_payload.env[0]: no environment "qa" is configured (there are dev, prod, staging); ` +
				`client_payload.app[2]: no app "b" is configured: add it to apps, or correct the name`},
		"a tag in two environments": {ordersOf("api legacy", "dev prod", "0.9.0", ""), "client_payload.tag",
			"dev: tag 0.9.0 does not match main-[0-9a-f]{7,40} (a regular expression for the whole tag); " +
				"client_payload.tag: prod: tag 0.9.0 does not satisfy semver >=1.0.0"},
		"an app that is elsewhere": {ordersOf("api worker", "staging prod", "1.2.3", ""), "client_payload.env[0]",
			`app "worker" is not configured for environment "staging" (it is in dev): add that to the app's environments, or correct the name; ` +
				`client_payload.env[1]: app "worker" is not configured for environment "prod" (it is in dev): add that to the app's environments, or correct the name`},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := myshop(t).Plan(gitops.Event{Principal: ann, Orders: c.orders})
			if gitops.CodeOf(err) != gitops.Rejected || d.Outcome != gitops.OutcomeRejected || len(d.Updates) != 0 {
				t.Fatalf("%+v, %v", d, err)
			}
			if d.Field != c.field || gitops.PublicOf(err) != d.Field+": "+d.Reason {
				t.Errorf("the field is %q, the error %v", d.Field, err)
			}
			if d.Reason != c.want {
				t.Errorf("got\n%s\nwant\n%s", d.Reason, c.want)
			}
		})
	}
}

// A commit that is not named in full is rejected, in the sender's words.
func TestARevisionIsNamedInFull(t *testing.T) {
	const sha = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
	for _, within := range []string{"client_payload", ""} {
		field := map[bool]string{true: "client_payload.sha", false: "revision"}[within != ""]
		for revision, ok := range map[string]bool{"": true, sha: true, sha[:7]: false, strings.ToUpper(sha): false, sha + sha[:24]: false, "main": false, sha[:39] + "g": false, " " + sha[1:]: false} {
			d, err := myshop(t).Plan(gitops.Event{Principal: ann, Orders: []gitops.Order{{App: "api", Environment: "dev", Tag: "main-1a2b3c4", Revision: revision, Within: within}}})
			if (err == nil) != ok || !ok && (gitops.CodeOf(err) != gitops.Rejected || d.Field != field || !strings.Contains(d.Reason, "is not the full name of a commit: 40 hexadecimal digits in lower case")) {
				t.Errorf("%q: %+v, %v", revision, d, err)
			}
		}
	}
}

// Names that look like one that there is are not taken for it.
func TestOrdersAreTakenByTheLetter(t *testing.T) {
	p := myshop(t)
	for _, app := range []string{"API", "Api", "\u0430pi", "api\u200b", "api ", "\uff41pi"} {
		d, err := p.Plan(gitops.Event{Principal: ann, Orders: ordersOf("api "+strings.ReplaceAll(app, " ", "\u00a0"), "prod", "1.2.3", "")})
		if gitops.CodeOf(err) != gitops.Rejected || d.Field != "client_payload.app[1]" || len(d.Updates) > 0 {
			t.Errorf("%q: %+v, %v", app, d, err)
		}
	}
	for _, several := range []gitops.Order{{App: "api,worker", Environment: "dev", Tag: "main-1a2b3c4"}, {App: "api", Environment: "dev prod", Tag: "main-1a2b3c4"}} {
		if _, err := p.Plan(gitops.Event{Principal: ann, Orders: []gitops.Order{several}}); err == nil || !strings.HasSuffix(err.Error(), ": for several names send a list") {
			t.Errorf("%+v: %v", several, err)
		}
	}
}

// What is said of an order is bounded, and says that something is left out.
func TestProblemsOfOrdersAreBounded(t *testing.T) {
	var apps []string
	for i := range 5_000 {
		apps = append(apps, fmt.Sprintf("shop-%d", i))
	}
	d, err := myshop(t).Plan(gitops.Event{Principal: ann, Orders: ordersOf(strings.Join(apps, " "), "dev", "main-1a2b3c4", "")})
	if err == nil || !strings.HasSuffix(d.Reason, `client_payload.app[9]: no app "shop-9" is configured: add it to apps, or correct the name; and more`) {
		t.Errorf("got %s", d.Reason)
	}
	long := strings.Repeat("x", 95)
	for i := range apps {
		apps[i] = fmt.Sprintf("%s-%04d", long, i)
	}
	if d, _ := myshop(t).Plan(gitops.Event{Principal: ann, Orders: ordersOf(strings.Join(apps, " "), long+" "+long+"y", "main-1a2b3c4", "")}); len(d.Reason) > 2_003 {
		t.Errorf("the reason has %d bytes", len(d.Reason))
	}
}

// A digest is of one image: of several apps it is only taken where their image is one.
func TestDigestOfSeveralApps(t *testing.T) {
	p, err := policy.New(policy.Config{
		Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: ".*"}}, "prod": {Tags: policy.TagRule{Match: ".*"}}},
		Apps: map[string]policy.App{
			"api":    {Repository: registry + "dev/shop", Repositories: map[string]string{"prod": registry + "prod/shop"}},
			"worker": {Repository: registry + "dev/shop", Repositories: map[string]string{"prod": registry + "prod/shop"}},
			"cron":   {Repository: registry + "dev/shop", Repositories: map[string]string{"prod": registry + "prod/cron"}},
			"legacy": {}, "older": {},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ apps, environments, digest, want string }{
		{"api", "dev prod", digest, ""},
		{"legacy", "dev prod", digest, ""},
		{"api worker", "dev prod", digest, ""},
		{"api worker cron", "dev", digest, ""},
		{"api legacy older", "dev prod", "", ""},
		{"api worker cron", "dev prod", digest, "is of one image, and cron has " + registry + "prod/cron where api has " + registry + "prod/shop"},
		{"api legacy", "dev", digest, "is of one image, and legacy has no configured repository where api has " + registry + "dev/shop"},
		{"legacy older", "dev", digest, "is of one image, and older has no configured repository where legacy has no configured repository: order each app by itself, or leave the digest out"},
	} {
		d, err := p.Plan(gitops.Event{Principal: ann, Orders: ordersOf(c.apps, c.environments, "v1", c.digest)})
		if (c.want == "") != (err == nil) || !strings.HasPrefix(d.Reason, c.want) || err != nil && (d.Field != "client_payload.digest" || len(d.Updates) > 0) {
			t.Errorf("%s in %s: %+v, %v", c.apps, c.environments, d, err)
		}
	}
}

// What else is known of an app that is not there is said in place of "no such app".
func TestProblemOfAnOrderedApp(t *testing.T) {
	p, err := policy.New(policy.Config{
		Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: ".*"}}},
		Apps:         map[string]policy.App{"api": {}},
		Problem: func(environment, app string) (string, bool) {
			return environment + "/" + app + " is at two paths", app == "cart"
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Plan(gitops.Event{Principal: ann, Orders: ordersOf("cart api pay", "dev", "v1", "")})
	if want := `dev/cart is at two paths; client_payload.app[2]: no app "pay" is configured: add it to apps, or correct the name`; err == nil || d.Field != "client_payload.app[0]" || d.Reason != want {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := p.Plan(gitops.Event{Principal: ann, Orders: ordersOf("api", "dev", "v1", "")}); err != nil || len(d.Updates) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
}

// A push says of an app that has a problem in one environment what it is: what is left out
// there has to be ordered again when it is solved.
func TestProblemOfAPushedApp(t *testing.T) {
	const host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/"
	rule := policy.Environment{Tags: policy.TagRule{Match: "v.*"}}
	p, err := policy.New(policy.Config{
		Environments: map[string]policy.Environment{"dev": rule, "prod": rule, "qa": rule},
		Apps:         map[string]policy.App{"api": {Repository: host + "api", Environments: []string{"dev"}}},
		Problem:      func(environment, app string) (string, bool) { return "prod.yaml cannot be read", environment == "prod" },
	})
	if err != nil {
		t.Fatal(err)
	}
	push := gitops.ImagePush{Account: "123456789012", Region: "eu-west-1", Repository: "api", Tag: "v1"}
	d, err := p.Plan(gitops.Event{Push: &push})
	if want := `prod: prod.yaml cannot be read; qa: app "api" is not configured for it`; err != nil || len(d.Updates) != 1 || d.Reason != want {
		t.Errorf("%+v, %v", d, err)
	}
}
