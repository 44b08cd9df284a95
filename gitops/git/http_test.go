package git

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// looks asks for the refs as a pusher, and returns the error that people get.
func looks(r Remote) error {
	a, err := r.Refs(context.Background(), ReceivePack, "main")
	if err == nil {
		err = a.CanPush("main")
	}
	return PublicError(err)
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	create := func(name string) *gitserver.Repository {
		repo, err := o.server.CreateRepository(name)
		if err != nil {
			t.Fatal(err)
		}
		return repo
	}
	empty, readOnly, sha256 := create("empty.git"), create("readonly.git"), create("sha256.git")
	if _, err := readOnly.Git("config", "http.receivepack", "false"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(sha256.Dir); err != nil {
		t.Fatal(err)
	}
	o.git("init", "--quiet", "--bare", "--object-format=sha256", sha256.Dir)
	if _, err := sha256.Git("config", "http.receivepack", "true"); err != nil {
		t.Fatal(err)
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>please log in")) })
	login, unknown := httptest.NewServer(page), httptest.NewTLSServer(page)
	defer login.Close()
	defer unknown.Close()
	unknown.Config.ErrorLog = log.New(io.Discard, "", 0)
	for _, tt := range []struct {
		url  string
		code gitops.Code
		says string
	}{
		{empty.URL, gitops.NotFound, "empty"},
		{readOnly.URL, gitops.Forbidden, "may not write"},
		{o.server.URL + "/none.git", gitops.NotFound, "does not exist"},
		{sha256.URL, gitops.Invalid, "SHA-256"},
		{login.URL, gitops.Unavailable, "does not speak git"},
		{unknown.URL, gitops.Unavailable, "certificate"},
		{"http://127.0.0.1:1/none.git", gitops.Unavailable, "connection to the git server failed"},
		{"http://none.invalid/none.git", gitops.Unavailable, "name cannot be resolved"},
	} {
		err := looks(o.remote(func(c *Config) { c.URL = tt.url }))
		if gitops.CodeOf(err) != tt.code || !strings.Contains(gitops.PublicOf(err), tt.says) {
			t.Errorf("%s: %v, want %s and %q", tt.url, err, tt.code, tt.says)
		}
	}
}

func TestARenamedRepositoryIsFollowed(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	r := o.remote()
	on := o.advertised(r, ReceivePack)
	renamed := filepath.Join(filepath.Dir(o.repo.Dir), "renamed.git")
	if err := os.Rename(o.repo.Dir, renamed); err != nil {
		t.Fatal(err)
	}
	o.repo.Dir = renamed
	to := http.Header{"Location": {o.server.URL + "/myshop/renamed.git/info/refs?service=git-receive-pack"}}
	o.server.Inject(gitserver.Fault{On: gitserver.Push, Status: 301, Header: to})
	o.server.Inject(gitserver.Fault{On: gitserver.PushRefs, Status: 301, Header: to})
	var moved *MovedError
	if _, err := o.push(r, on); !errors.As(err, &moved) {
		t.Fatalf("a push to the old address: %v, want to be told that it moved", err)
	}
	on = o.advertised(r, ReceivePack)
	if _, err := o.push(r, on); err != nil {
		t.Errorf("a push to the new address: %v", err)
	}
}

func TestCredentialsGoToNoOtherHost(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	other, err := gitserver.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	over := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer over.Close()
	for _, to := range []string{
		other.URL + "/x.git/info/refs?service=git-receive-pack",
		strings.Replace(o.server.URL, "127.0.0.1", "localhost", 1) + "/x.git/info/refs",
		strings.Replace(over.URL, "127.0.0.1", "localhost", 1) + "/x.git/info/refs", // https, but at another name
		"/elsewhere",
		"http://user:password@" + strings.TrimPrefix(o.server.URL, "http://") + "/x.git/info/refs",
		"ftp://127.0.0.1/x.git/info/refs",
		"://",
	} {
		o.server.Inject(gitserver.Fault{On: gitserver.PushRefs, Status: 302, Header: http.Header{"Location": {to}}})
		err := looks(o.remote(func(c *Config) { c.Credentials = TokenFile{Path: tokenFile(t, "token")} }))
		if gitops.CodeOf(err) != gitops.Unavailable || to != "://" && !strings.Contains(err.Error(), "redirects to") || strings.Contains(err.Error(), "password") {
			t.Errorf("redirected to %s: %v, want unavailable", to, err)
		}
	}
	if n := other.Counts().Total(); n != 0 {
		t.Errorf("the other host got %d requests", n)
	}
	o.server.Inject(gitserver.Fault{On: gitserver.PushRefs, Times: -1, Status: 302, Header: http.Header{"Location": {"/a.git/info/refs"}}})
	if err := looks(o.remote()); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("redirected without end: %v, want unavailable", err)
	}
}

func TestURLsThatCannotBeRight(t *testing.T) {
	secret := TokenFile{Path: "/none"}
	for _, c := range []Config{
		{URL: ""},
		{URL: "example.com:a/b.git"},
		{URL: "https://user:secret@example.com/a/b.git"},
		{URL: "https://example.com/a/b.git?x=y"},
		{URL: "http://example.com/a/b.git", Credentials: secret},
		{URL: "http://127.0.0.1.example.com/a/b.git", Credentials: secret},
	} {
		var e *gitops.Error
		if _, err := NewRemote(c); !errors.As(err, &e) || e.Code != gitops.Invalid || e.Field != "url" || strings.Contains(e.Error(), "secret") {
			t.Errorf("%+v: %v, want invalid url", c, err)
		}
	}
	for _, url := range []string{"http://127.0.0.1:80/a.git", "http://localhost/a.git", "http://[::1]:80/a.git", "https://example.com/a.git/"} {
		r, err := NewRemote(Config{URL: url, Credentials: secret})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		r.Close()
	}
}

// A server with a certificate of a private CA is trusted where that is configured,
// and not otherwise.
func TestPrivateCA(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	behind, err := url.Parse(o.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(behind))
	defer front.Close()
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	roots := x509.NewCertPool()
	roots.AddCert(front.Certificate())
	at := front.URL + strings.TrimPrefix(o.repo.URL, o.server.URL)
	if err := looks(o.remote(func(c *Config) { c.URL = at })); gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with the system's CAs: %v", err)
	}
	if err := looks(o.remote(func(c *Config) { c.URL, c.RootCAs = at, roots })); err != nil {
		t.Errorf("with its own: %v", err)
	}
}

