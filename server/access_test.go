package server

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/config"
)

// What check prints and the log has at the start: who may write where, by which
// credential and rule, and what is wider than it looks.
func TestAccessIsShown(t *testing.T) {
	s, _ := newJobSite(t)
	r := s.start()
	var out bytes.Buffer
	r.PrintAccess(&out)
	r.PrintWarnings(&out)
	for _, want := range []string{
		"access in dev:\n  access[0]: jobs of octo-org/octo-repo (id 456789) on refs/heads/main ",
		"access in prod:\n  access[1]: jobs of octo-org/octo-repo (id 456789) on refs/heads/main in the GitHub environment production ",
		"  access[2]: dispatches of shop/api (id 17) by whoever may write it may order all apps, by the webhook secret of sources.github\n",
		"  access[4]: token ops may order, retry, cancel all apps, by a token of api.tokens\n",
		"warning: access[3]: pushes from eventbridge of account 123456789012 may order api in prod without the GitHub environment production that access[1] demands",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "board") {
		t.Errorf("who only reads is among those who write:\n%s", out.String())
	}
	if lines := s.log.Lines(`"msg":"access"`, `"environment":"prod"`, "access[1]: jobs of octo-org/octo-repo", "access[4]: token ops"); len(lines) != 1 {
		t.Errorf("logged %q", lines)
	}
	if lines := s.log.Lines(`"level":"WARN"`, `"msg":"configuration warning"`, `"field":"access[3]"`, "pushes from eventbridge", "without the GitHub environment production"); len(lines) != 1 {
		t.Errorf("warned %q", lines)
	}
}

// The list is held against what is configured, each mistake by its field.
func TestAccessThatCannotBe(t *testing.T) {
	for old, c := range map[string]struct{ now, want string }{
		"{who: {token: board}, may: [read]}":                      {"{who: {token: guest}, may: [read]}", `access[3].who.token: "guest" is not configured in api.tokens`},
		"  - {who: {token: board}, may: [read]}\n":                {"", "api.tokens[1]: no rule of access names token board"},
		`push: {source: eventbridge, accounts: ["123456789012"]}`: {"push: {source: sns}", "access[1].who.push.source: sources.sns is not configured"},
		`{token: ops}, may: [read, order, retry, cancel]`:         {"{token: ops}, may: [read], apps: [shop]", `access[2].apps[0]: no app "shop" is configured`},
		"prod: {tags":                                                 {"prod: {rollout: {by: reports, revert: true}, tags", "environments.prod.rollout.revert: no rule of access allows tallyman to go back in prod: add {who: {revert: {}}, "},
		"  - {who: {token: board}, may: [read]}":                      {"  - {who: {token: board}, may: [read]}\n  - {who: {revert: {}}, may: [rollback], apps: ['*'], environments: [prod]}", "access[4].who.revert: no environment has rollout.revert: true"},
		`repositoryID: 17}}, may: [order], apps: ["*"]`:               {"repositoryID: 17}}, may: [order]", "access[0].apps: is missing"},
		`repositoryID: 17}}, may: [order], apps: ["*"], environments`: {`repositoryID: 17}}, may: [order], apps: [], environments`, "access[0].apps: must name at least one app"},
	} {
		s := newSite(t)
		s.edit(old, c.now)
		_, err := s.newServer()
		if got := strings.Join(sentences(err), "\n"); !strings.Contains(got, c.want) {
			t.Errorf("%s: found %s, want %s", c.now, got, c.want)
		}
	}
}

// A token that has expired is warned of; one that ends later, or never, is not.
func TestExpiredTokensAreWarnedOf(t *testing.T) {
	c := config.API{Tokens: []config.Token{{Name: "never"}, {Name: "ops", Expires: "2027-01-31"}, {Name: "ci", Expires: "2027-02-01"}}}
	warnings := checkExpired(c, time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC))
	if len(warnings) != 1 || gitops.PublicOf(warnings[0]) != "api.tokens[1].expires: token ops expired at 2027-01-31T00:00:00Z: write a new token and a later time, or remove it" {
		t.Errorf("warned %v", warnings)
	}
}

// A registry that is polled must be named by a rule, by any of its hosts.
func TestAPolledRegistryNeedsARule(t *testing.T) {
	const rule = "access:\n  - {who: {poll: {registries: [HOST]}}, may: [order], apps: ['*'], environments: [dev]}\n"
	polled := strings.NewReplacer("DIR", t.TempDir(), "URL", "https://git.example.com/shop/manifests.git", "dev: {", "dev: {image: {poll: 10m}, ").Replace(siteConfig)
	for host, want := range map[string]string{
		"":                                      "environments.dev.image.poll: no rule of access allows to order in dev what is found in 123456789012.dkr.ecr.eu-west-1.amazonaws.com",
		"ghcr.io":                               "environments.dev.image.poll: no rule of access allows to order in dev what is found in 123456789012.dkr.ecr.eu-west-1.amazonaws.com",
		"123456789012.dkr-ecr.eu-west-1.on.aws": "",
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com": "",
	} {
		s := &site{t: t, yaml: polled}
		if host != "" {
			s.edit("access:\n", strings.ReplaceAll(rule, "HOST", host))
		}
		c, err := config.Parse([]byte(s.yaml))
		s.must(err)
		_, err = buildAccess(c, nil)
		if got := strings.Join(sentences(err), "\n"); (want == "") != (got == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%q: found %q, want %q", host, got, want)
		}
	}
}

// With its rule tallyman may go back, where the environment says so, too; check shows it.
func TestARevertIsAllowed(t *testing.T) {
	s := newSite(t)
	s.edit("prod: {tags", "prod: {rollout: {by: reports, revert: true}, tags")
	s.edit("may: [read]}\n", "may: [read]}\n  - {who: {revert: {}}, may: [rollback], apps: [api], environments: [prod]}\n")
	r := s.start()
	var out bytes.Buffer
	r.PrintAccess(&out)
	if want := "  access[4]: tallyman itself, for a revert, may rollback api, by the environment's rollout.revert\n"; !strings.Contains(out.String(), want) {
		t.Errorf("%q is not in\n%s", want, out.String())
	}
	if rule, err := r.current().access.Authorize(gitops.Principal{Revert: true}, gitops.RightRollback, "api", "prod"); rule != "access[4]" || err != nil {
		t.Errorf("%s, %v", rule, err)
	}
}
