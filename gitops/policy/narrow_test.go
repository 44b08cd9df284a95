package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
)

// narrowing is a policy of dev, which takes builds of main, and prod, which takes versions,
// with an app api of one rule and web of none.
func narrowing(own policy.TagRule) policy.Config {
	return policy.Config{
		Environments: map[string]policy.Environment{
			"dev":  {Tags: policy.TagRule{Match: `(main|api-main)-[0-9a-f]{7,40}|api-.*`}},
			"prod": {Tags: policy.TagRule{Semver: ">=1.0.0"}},
		},
		Apps: map[string]policy.App{"api": {Repository: registry + "shop", Tags: own}, "web": {Repository: registry + "shop"}},
	}
}

func inDev(c policy.Config) policy.Config {
	api := c.Apps["api"]
	api.Environments = []string{"dev"}
	c.Apps["api"] = api
	return c
}

// A tag must satisfy the environment's rule and the app's: who refuses it is named, with a
// tag that both take. Other apps are as they were.
func TestAnAppNarrowsItsTags(t *testing.T) {
	for _, c := range []struct {
		config      policy.Config
		environment string
		tag, says   string
	}{
		{inDev(narrowing(policy.TagRule{Match: "api-.*"})), "dev", "api-main-1a2b3c4", ""},
		{inDev(narrowing(policy.TagRule{Match: "api-.*"})), "dev", "main-1a2b3c4",
			`dev: by the rule of app "api", tag main-1a2b3c4 does not match api-.* (a regular expression for the whole tag); both rules take tags such as api-0`},
		{inDev(narrowing(policy.TagRule{Match: "api-.*"})), "dev", "1.0.0",
			`dev: by the environment's rule, tag 1.0.0 does not match (main|api-main)-[0-9a-f]{7,40}|api-.* (a regular expression for the whole tag); ` +
				`by the rule of app "api", tag 1.0.0 does not match api-.* (a regular expression for the whole tag); both rules take tags such as api-0`},
		{inDev(narrowing(policy.TagRule{Match: "[a-z]+-.*"})), "dev", "web-1", `dev: by the environment's rule, tag web-1 does not match`},
		{prodOnly(policy.TagRule{Semver: "^2"}), "prod", "v2.1.0", ""},
		{prodOnly(policy.TagRule{Semver: "^2"}), "prod", "1.4.0", `prod: by the rule of app "api", tag 1.4.0 does not satisfy semver ^2; both rules take tags such as 2.0.0`},
		{prodOnly(policy.TagRule{Semver: "^2"}), "prod", "2.0.0-rc.1", `prod: by the environment's rule, tag 2.0.0-rc.1 is a pre-release`},
	} {
		p, err := policy.New(c.config)
		if err != nil {
			t.Errorf("%s: %v", c.tag, err)
			continue
		}
		_, err = p.Plan(gitops.Event{Orders: []gitops.Order{{App: "api", Environment: c.environment, Tag: c.tag}}})
		if (err == nil) != (c.says == "") || err != nil && (gitops.CodeOf(err) != gitops.Rejected || !strings.HasPrefix(err.Error(), "tag: "+c.says)) {
			t.Errorf("%s ordered: %v, want %s", c.tag, err, c.says)
		}
		push := gitops.ImagePush{Account: "123456789012", Region: "ap-northeast-2", Repository: "shop", Tag: c.tag}
		if got := p.WhyNot(push, c.environment, "api"); got != strings.TrimPrefix(strings.TrimPrefix(errorText(err), "tag: "), c.environment+": ") {
			t.Errorf("%s pushed: %q, and ordered: %v", c.tag, got, err)
		}
	}
}

func prodOnly(own policy.TagRule) policy.Config {
	c := narrowing(own)
	api := c.Apps["api"]
	api.Environments = []string{"prod"}
	c.Apps["api"] = api
	return c
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A push is an update of the apps whose rules take its tag, and of no other.
func TestAPushIsForTheAppsThatTakeItsTag(t *testing.T) {
	p, err := policy.New(inDev(narrowing(policy.TagRule{Match: "api-.*"})))
	if err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string]string{"api-7": "dev/api dev/web", "main-1a2b3c4": "dev/web", "1.2.3": "prod/web"} {
		d, err := p.Plan(gitops.Event{Push: &gitops.ImagePush{Account: "123456789012", Region: "ap-northeast-2", Repository: "shop", Tag: tag}})
		var got []string
		for _, u := range d.Updates {
			got = append(got, u.Environment+"/"+u.App)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v, want %s", tag, got, err, want)
		}
		if says := `dev: by the rule of app "api", tag main-1a2b3c4 does not match api-.*`; (tag == "main-1a2b3c4") != strings.Contains(d.Reason, says) {
			t.Errorf("%s: %s", tag, d.Reason)
		}
	}
}