// The environment's proxy is asked. net/http reads it once for each process and
// never uses it for loopback, so another process asks for a host elsewhere.
func TestTheProxyOfTheEnvironmentIsUsed(t *testing.T) {
	const child = "TALLYMAN_TEST_GIT_PROXY_CHILD"
	if os.Getenv(child) != "" {
		r, err := NewRemote(Config{URL: "http://git.example/shop/manifests.git"})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if err := looks(r); err == nil || !strings.Contains(err.Error(), "status 418") {
			t.Errorf("told %v", err)
		}
		return
	}
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.URL.String())
		w.WriteHeader(http.StatusTeapot)
	}))
	defer proxy.Close()
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	command.Env = append(os.Environ(), child+"=1", "HTTP_PROXY="+proxy.URL, "NO_PROXY=")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, _ := asked.Load().(string); !strings.HasPrefix(got, "http://git.example/shop/manifests.git/info/refs") {
		t.Errorf("the proxy was asked for %q", got)
	}
}

func TestAStatusBecomesACode(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	on := o.advertised(o.remote(), ReceivePack)
	for _, tt := range []struct {
		status int
		header http.Header
		code   gitops.Code
		after  time.Duration
	}{
		{401, nil, gitops.Unauthorized, 0},
		{403, nil, gitops.Forbidden, 0},
		{403, http.Header{"Retry-After": {"7"}}, gitops.RateLimited, 7 * time.Second},
		{403, http.Header{"X-Ratelimit-Remaining": {"0"}}, gitops.RateLimited, 0},
		{404, nil, gitops.NotFound, 0},
		{413, nil, gitops.TooLarge, 0},
		{429, http.Header{"Retry-After": {"30"}}, gitops.RateLimited, 30 * time.Second},
		{429, http.Header{"Retry-After": {"86400"}}, gitops.RateLimited, time.Hour},
		{429, http.Header{"Retry-After": {"9223372036854775807"}}, gitops.RateLimited, time.Hour},
		{429, http.Header{"Retry-After": {"Fri, 31 Dec 2100 23:59:59 GMT"}}, gitops.RateLimited, time.Hour},
		{403, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"4133980799"}}, gitops.RateLimited, time.Hour},
		{503, http.Header{"Retry-After": {"5"}}, gitops.Unavailable, 5 * time.Second},
		{418, nil, gitops.Unavailable, 0},
	} {
		o.server.Inject(gitserver.Fault{Times: -1, Status: tt.status, Header: tt.header, Body: "go\taway\x1b[31m"})
		r := o.remote()
		_, refsErr := r.Refs(t.Context(), UploadPack, "main")
		_, fetchErr := r.Fetch(t.Context(), FetchRequest{Wants: []Hash{on.Tip}, Depth: 1, Capabilities: on.Capabilities}, Nothing)
		_, pushErr := o.push(r, on)
		for what, err := range map[string]error{"refs": refsErr, "a fetch": fetchErr, "a push": pushErr} {
			var e *gitops.Error
			if !errors.As(PublicError(err), &e) || e.Code != tt.code || e.RetryAfter != tt.after {
				t.Errorf("%d to %s: %v, want %s after %s", tt.status, what, err, tt.code, tt.after)
			}
			if strings.ContainsAny(e.Error(), "\x1b\t") {
				t.Errorf("%d to %s: control characters in %q", tt.status, what, e)
			}
		}
		o.server.Heal()
	}
}
