package oidc_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/oidc"
)

// Each condition of a rule, held and not held.
func TestRules(t *testing.T) {
	base := oidc.Rule{
		Repository: "octo-org/octo-repo", RepositoryID: "456789", OwnerID: "123456", Refs: []string{"refs/heads/main"},
		Events: []string{"push"}, Apps: []string{"api"}, Environments: []string{"prod"},
	}
	for name, c := range map[string]struct {
		edit   func(*oidc.Rule)
		claims map[string]any
		why    string // "" when it may
	}{
		"as it is":                  {func(*oidc.Rule) {}, nil, ""},
		"another branch":            {func(*oidc.Rule) {}, map[string]any{"ref": "refs/heads/mine"}, `ref "refs/heads/mine" is not among refs/heads/main`},
		"a tag of the same name":    {func(*oidc.Rule) {}, map[string]any{"ref": "refs/tags/main"}, "is not among"},
		"a tag by pattern":          {func(r *oidc.Rule) { r.Refs = []string{"refs/tags/v*"} }, map[string]any{"ref": "refs/tags/v1.2.3"}, ""},
		"a pattern and a slash":     {func(r *oidc.Rule) { r.Refs = []string{"refs/heads/*"} }, map[string]any{"ref": "refs/heads/a/b"}, "is not among"},
		"another app":               {func(r *oidc.Rule) { r.Apps = []string{"web"} }, nil, `app "api" is not among web`},
		"any app":                   {func(r *oidc.Rule) { r.Apps = []string{"*"} }, nil, ""},
		"another environment":       {func(r *oidc.Rule) { r.Environments = []string{"dev", "qa"} }, nil, `environment "prod" is not among dev, qa`},
		"another event":             {func(*oidc.Rule) {}, map[string]any{"event_name": "schedule"}, `event "schedule" is not among push`},
		"in GitHub's environment":   {func(r *oidc.Rule) { r.Refs, r.Environment = nil, "production" }, map[string]any{"environment": "production"}, ""},
		"in none of them":           {func(r *oidc.Rule) { r.Refs, r.Environment = nil, "production" }, nil, `must run in the GitHub environment "production", not in ""`},
		"in another of them":        {func(r *oidc.Rule) { r.Environment = "production" }, map[string]any{"environment": "Production"}, `not in "Production"`},
		"its workflow":              {func(r *oidc.Rule) { r.Workflows = []string{".github/workflows/build.yml"} }, nil, ""},
		"another workflow":          {func(r *oidc.Rule) { r.Workflows = []string{".github/workflows/release.yml"} }, nil, "is not among .github/workflows/release.yml"},
		"of a file like it":         {func(r *oidc.Rule) { r.Workflows = []string{".github/workflows/build.yml"} }, map[string]any{"workflow_ref": "octo-org/octo-repo/.github/workflows/build.yml@mine.yml@refs/heads/main"}, "is not among"},
		"another repository's":      {func(r *oidc.Rule) { r.Workflows = []string{".github/workflows/build.yml"} }, map[string]any{"workflow_ref": "octo-org/ci/.github/workflows/build.yml@refs/heads/main"}, "is not among"},
		"a reusable workflow":       {func(r *oidc.Rule) { r.Workflows = []string{"octo-org/ci/.github/workflows/r.yml@refs/heads/main"} }, map[string]any{"job_workflow_ref": "octo-org/ci/.github/workflows/r.yml@refs/heads/main"}, ""},
		"a reusable one's branch":   {func(r *oidc.Rule) { r.Workflows = []string{"octo-org/ci/.github/workflows/r.yml@refs/heads/main"} }, map[string]any{"job_workflow_ref": "octo-org/ci/.github/workflows/r.yml@refs/heads/evil"}, "is not among"},
		"a workflow without a path": {func(r *oidc.Rule) { r.Workflows = []string{".github/workflows/build.yml"} }, map[string]any{"workflow_ref": ""}, "is not among"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			rule := base
			c.edit(&rule)
			s.config.Rules = []oidc.Rule{rule}
			caller, err := s.verifier().Authenticate(t.Context(), s.issuer.Token(audience, c.claims))
			if err != nil {
				t.Fatal(err)
			}
			err = caller.MayOrder("api", "prod")
			if c.why == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused(t, err, gitops.Forbidden, c.why, "")
		})
	}
}

