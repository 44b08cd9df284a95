package githubapp_test

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/clocktest"
	"github.com/tallyman-dev/tallyman/gitops/logtest"
	"github.com/tallyman-dev/tallyman/server/githubapp"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

const (
	repository = "myshop/manifests"
	mintPath   = "/app/installations/5678/access_tokens"
	tryPath    = "/repos/myshop/manifests"
)

// site is an App beside a GitHub, with a clock that stands until it is moved and
// waits that are written down.
type site struct {
	t      *testing.T
	clock  *clocktest.Clock
	github *githubtest.Server
	config githubapp.Config
	log    logtest.Log

	mu     sync.Mutex
	waited []time.Duration
}

func newSite(t *testing.T) *site {
	s := &site{t: t, github: githubtest.New(t), clock: clocktest.New()}
	s.github.SetNow(s.clock.Now)
	s.github.Install(5678, repository, "myshop/other")
	s.config = githubapp.Config{
		AppID: githubtest.AppID, InstallationID: 5678, PrivateKeyFile: s.github.KeyFile(),
		RepositoryURL: "https://github.com/myshop/manifests.git", APIURL: s.github.URL,
		Logger: slog.New(slog.NewTextHandler(&s.log, nil)), Now: s.clock.Now,
		Wait: func(_ context.Context, d time.Duration) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.waited = append(s.waited, d)
			return nil
		},
	}
	return s
}

func (s *site) app() *githubapp.App {
	s.t.Helper()
	a, err := githubapp.New(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = a.Close() })
	return a
}

// token gets one and holds it to be good.
func (s *site) token(a *githubapp.App) string {
	s.t.Helper()
	user, value, err := a.Basic(s.t.Context())
	if err != nil || user != "x-access-token" || !s.github.Good(value) {
		s.t.Fatalf("got %q, a token of %d bytes, %v", user, len(value), err)
	}
	if lines := s.log.Lines(value); len(lines) > 0 {
		s.t.Errorf("the token is logged: %q", lines)
	}
	return value
}

// minted is how many tokens were made.
func (s *site) minted() int { return s.github.Count(http.MethodPost, mintPath) }

func TestATokenIsMintedTriedAndKept(t *testing.T) {
	s := newSite(t)
	a := s.app()
	first := s.token(a)
	for range 3 {
		if s.token(a) != first {
			t.Error("another token although the first is good")
		}
	}
	if diff := cmp.Diff([]string{"POST " + mintPath, "GET " + tryPath}, s.github.Calls()); diff != "" {
		t.Error(diff)
	}
	// It is for this repository alone.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.github.URL+"/repos/myshop/other", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.github.Expect(http.StatusNotFound)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Authorization", "Bearer "+first)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusNotFound {
		t.Errorf("another repository answers %s", answer.Status)
	}
}

func TestALongTokenIsGood(t *testing.T) {
	s := newSite(t)
	s.github.NewTokenFormat()
	if value := s.token(s.app()); len(value) < 500 || strings.Count(value, ".") != 2 {
		t.Errorf("a token of %d bytes", len(value))
	}
}

func TestTheInstallationIsFound(t *testing.T) {
	s := newSite(t)
	s.config.InstallationID = 0
	a := s.app()
	s.token(a)
	s.clock.Pass(2 * time.Hour)
	s.token(a)
	if n := s.github.Count(http.MethodGet, tryPath+"/installation"); n != 1 {
		t.Errorf("looked for %d times", n)
	}
	// Installed again it has another number, and the tokens of before are gone.
	s.github.Uninstall(5678)
	s.github.Install(5679, repository)
	s.github.Expect(http.StatusNotFound)
	s.clock.Pass(2 * time.Hour)
	if _, _, err := a.Basic(t.Context()); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("with the installation of before: %v", err)
	}
	s.token(a)
}

func TestWhatGitHubRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		fault githubtest.Fault
		code  gitops.Code
		wait  bool
	}{
		"suspended":       {githubtest.Fault{Status: 403, Body: `{"message": "This installation has been suspended"}`}, gitops.Forbidden, false},
		"too often":       {githubtest.Fault{Status: 429, Body: `{}`}, gitops.RateLimited, true},
		"the limit":       {githubtest.Fault{Status: 403, Header: http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"4102444800"}}, Body: `{}`}, gitops.RateLimited, true},
		"asked to wait":   {githubtest.Fault{Status: 403, Header: http.Header{"Retry-After": {"60"}}, Body: `{"documentation_url": "https://docs.github.com/rest#secondary-rate-limits"}`}, gitops.RateLimited, true},
		"broken":          {githubtest.Fault{Status: 500}, gitops.Unavailable, false},
		"somebody else's": {githubtest.Fault{Status: 200, Body: "<html>"}, gitops.Unavailable, false},
		"no token in it":  {githubtest.Fault{Status: 201, Body: "{}"}, gitops.Unavailable, false},
		"led elsewhere":   {githubtest.Fault{Status: 307, Header: http.Header{"Location": {"https://evil.example/token"}}}, gitops.Unavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			c.fault.Method, c.fault.Path, c.fault.Times = http.MethodPost, mintPath, 1
			s.github.Inject(c.fault)
			_, _, err := s.app().Basic(t.Context())
			e, ok := err.(*gitops.Error)
			if !ok || e.Code != c.code || (e.RetryAfter > 0) != c.wait {
				t.Errorf("told %v", err)
			}
		})
	}
}

func TestIdentityAndReport(t *testing.T) {
	s := newSite(t)
	a := s.app()
	want := githubapp.Identity{Name: "acme-tallyman[bot]", Email: "87654321+acme-tallyman[bot]@users.noreply.github.com"}
	for range 2 {
		if got, err := a.Identity(t.Context()); err != nil || got != want {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if n := s.github.Count(http.MethodGet, "/app"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	report, err := a.Report(t.Context())
	told := githubapp.Report{Identity: want, Installation: 5678, Contents: "write", Events: []string{"repository_dispatch"}, Page: "https://github.com/settings/installations/5678"}
	if diff := cmp.Diff(told, report); diff != "" || err != nil {
		t.Error(err, diff)
	}
	s.github.Permit(5678, "contents", "read")
	report, err = a.Report(t.Context())
	told.Identity, told.Contents = githubapp.Identity{Name: githubtest.Slug}, "read"
	if diff := cmp.Diff(told, report); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestNewRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0LXNlY3JldA==\n-----END RSA PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, field string
		edit        func(*githubapp.Config)
	}{
		{"no App", "appID", func(c *githubapp.Config) { c.AppID = 0 }},
		{"an odd installation", "installationID", func(c *githubapp.Config) { c.InstallationID = -1 }},
		{"no key", "privateKeyFile", func(c *githubapp.Config) { c.PrivateKeyFile = "" }},
		{"a key that is not there", "privateKeyFile", func(c *githubapp.Config) { c.PrivateKeyFile += ".not" }},
		{"a key that is not one", "privateKeyFile", func(c *githubapp.Config) { c.PrivateKeyFile = empty }},
		{"a repository without owner", "", func(c *githubapp.Config) { c.RepositoryURL = "https://github.com/manifests.git" }},
		{"a repository below a path", "", func(c *githubapp.Config) { c.RepositoryURL = "https://git.example/a/b/c.git" }},
		{"a repository over SSH", "", func(c *githubapp.Config) { c.RepositoryURL = "git@github.com:myshop/manifests.git" }},
		{"an API that is not one", "apiURL", func(c *githubapp.Config) { c.APIURL = "api.github.com" }},
		{"an API in the open", "apiURL", func(c *githubapp.Config) { c.APIURL = "http://api.github.com" }},
		{"an API with a password", "apiURL", func(c *githubapp.Config) { c.APIURL = "https://a:b@api.github.com" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			c.edit(&s.config)
			_, err := githubapp.New(s.config)
			e, ok := err.(*gitops.Error)
			if !ok || e.Code != gitops.Invalid || e.Field != c.field || strings.Contains(err.Error(), "secret") {
				t.Errorf("told %v", err)
			}
		})
	}
}

// GitHub's hosts each have their API where it is by default.
func TestTheAPIOfAHost(t *testing.T) {
	for web, api := range map[string]string{
		"https://github.com/o/r.git":           "https://api.github.com/",
		"https://GitHub.com/o/r":               "https://api.github.com/",
		"https://acme.ghe.com/o/r.git":         "https://api.acme.ghe.com/",
		"https://github.acme.example/o/r.git/": "https://github.acme.example/api/v3/",
	} {
		s := newSite(t)
		s.config.RepositoryURL, s.config.APIURL = web, ""
		a := s.app()
		if got := a.AppClient().BaseURL.String(); got != api || a.InstallationClient().BaseURL.String() != api {
			t.Errorf("%s has its API at %s", web, got)
		}
		if owner, name := a.Repository(); owner != "o" || name != "r" {
			t.Errorf("%s is %s/%s", web, owner, name)
		}
	}
}
