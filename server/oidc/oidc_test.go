package oidc_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/oidc"
	"github.com/tallyman-dev/tallyman/server/oidc/oidctest"
	"github.com/tallyman-dev/tallyman/server/secrettest"
)

const audience = "https://tallyman.example.com"

// site is a verifier beside an issuer, with a clock that stands until it is moved.
type site struct {
	t      *testing.T
	issuer *oidctest.Issuer
	config oidc.Config

	mu  sync.Mutex
	now time.Time
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, issuer: oidctest.New(t), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	s.issuer.SetNow(s.clock)
	s.config = oidc.Config{
		Audience: audience, Issuers: []string{s.issuer.URL}, MaxAge: 10 * time.Minute, Now: s.clock,
		Rules: []oidc.Rule{{
			Repository: "octo-org/octo-repo", RepositoryID: "456789", OwnerID: "123456", Refs: []string{"refs/heads/main"},
			Events: []string{"push"}, Apps: []string{"api"}, Environments: []string{"dev"},
		}},
	}
	return s
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *site) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *site) verifier() *oidc.Verifier {
	s.t.Helper()
	v, err := oidc.New(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = v.Close() })
	return v
}

// refused holds a refusal to its code, and to saying nothing of the token.
func refused(t *testing.T, err error, code gitops.Code, says, token string) {
	t.Helper()
	var e *gitops.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Public(), says) {
		t.Errorf("told %v, want %s: %q", err, code, says)
		return
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 20 && strings.Contains(err.Error(), part) {
			t.Errorf("the token is in %q", err)
		}
	}
}