// One of a repository's rules is enough, and when none holds each says why.
func TestSeveralRules(t *testing.T) {
	s := newSite(t)
	prod := s.config.Rules[0]
	prod.Refs, prod.Environment, prod.Environments = nil, "production", []string{"prod"}
	s.config.Rules = append(s.config.Rules, prod)
	v := s.verifier()
	caller, err := v.Authenticate(t.Context(), s.issuer.Token(audience, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := caller.MayOrder("api", "dev"); err != nil {
		t.Error(err)
	}
	err = caller.MayOrder("api", "prod")
	refused(t, err, gitops.Forbidden, `api.oidc.rules[0]: environment "prod" is not among dev; api.oidc.rules[1]: the job must run in the GitHub environment "production"`, "")
	caller, err = v.Authenticate(t.Context(), s.issuer.Token(audience, map[string]any{"environment": "production"}))
	if err != nil {
		t.Fatal(err)
	}
	if err := caller.MayOrder("api", "prod"); err != nil {
		t.Error(err)
	}
}

// A number of one issuer is another repository at the next.
func TestARuleIsOfOneIssuer(t *testing.T) {
	s, other := newSite(t), newSite(t)
	s.config.Issuers = append(s.config.Issuers, other.issuer.URL)
	s.config.Rules[0].Issuer = s.issuer.URL
	v := s.verifier()
	if _, err := v.Authenticate(t.Context(), s.issuer.Token(audience, nil)); err != nil {
		t.Error(err)
	}
	_, err := v.Authenticate(t.Context(), other.issuer.Token(audience, nil))
	refused(t, err, gitops.Forbidden, "no rule is for the repository", "")
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		edit  func(*oidc.Config)
		field string
	}{
		"no audience":           {func(c *oidc.Config) { c.Audience = "" }, "audience"},
		"GitHub's audience":     {func(c *oidc.Config) { c.Audience = "https://github.com/myshop" }, "audience"},
		"no age":                {func(c *oidc.Config) { c.MaxAge = 0 }, "maxAge"},
		"no issuer":             {func(c *oidc.Config) { c.Issuers = nil; c.Rules[0].Issuer = "x" }, "issuers"},
		"an issuer in the open": {func(c *oidc.Config) { c.Issuers[0] = "http://ghes.example/_services/token" }, "issuers[0]"},
		"an issuer's slash":     {func(c *oidc.Config) { c.Issuers[0] = "https://ghes.example/" }, "issuers[0]"},
		"an issuer's password":  {func(c *oidc.Config) { c.Issuers[0] = "https://a:b@ghes.example" }, "issuers[0]"},
		"an issuer twice":       {func(c *oidc.Config) { c.Issuers = append(c.Issuers, c.Issuers[0]); c.Rules[0].Issuer = c.Issuers[0] }, "issuers[1]"},
		"no rule":               {func(c *oidc.Config) { c.Rules = nil }, "rules"},
		"two issuers":           {func(c *oidc.Config) { c.Issuers = append(c.Issuers, "https://ghes.example") }, "rules[0].issuer"},
		"an unknown issuer":     {func(c *oidc.Config) { c.Rules[0].Issuer = "https://ghes.example" }, "rules[0].issuer"},
		"no repository":         {func(c *oidc.Config) { c.Rules[0].Repository = "" }, "rules[0].repository"},
		"a name for a number":   {func(c *oidc.Config) { c.Rules[0].RepositoryID = "octo-repo" }, "rules[0].repositoryID"},
		"no owner":              {func(c *oidc.Config) { c.Rules[0].OwnerID = "" }, "rules[0].ownerID"},
		"every branch":          {func(c *oidc.Config) { c.Rules[0].Refs = nil }, "rules[0].refs"},
		"a branch's name":       {func(c *oidc.Config) { c.Rules[0].Refs = []string{"main"} }, "rules[0].refs[0]"},
		"a bad pattern":         {func(c *oidc.Config) { c.Rules[0].Refs = []string{"refs/heads/["} }, "rules[0].refs[0]"},
		"a workflow's name":     {func(c *oidc.Config) { c.Rules[0].Workflows = []string{"build"} }, "rules[0].workflows[0]"},
		"a workflow's place":    {func(c *oidc.Config) { c.Rules[0].Workflows = []string{"o/r/.github/workflows/build.yml"} }, "rules[0].workflows[0]"},
		"no workflow's place":   {func(c *oidc.Config) { c.Rules[0].Workflows = []string{".github/workflows/build.yml@refs/heads/main"} }, "rules[0].workflows[0]"},
		"no event":              {func(c *oidc.Config) { c.Rules[0].Events = nil }, "rules[0].events"},
		"pull requests":         {func(c *oidc.Config) { c.Rules[0].Events = []string{"push", "pull_request_target"} }, "rules[0].events[1]"},
		"no app":                {func(c *oidc.Config) { c.Rules[0].Apps = nil }, "rules[0].apps"},
		"no environment":        {func(c *oidc.Config) { c.Rules[0].Environments = nil }, "rules[0].environments"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			c.edit(&s.config)
			_, err := oidc.New(s.config)
			var e *gitops.Error
			if !errors.As(err, &e) || e.Code != gitops.Invalid || !strings.HasPrefix(e.Field, c.field) {
				t.Errorf("told %v, want %s", err, c.field)
			}
		})
	}
	s := newSite(t)
	s.config.Audience, s.config.MaxAge = "", -time.Second
	if _, err := oidc.New(s.config); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("of two problems it is told %v", err)
	}
}
