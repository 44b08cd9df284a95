package oidc_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/clocktest"
	"github.com/tallyman-dev/tallyman/server/oidc"
	"github.com/tallyman-dev/tallyman/server/oidc/oidctest"
	"github.com/tallyman-dev/tallyman/server/secrettest"
)

const audience = "https://tallyman.example.com"

// site is a verifier beside an issuer, with a clock that stands until it is moved.
type site struct {
	t      *testing.T
	clock  *clocktest.Clock
	issuer *oidctest.Issuer
	config oidc.Config
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, issuer: oidctest.New(t), clock: clocktest.New()}
	s.issuer.SetNow(s.clock.Now)
	s.config = oidc.Config{
		Audience: audience, Issuers: []string{s.issuer.URL}, MaxAge: 10 * time.Minute, Now: s.clock.Now,
	}
	return s
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

// Everything that an access rule can demand of a job is read.
func TestATokenIsAuthenticated(t *testing.T) {
	s := newSite(t)
	v := s.verifier()
	for range 3 {
		job, err := v.Authenticate(t.Context(), s.issuer.Token(audience, map[string]any{
			"ref_protected": "true", "environment": "prod", "job_workflow_sha": "c0ffee", "job_workflow_ref": "octo-org/ci/.github/workflows/deploy.yml@refs/tags/v3",
		}))
		if err != nil {
			t.Fatal(err)
		}
		want := gitops.Principal{Job: &gitops.Job{
			Issuer: s.issuer.URL, Repository: "octo-org/octo-repo", RepositoryID: "456789", OwnerID: "123456", Ref: "refs/heads/main", RefProtected: true,
			Environment: "prod", RunnerEnvironment: "github-hosted", Event: "push", Workflow: "octo-org/octo-repo/.github/workflows/build.yml@refs/heads/main",
			JobWorkflow: "octo-org/ci/.github/workflows/deploy.yml@refs/tags/v3", JobWorkflowSHA: "c0ffee", Actor: "octocat", ActorID: "12",
			RunID: "16055869479", RunAttempt: "1",
		}}
		if diff := cmp.Diff(want, job.Principal()); diff != "" {
			t.Error(diff)
		}
		if got := job.Credential(); got != "OIDC token of octo-org/octo-repo, run 16055869479, attempt 1" {
			t.Errorf("credential %q", got)
		}
	}
	if n := s.issuer.Fetches(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
	for _, protected := range []any{"false", "TRUE", nil} {
		job, err := v.Authenticate(t.Context(), s.issuer.Token(audience, map[string]any{"ref_protected": protected}))
		if err != nil || job.RefProtected {
			t.Errorf("ref_protected %v: %t, %v", protected, job.RefProtected, err)
		}
	}
}

// The commit of a job is that of its event, where the event has one: of others the claim is
// the default branch's head or a merge that was made for a test.
func TestTheRevisionOfAJob(t *testing.T) {
	const sha = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
	s := newSite(t)
	v := s.verifier()
	for _, c := range []struct {
		event, sha any
		want       string
	}{
		{"push", sha, sha}, {"release", sha, sha}, {"workflow_dispatch", sha, sha},
		{"pull_request", sha, ""}, {"pull_request_target", sha, ""}, {"workflow_run", sha, ""}, {"schedule", sha, ""}, {"repository_dispatch", sha, ""}, {"", sha, ""}, {"PUSH", sha, ""},
		{"push", nil, ""}, {"push", "1a2b3c4", ""}, {"push", strings.ToUpper(sha), ""}, {"push", sha + "0", ""},
	} {
		job, err := v.Authenticate(t.Context(), s.issuer.Token(audience, map[string]any{"event_name": c.event, "sha": c.sha}))
		if err != nil || job.Revision() != c.want {
			t.Errorf("%v, %v: %q, %v", c.event, c.sha, job.Revision(), err)
		}
	}
}

func TestTokensThatAreNotGood(t *testing.T) {
	s := newSite(t)
	v := s.verifier()
	now := s.clock.Now().Unix()
	other := secrettest.Key(t)
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
		{"somebody else's key", oidctest.Sign(t, jose.RS256, jose.JSONWebKey{Key: other, KeyID: "key-1"}, payload), gitops.Unauthorized, "invalid token"},
		{"a key that is not published", oidctest.Sign(t, jose.RS256, jose.JSONWebKey{Key: other, KeyID: "key-9"}, payload), gitops.Unauthorized, "does not publish"},
		{"no key named", oidctest.Sign(t, jose.RS256, other, payload), gitops.Unauthorized, "does not publish"},
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
	now := s.clock.Now().Unix()
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
	})
	if err != nil {
		t.Fatal(err)
	}
	v.Publish(issuer, []byte(read("test_jwks.json")))
	for name, c := range map[string]struct {
		environment, event string // of the job; "" when the token is not authenticated
	}{
		"environment":   {"prod", "push"},
		"legacy_sub":    {"", "push"},
		"immutable_sub": {"", "push"},
		"pull_request":  {"", "pull_request"},
		"wrong_aud":     {},
	} {
		token := read(name + ".jwt")
		job, err := v.Authenticate(t.Context(), token)
		if c.event == "" {
			refused(t, err, gitops.Unauthorized, "", token)
			continue
		}
		if err != nil || job.Environment != c.environment || job.Event != c.event || job.RepositoryID != "456789" || job.OwnerID != "123456" {
			t.Errorf("%s: %+v, %v", name, job.Job, err)
		}
	}
}

// The claims that GitHub's documentation and its debugger for them print, in a
// token of now.
func TestPrintedClaims(t *testing.T) {
	s := newSite(t)
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
	for name, want := range map[string]gitops.Job{
		"docs_sample": {Repository: "octo-org/octo-repo", RepositoryID: "74", OwnerID: "65", Environment: "prod", Event: "workflow_dispatch",
			JobWorkflow: "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main"},
		"debugger_sample": {Repository: "github/actions-oidc-debugger", RepositoryID: "487920697", OwnerID: "9919", Event: "pull_request"},
	} {
		job, err := v.Authenticate(t.Context(), token(name))
		if err != nil {
			t.Fatal(err)
		}
		got := gitops.Job{Repository: job.Repository, RepositoryID: job.RepositoryID, OwnerID: job.OwnerID, Environment: job.Environment, Event: job.Event}
		if want.JobWorkflow != "" {
			got.JobWorkflow = job.JobWorkflow
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}