// Rules that leave an app no tag in an environment are refused, with what each takes and
// the way out.
func TestRulesWithoutATagInCommonAreRefused(t *testing.T) {
	for _, c := range []struct {
		env, own policy.TagRule
		says     string
	}{
		{policy.TagRule{Semver: ">=1.0.0"}, policy.TagRule{Match: "main-.*"},
			"it takes tags such as main-, which is not a version (three numbers, such as 1.4.2), and prod takes such as 1.0.0. Widen one of the two; or take the app out of prod"},
		{policy.TagRule{Match: "main-.*"}, policy.TagRule{Semver: "^2"},
			"it takes tags such as 2.0.0, and prod takes such as main-, which is not a version (three numbers, such as 1.4.2). Widen one of the two"},
		{policy.TagRule{Semver: ">=1.0.0 <2.0.0"}, policy.TagRule{Semver: "^2"}, "it takes tags such as 2.0.0, and prod takes such as 1.0.0. Widen one of the two"},
		{policy.TagRule{Match: "main-.*"}, policy.TagRule{Match: "api-.*"}, "it takes tags such as api-, and prod takes such as main-."},
		{policy.TagRule{Semver: ">=1.0.0"}, policy.TagRule{Match: `.*-rc\.[0-9]+`},
			"it takes pre-releases such as 1.0.0-rc.0, and semver >=1.0.0 of prod takes none. Write there a constraint that names one, such as >=1.0.0-0; or take the app out of prod"},
		{policy.TagRule{Match: `.*-rc\.[0-9]+`}, policy.TagRule{Semver: "^2"},
			"prod takes pre-releases such as 2.0.0-rc.0, and semver ^2 takes none. Write a constraint that names one, such as ^2.0.0-0"},
		{policy.TagRule{Match: `v.*`, Semver: ">=1.0.0"}, policy.TagRule{Match: `[0-9.]+`, Semver: "*"}, "it takes tags such as 0.0.0, and prod takes such as v1.0.0."},
	} {
		_, err := policy.New(policy.Config{
			Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: ".+"}}, "prod": {Tags: c.env}},
			Apps:         map[string]policy.App{"api": {Tags: c.own}, "web": {}},
		})
		if want := "apps.api.tags: no tag satisfies it and environments.prod.tags at once: " + c.says; gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(errorText(err), want) || strings.Contains(errorText(err), "environments.dev") {
			t.Errorf("%+v in %+v:\n got %v\nwant %s", c.own, c.env, err, want)
		}
	}
}

// A rule that is wrong by itself, or hardly meant, is named by its field.
func TestAnAppsRuleByItself(t *testing.T) {
	for own, says := range map[policy.TagRule]string{
		{Match: "api-("}:           "apps.api.tags.match: is not a regular expression",
		{Match: "/api/"}:           "apps.api.tags.match: matches no tag",
		{Semver: "newest"}:         "apps.api.tags.semver: is not a version constraint",
		{Semver: "^2 <1"}:          "apps.api.tags.semver: no version satisfies",
		{Match: "api-*"}:           "apps.api.tags.match: in a regular expression the star repeats the hyphen",
		{Match: ".*"}:              "apps.api.tags.match: takes tags as different as edge, main-1a2b3c4, pr-42, 1.4.2, feature_x, and so narrows no environment's rule: leave it out",
		{Semver: "1.2.3-2.3.4"}:    "apps.api.tags.semver: takes only the pre-release",
		{Match: "api-[0-9a-f]{7}"}: "",
	} {
		p, err := policy.New(policy.Config{
			Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: `[a-z0-9.-]+`}}},
			Apps:         map[string]policy.App{"api": {Tags: own}},
		})
		got := errorText(err)
		if err == nil && len(p.Warnings()) > 0 {
			got = p.Warnings()[0].Public()
		}
		if !strings.HasPrefix(got, says) || says == "" && got != "" {
			t.Errorf("%+v: %s, want %s", own, got, says)
		}
	}
}