func TestATokenIsBelieved(t *testing.T) {
	s := newSite(t)
	v := s.verifier()
	for range 3 {
		c, err := v.Authenticate(t.Context(), s.issuer.Token(audience, nil))
		if err != nil {
			t.Fatal(err)
		}
		if c.Actor() != "octocat@octo-org/octo-repo" || c.Credential() != "OIDC token of octo-org/octo-repo, run 16055869479, attempt 1" {
			t.Errorf("actor %q, credential %q", c.Actor(), c.Credential())
		}
		if err := gitops.CheckActor("actor", c.Actor()); err != nil {
			t.Error(err)
		}
		if err := c.MayOrder("api", "dev"); err != nil {
			t.Error(err)
		}
		refused(t, c.MayOrder("api", "prod"), gitops.Forbidden, `api.oidc.rules[0]: environment "prod" is not among dev`, "")
	}
	if n := s.issuer.Fetches(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func TestTokensThatAreNotGood(t *testing.T) {
	s := newSite(t)
	v := s.verifier()
	now := s.clock().Unix()
	stranger := secrettest.Key(t)
	good := s.issuer.Token(audience, nil)
	parts := strings.Split(good, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	otherPayload := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), "456789", "456780", 1)))
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	for _, c := range []struct {
		name, token string
		code        gitops.Code
		says        string
	}{
		{"no token", "", gitops.Unauthorized, "no JWT"},
		{"no JWT", "ghp_0123456789012345678901234567890123456789", gitops.Unauthorized, "no JWT"},
		{"half of it", good[:len(good)/2], gitops.Unauthorized, "no JWT"},
		{"without its end", good[:len(good)-10], gitops.Unauthorized, "invalid token"},
		{"too long", good + strings.Repeat("A", 16<<10), gitops.Unauthorized, "no JWT"},
		{"changed", parts[0] + "." + otherPayload + "." + parts[2], gitops.Unauthorized, "invalid token"},
		{"unsigned", none + "." + parts[1] + ".", gitops.Unauthorized, "invalid token"},
		{"a stranger's key", oidctest.Sign(t, jose.RS256, jose.JSONWebKey{Key: stranger, KeyID: "key-1"}, payload), gitops.Unauthorized, "invalid token"},
		{"a key that is not published", oidctest.Sign(t, jose.RS256, jose.JSONWebKey{Key: stranger, KeyID: "key-9"}, payload), gitops.Unauthorized, "does not publish"},
		{"no key named", oidctest.Sign(t, jose.RS256, stranger, payload), gitops.Unauthorized, "does not publish"},
		{"another algorithm", s.issuer.SignBy(jose.RS512, s.issuer.Claims(audience)), gitops.Unauthorized, "invalid token"},
		{"another padding", s.issuer.SignBy(jose.PS256, s.issuer.Claims(audience)), gitops.Unauthorized, "invalid token"},
		{"a shared secret", oidctest.Sign(t, jose.HS256, []byte(strings.Repeat("k", 32)), payload), gitops.Unauthorized, "invalid token"},
		{"another issuer", s.issuer.Token(audience, map[string]any{"iss": "https://token.actions.githubusercontent.com"}), gitops.Unauthorized, "issuer is not one"},
		{"an issuer below ours", s.issuer.Token(audience, map[string]any{"iss": s.issuer.URL + "/other"}), gitops.Unauthorized, "issuer is not one"},
		{"no issuer", s.issuer.Token(audience, map[string]any{"iss": nil}), gitops.Unauthorized, "issuer is not one"},
		{"GitHub's audience", s.issuer.Token("https://github.com/octo-org", nil), gitops.Unauthorized, "invalid token"},
		{"our audience and another", s.issuer.Token(audience, map[string]any{"aud": []string{audience, "https://other.example"}}), gitops.Unauthorized, "other services"},
		{"no audience", s.issuer.Token(audience, map[string]any{"aud": nil}), gitops.Unauthorized, "invalid token"},
		{"expired", s.issuer.Token(audience, map[string]any{"exp": now - 1}), gitops.Unauthorized, "has expired"},
		{"without end", s.issuer.Token(audience, map[string]any{"exp": nil}), gitops.Unauthorized, "has expired"},
		{"for later", s.issuer.Token(audience, map[string]any{"nbf": now + 600}), gitops.Unauthorized, "invalid token"},
		{"old but not expired", s.issuer.Token(audience, map[string]any{"iat": now - 601}), gitops.Unauthorized, "older than 10m0s"},
		{"made tomorrow", s.issuer.Token(audience, map[string]any{"iat": now + 61}), gitops.Unauthorized, "in the future"},
		{"made at no time", s.issuer.Token(audience, map[string]any{"iat": nil}), gitops.Unauthorized, "when it was made"},
		{"without an id", s.issuer.Token(audience, map[string]any{"jti": nil}), gitops.Unauthorized, "no id"},
		{"an odd id", s.issuer.Token(audience, map[string]any{"jti": "a\nb"}), gitops.Unauthorized, "no id"},
		{"a number for an id", s.issuer.Token(audience, map[string]any{"repository_id": 456789}), gitops.Unauthorized, "claims are not those"},
		{"claims that are none", s.issuer.Sign(map[string]any{"iss": s.issuer.URL, "aud": 7}), gitops.Unauthorized, "invalid token"},

		{"a pull request", s.issuer.Token(audience, map[string]any{"event_name": "pull_request"}), gitops.Forbidden, "pull request"},
		{"a pull request's target", s.issuer.Token(audience, map[string]any{"event_name": "pull_request_target"}), gitops.Forbidden, "pull request"},
		{"another repository", s.issuer.Token(audience, map[string]any{"repository": "o/r", "repository_id": "1"}), gitops.Forbidden, "no rule is for the repository o/r (repository_id 1, repository_owner_id 123456)"},
		{"one of the same name", s.issuer.Token(audience, map[string]any{"repository_id": "456780"}), gitops.Forbidden, "api.oidc.rules[0] is for a repository of that name with other ids"},
		{"one of the same name by a new owner", s.issuer.Token(audience, map[string]any{"repository_owner_id": "7"}), gitops.Forbidden, "with other ids"},
		{"no repository", s.issuer.Token(audience, map[string]any{"repository_id": nil, "repository_owner_id": nil}), gitops.Forbidden, "no rule is for"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := v.Authenticate(t.Context(), c.token)
			refused(t, err, c.code, c.says, c.token)
		})
	}
}

