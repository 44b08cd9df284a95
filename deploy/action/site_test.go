package action_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/oidc/oidctest"
)

const (
	audience      = "https://tallyman.example"
	gitToken      = "s3cret-of-git"
	apiToken      = "s3cret-of-the-api-for-all"
	runnerToken   = "s3cret-of-the-runner"
	webhookSecret = "s3cret-of-the-webhook"
)

const siteConfig = `
listen: 127.0.0.1:0
adminListen: 127.0.0.1:0
probeListen: 127.0.0.1:0
store: sqlite://DIR/tallyman.db
manifests:
  url: URL
  credentials: {tokenFile: DIR/token}
sources:
  github: {secretFiles: [DIR/webhook-secret]}
api:
  tokens: [{name: ops, file: DIR/api-token}]
  oidc: {audience: "` + audience + `", issuers: ["ISSUER"]}
access:
  - {who: {dispatch: {repository: octo-org/octo-repo, repositoryID: 456789}}, may: [order], apps: [api], environments: [dev]}
  - {who: {token: ops}, may: [read, order]}
  - {who: {job: {repository: octo-org/octo-repo, repositoryID: 456789, ownerID: 123456, refs: [refs/heads/main]}}, may: [order], apps: [api, web], environments: [dev]}
environments:
  dev: {tags: {match: 'main-[0-9a-f]{7,40}'}, coalesce: newest}
  prod: {tags: {semver: ">=1.0.0"}}
apps:
  api: {}
  web: {}
`

// site is what the action meets: a tallyman with a manifest repository on a real git
// server, what is in front of it, and the part of GitHub that gives a job its token.
type site struct {
	t          *testing.T
	git        *gitserver.Server
	repository *gitserver.Repository
	issuer     *oidctest.Issuer
	server     *server.Server
	front      *httptest.Server // tallyman's public address
	runner     *httptest.Server // ACTIONS_ID_TOKEN_REQUEST_URL

	mu        sync.Mutex
	intercept intercept
	tokens    int // that the runner gave
}

// intercept may answer a request in tallyman's place, and then returns true.
type intercept func(w http.ResponseWriter, r *http.Request) bool

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, issuer: oidctest.New(t)}
	dir := t.TempDir()
	root := filepath.Join(dir, "git")
	s.must(os.Mkdir(root, 0o700))
	var err error
	s.git, err = gitserver.Start(root)
	s.must(err)
	t.Cleanup(func() { s.must(s.git.Close()) })
	s.git.RequireToken(gitToken)
	s.repository, err = s.git.CreateRepository("shop/manifests.git")
	s.must(err)
	files := map[string]string{}
	for _, environment := range []string{"dev", "prod"} {
		for _, app := range []string{"api", "web"} {
			files[gitserver.ValuesFile(app, environment)] = gitserver.Values(app, environment, "main-0000000")
		}
	}
	_, err = s.repository.Commit(gitserver.Change{Files: files})
	s.must(err)
	for name, content := range map[string]string{"token": gitToken, "api-token": apiToken, "webhook-secret": webhookSecret} {
		s.must(os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	s.start(strings.NewReplacer("DIR", dir, "URL", s.repository.URL, "ISSUER", s.issuer.URL).Replace(siteConfig))
	s.runner = httptest.NewServer(http.HandlerFunc(s.giveToken))
	t.Cleanup(s.runner.Close)
	return s
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// start runs a tallyman, and what is in front of it, until the test's end.
func (s *site) start(yaml string) {
	s.t.Helper()
	c, err := config.Parse([]byte(yaml))
	s.must(err)
	s.server, err = server.New(c, server.Version{Version: "1.2.3"}, slog.New(slog.NewTextHandler(s.t.Output(), nil)))
	s.must(err)
	s.must(s.server.Start(s.t.Context()))
	s.t.Cleanup(func() { s.must(s.server.Stop(context.WithoutCancel(s.t.Context()))) })
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.server.Addr()})
	s.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.intercepted(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	s.t.Cleanup(s.front.Close)
}

func (s *site) intercepted(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.intercept != nil && s.intercept(w, r)
}

// inFront has a function see each request before tallyman does, one at a time.
func (s *site) inFront(i intercept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = i
}

// answersInTurn is an intercept that answers the requests of a method so, one after
// the other, and leaves the rest to tallyman. A status of 0 closes the connection.
func answersInTurn(method string, statuses ...int) intercept {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || len(statuses) == 0 {
			return false
		}
		status := statuses[0]
		statuses = statuses[1:]
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"detail": "not now", "code": "unavailable"}`)
		return true
	}
}

// giveToken is GitHub's answer to a job that asks for its token.
func (s *site) giveToken(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+runnerToken || r.URL.Query().Get("api-version") != "2.0" {
		s.t.Errorf("the token is asked for by %v with %v", r.URL, r.Header)
	}
	s.mu.Lock()
	s.tokens++
	s.mu.Unlock()
	_, _ = io.WriteString(w, `{"count": 1, "value": "`+s.forbidden(s.issuer.Token(r.URL.Query().Get("audience"), nil))+`"}`)
}

// forbidden is a token whose signature must not be said.
func (s *site) forbidden(token string) string {
	said.Forbid(token[strings.LastIndexByte(token, '.')+1:])
	return token
}

func (s *site) given() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens
}

// order orders past the action, by the token ops.
func (s *site) order(tag string) {
	s.t.Helper()
	body := `{"app": "api", "environment": "dev", "tag": "` + tag + `"}`
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.server.Addr()+"/api/v1/updates", strings.NewReader(body))
	s.must(err)
	req.Header.Set("Authorization", "Bearer "+apiToken)
	resp, err := http.DefaultClient.Do(req)
	s.must(err)
	s.must(resp.Body.Close())
	if resp.StatusCode != http.StatusAccepted {
		s.t.Errorf("the order of %s is answered %s", tag, resp.Status)
	}
}
