package oidc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/oidc"
	"github.com/tallyman-dev/tallyman/server/oidc/oidctest"
)

// book is a [oidc.ReplayGuard].
type book map[string]spending

type spending struct {
	by    gitops.DeliveryKey
	until time.Time
}

func (b book) UseOnce(_ context.Context, credential string, by gitops.DeliveryKey, until time.Time) error {
	if first, spent := b[credential]; spent && first.by != by {
		return gitops.Errorf(gitops.Conflict, "spent")
	}
	b[credential] = spending{by, until}
	return nil
}

// A token is remembered until no clock takes it any more, and apart from one of
// the same id by another issuer.
func TestWhatIsRememberedOfAToken(t *testing.T) {
	s, other := newSite(t), newSite(t)
	s.config.Issuers = append(s.config.Issuers, other.issuer.URL)
	v := s.verifier()
	spent, end := book{}, s.clock.Now().Add(time.Hour)
	for order, issuer := range map[string]*oidctest.Issuer{"one": s.issuer, "another": other.issuer} {
		caller, err := v.Authenticate(t.Context(), issuer.Token(audience, map[string]any{"jti": "the-same", "exp": end.Unix()}))
		if err != nil {
			t.Fatal(err)
		}
		if err := caller.UseOnce(t.Context(), spent, gitops.DeliveryKey{Source: "api", ID: order}); err != nil {
			t.Error(err)
		}
	}
	for credential, of := range spent {
		if !of.until.After(end) {
			t.Errorf("%s is forgotten at %s, and good until %s", credential, of.until, end)
		}
	}
}

func TestATokenIsSpentOnce(t *testing.T) {
	s := newSite(t)
	v := s.verifier()
	token := s.issuer.Token(audience, nil)
	spent := book{}
	for _, c := range []struct {
		token, order string
		good         bool
	}{
		{token, "one", true}, {token, "one", true}, {token, "two", false}, {s.issuer.Token(audience, nil), "two", true},
	} {
		caller, err := v.Authenticate(t.Context(), c.token)
		if err != nil {
			t.Fatal(err)
		}
		err = caller.UseOnce(t.Context(), spent, gitops.DeliveryKey{Source: "api", ID: c.order})
		if c.good != (err == nil) {
			t.Errorf("for %s: %v", c.order, err)
		}
		if !c.good {
			refused(t, err, gitops.Unauthorized, "used for another order", c.token)
		}
	}
}

func FuzzAuthenticate(f *testing.F) {
	issuer := oidctest.New(f)
	v, err := oidc.New(oidc.Config{
		Audience: audience, Issuers: []string{issuer.URL}, MaxAge: time.Minute,
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(issuer.Token(audience, nil))
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		job, err := v.Authenticate(t.Context(), token)
		if err == nil {
			if job.RepositoryID != "456789" { // only the one that was signed
				t.Errorf("authenticated %+v", job.Job)
			}
			return
		}
		if gitops.CodeOf(err) != gitops.Unauthorized {
			t.Errorf("told %v", err)
		}
		if len(token) > 100 && strings.Contains(err.Error(), token) {
			t.Errorf("the token is in %v", err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		edit  func(*oidc.Config)
		field string
	}{
		"no audience":           {func(c *oidc.Config) { c.Audience = "" }, "audience"},
		"GitHub's audience":     {func(c *oidc.Config) { c.Audience = "https://github.com/myshop" }, "audience"},
		"no age":                {func(c *oidc.Config) { c.MaxAge = 0 }, "maxAge"},
		"no issuer":             {func(c *oidc.Config) { c.Issuers = nil }, "issuers"},
		"an issuer in the open": {func(c *oidc.Config) { c.Issuers[0] = "http://ghes.example/_services/token" }, "issuers[0]"},
		"an issuer's slash":     {func(c *oidc.Config) { c.Issuers[0] = "https://ghes.example/" }, "issuers[0]"},
		"an issuer's password":  {func(c *oidc.Config) { c.Issuers[0] = "https://a:b@ghes.example" }, "issuers[0]"},
		"an issuer twice":       {func(c *oidc.Config) { c.Issuers = append(c.Issuers, c.Issuers[0]) }, "issuers[1]"},
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