// The leeway of clocks is small, and what lies within it is taken.
func TestTimes(t *testing.T) {
	s := newSite(t)
	v := s.verifier()
	now := s.clock().Unix()
	for name, changes := range map[string]map[string]any{
		"expires now":           {"exp": now},
		"made in half a minute": {"iat": now + 30},
		"ten minutes old":       {"iat": now - 600},
		"no nbf":                {"nbf": nil},
		"a long life":           {"exp": now + 21600},
	} {
		if _, err := v.Authenticate(t.Context(), s.issuer.Token(audience, changes)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The tokens that were made with another program, by a clock of their time.
func TestFixtures(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	const issuer, forUs = "https://token.actions.githubusercontent.com", "https://promoter.example.com"
	v, err := oidc.New(oidc.Config{
		Audience: forUs, Issuers: []string{issuer}, MaxAge: 10 * time.Minute,
		Now: func() time.Time { return time.Unix(1768471260, 0) },
		Rules: []oidc.Rule{{
			Repository: "octo-org/octo-repo", RepositoryID: "456789", OwnerID: "123456", Environment: "prod",
			Events: []string{"push"}, Apps: []string{"*"}, Environments: []string{"prod"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	v.Publish(issuer, []byte(read("test_jwks.json")))
	for name, c := range map[string]struct {
		code  gitops.Code // of Authenticate
		order gitops.Code // of MayOrder
	}{
		"environment":   {},
		"legacy_sub":    {order: gitops.Forbidden}, // it runs in no environment
		"immutable_sub": {order: gitops.Forbidden},
		"pull_request":  {code: gitops.Forbidden},
		"wrong_aud":     {code: gitops.Unauthorized},
	} {
		token := read(name + ".jwt")
		caller, err := v.Authenticate(t.Context(), token)
		if c.code != "" {
			refused(t, err, c.code, "", token)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := caller.MayOrder("api", "prod"); (err != nil) != (c.order != "") || err != nil && gitops.CodeOf(err) != c.order {
			t.Errorf("%s may order: %v", name, err)
		}
	}
}

// The claims that GitHub's documentation and its debugger for them print, in a
// token of now.
func TestPrintedClaims(t *testing.T) {
	s := newSite(t)
	rule := oidc.Rule{
		Repository: "octo-org/octo-repo", RepositoryID: "74", OwnerID: "65", Environment: "prod",
		Workflows: []string{"octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main"},
		Events:    []string{"workflow_dispatch"}, Apps: []string{"*"}, Environments: []string{"prod"},
	}
	debugger := rule
	debugger.Repository, debugger.RepositoryID, debugger.OwnerID = "github/actions-oidc-debugger", "487920697", "9919"
	s.config.Rules = []oidc.Rule{rule, debugger}
	v := s.verifier()
	token := func(name string) string {
		text, err := os.ReadFile("testdata/" + name + ".claims.json")
		var printed map[string]any
		if err := errors.Join(err, json.Unmarshal(text, &printed)); err != nil {
			t.Fatal(err)
		}
		for claim, value := range s.issuer.Claims(audience) {
			if slices.Contains([]string{"iss", "aud", "iat", "nbf", "exp"}, claim) {
				printed[claim] = value
			}
		}
		return s.issuer.Sign(printed)
	}
	caller, err := v.Authenticate(t.Context(), token("docs_sample"))
	if err != nil {
		t.Fatal(err)
	}
	if err := caller.MayOrder("api", "prod"); err != nil || caller.Actor() != "octocat@octo-org/octo-repo" {
		t.Errorf("%s: %v", caller.Actor(), err)
	}
	pull := token("debugger_sample")
	_, err = v.Authenticate(t.Context(), pull)
	refused(t, err, gitops.Forbidden, "jobs of a pull request", pull)
}

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
	s.config.Rules[0].Issuer = s.issuer.URL
	others := s.config.Rules[0]
	others.Issuer = other.issuer.URL
	s.config.Rules = append(s.config.Rules, others)
	v := s.verifier()
	spent, end := book{}, s.clock().Add(time.Hour)
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
		Rules: []oidc.Rule{{Repository: "o/r", RepositoryID: "1", OwnerID: "1", Refs: []string{"refs/heads/main"}, Events: []string{"push"}, Apps: []string{"*"}, Environments: []string{"dev"}}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(issuer.Token(audience, nil))
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		_, err := v.Authenticate(t.Context(), token)
		if code := gitops.CodeOf(err); err == nil || code != gitops.Unauthorized && code != gitops.Forbidden {
			t.Errorf("told %v", err)
		}
		if len(token) > 100 && strings.Contains(err.Error(), token) {
			t.Errorf("the token is in %v", err)
		}
	})
}