// Where an app has versions by its own rule, pushes of it only go up, and downgrades may
// be allowed.
func TestAnAppsVersionsOnlyGoUp(t *testing.T) {
	c := inDev(narrowing(policy.TagRule{Semver: "^2"}))
	c.Environments["dev"] = policy.Environment{Tags: policy.TagRule{Match: `[a-z0-9.-]+`}}
	for _, downgrades := range []bool{false, true} {
		c.Environments["dev"] = policy.Environment{Tags: c.Environments["dev"].Tags, Downgrades: downgrades}
		p, err := policy.New(c)
		if err != nil {
			t.Fatal(err)
		}
		d, err := p.Plan(gitops.Event{Push: &gitops.ImagePush{Account: "123456789012", Region: "ap-northeast-2", Repository: "shop", Tag: "2.1.0"}})
		if err != nil || len(d.Updates) != 3 {
			t.Fatalf("%+v, %v", d, err)
		}
		for _, u := range d.Updates {
			if want := u.Environment == "prod" || u.App == "api" && !downgrades; u.OnlyUp != want {
				t.Errorf("%s of %s, downgrades %t: a push only goes up: %t", u.App, u.Environment, downgrades, u.OnlyUp)
			}
		}
	}
	c.Apps["api"] = policy.App{Tags: policy.TagRule{Semver: "^2"}, Environments: []string{"prod"}}
	if _, err := policy.New(c); err == nil || !strings.Contains(err.Error(), "environments.dev.downgrades: has no meaning without tags.semver") {
		t.Errorf("no app of dev has versions: %v", err)
	}
	c.MoreApps = true
	if _, err := policy.New(c); err != nil {
		t.Errorf("an app with versions may come: %v", err)
	}
}

// What New would say of an app's rule is said without the app.
func TestARuleIsCheckedWithoutItsApp(t *testing.T) {
	p, err := policy.New(policy.Config{Environments: narrowing(policy.TagRule{}).Environments})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		own          policy.TagRule
		environments []string
		wrong, warns string
	}{
		{policy.TagRule{Match: "api-.*"}, []string{"dev"}, "", ""},
		{policy.TagRule{Match: "api-.*"}, []string{"dev", "prod"}, "tags: no tag satisfies it and environments.prod.tags at once", ""},
		{policy.TagRule{Match: "api-.*"}, nil, "", ""},
		{policy.TagRule{Match: "api-("}, nil, "tags.match: is not a regular expression", ""},
		{policy.TagRule{Match: "api-*"}, nil, "", "tags.match: in a regular expression the star repeats the hyphen"},
		{policy.TagRule{}, []string{"dev"}, "", ""},
	} {
		warnings, err := p.CheckTags(c.own, c.environments...)
		if !strings.HasPrefix(errorText(err), c.wrong) || (err == nil) != (c.wrong == "") {
			t.Errorf("%+v in %v: %v, want %s", c.own, c.environments, err, c.wrong)
		}
		if (len(warnings) == 0) != (c.warns == "") || c.warns != "" && !strings.HasPrefix(warnings[0].Public(), c.warns) {
			t.Errorf("%+v in %v: warned of with %v, want %s", c.own, c.environments, warnings, c.warns)
		}
	}
}

// Apps of one repository that take different tags do not count together.
func TestFanOutCountsTheAppsOfOneRule(t *testing.T) {
	c := policy.Config{MaxUpdates: 3, Apps: map[string]policy.App{}, Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: ".+"}}}}
	for i := range 6 {
		c.Apps[fmt.Sprint("app-", i)] = policy.App{Repository: registry + "shop", Tags: policy.TagRule{Match: fmt.Sprintf("app-%d-.*", i/2)}}
	}
	if _, err := policy.New(c); err != nil {
		t.Error(err)
	}
	c.Apps["all"], c.Apps["both"] = policy.App{Repository: registry + "shop"}, policy.App{Repository: registry + "shop"}
	if _, err := policy.New(c); err == nil || !strings.Contains(err.Error(), "shop means 4 updates") {
		t.Errorf("got %v", err)
	}
}
