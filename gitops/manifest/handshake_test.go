package manifest

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheTokenIsReadAnewForEveryRequest(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.server.RequireToken("first")
	path := tokenFile(t, "first")
	w := o.writer(func(c *Config) { c.Credentials = git.TokenFile{Path: path} })
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)

	o.server.RequireToken("second")
	u := o.update("dev", "shop", "main-0000002")
	if _, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.Unauthorized {
		t.Fatalf("with the old token: %v, want unauthorized", err)
	}
	if err := os.WriteFile(path, []byte("  second\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.check(o.write(w, u)...)
}

func TestATokenFileThatHoldsNoTokenSendsNothing(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	for _, content := range []string{"", "two words", "a\x00b", strings.Repeat("x", 20_000)} {
		w := o.writer(func(c *Config) { c.Credentials = git.TokenFile{Path: tokenFile(t, content)} })
		if err := w.Handshake(t.Context()); gitops.CodeOf(err) != gitops.Unauthorized {
			t.Errorf("content of %d bytes: %v, want unauthorized", len(content), err)
		}
	}
	w := o.writer(func(c *Config) { c.Credentials = git.TokenFile{Path: filepath.Join(t.TempDir(), "none")} })
	if err := w.Handshake(t.Context()); gitops.CodeOf(err) != gitops.Unauthorized {
		t.Errorf("no file: %v, want unauthorized", err)
	}
	if n := o.server.Counts().Total(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestAHandshakeSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	empty, err := o.server.CreateRepository("empty.git")
	if err != nil {
		t.Fatal(err)
	}
	readOnly, err := o.server.CreateRepository("readonly.git")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readOnly.Git("config", "http.receivepack", "false"); err != nil {
		t.Fatal(err)
	}
	sha256, err := o.server.CreateRepository("sha256.git")
	if err != nil {
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
	tests := []struct {
		url, branch string
		code        gitops.Code
		says        string
	}{
		{o.repo.URL, "main", "", ""},
		{o.repo.URL, "release", gitops.NotFound, "no branch release"},
		{empty.URL, "main", gitops.NotFound, "empty"},
		{readOnly.URL, "main", gitops.Forbidden, "may not write"},
		{o.server.URL + "/none.git", "main", gitops.NotFound, "does not exist"},
		{sha256.URL, "main", gitops.Invalid, "SHA-256"},
		{login.URL, "main", gitops.Unavailable, "does not speak git"},
		{unknown.URL, "main", gitops.Unavailable, "certificate"},
		{"http://127.0.0.1:1/none.git", "main", gitops.Unavailable, "connection to the git server failed"},
	}
	for _, tt := range tests {
		w := o.writer(func(c *Config) { c.URL, c.Branch = tt.url, tt.branch })
		err := w.Handshake(t.Context())
		if tt.code == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.url, err)
			}
			continue
		}
		if gitops.CodeOf(err) != tt.code || !strings.Contains(gitops.PublicOf(err), tt.says) {
			t.Errorf("%s %s: %v, want %s and %q", tt.url, tt.branch, err, tt.code, tt.says)
		}
	}
}

func TestARepositoryWithoutABranchGetsNone(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer(func(c *Config) { c.Branch = "release" })
	u := o.update("dev", "shop", "main-0000001")
	if _, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("got %v, want not_found", err)
	}
	if refs := o.git("for-each-ref", "--format=%(refname)"); refs != "refs/heads/main" {
		t.Errorf("the refs are %q now", refs)
	}
}

func TestARenamedRepositoryIsFollowed(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.server.RequireToken("token")
	w := o.writer(func(c *Config) { c.Credentials = git.TokenFile{Path: tokenFile(t, "token")} })
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)

	renamed := filepath.Join(filepath.Dir(o.repo.Dir), "renamed.git")
	if err := os.Rename(o.repo.Dir, renamed); err != nil {
		t.Fatal(err)
	}
	o.repo.Dir = renamed
	to := http.Header{"Location": {o.server.URL + "/myshop/renamed.git/info/refs?service=git-receive-pack"}}
	o.server.Inject(gitserver.Fault{On: gitserver.Push, Status: 301, Header: to})
	o.server.Inject(gitserver.Fault{On: gitserver.PushRefs, Status: 301, Header: to})
	o.check(o.write(w, o.update("dev", "shop", "main-0000002"))...)
	o.server.ResetCounts()
	o.check(o.write(w, o.update("dev", "shop", "main-0000003"))...)
	if n := o.server.Counts().Total(); n != 1 {
		t.Errorf("%d requests for a write at the new address, want 1", n)
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
	for _, to := range []string{
		other.URL + "/x.git/info/refs?service=git-receive-pack",
		strings.Replace(o.server.URL, "127.0.0.1", "localhost", 1) + "/x.git/info/refs",
		"/elsewhere",
		"http://user:password@" + strings.TrimPrefix(o.server.URL, "http://") + "/x.git/info/refs",
		"ftp://127.0.0.1/x.git/info/refs",
		"://",
	} {
		o.server.Inject(gitserver.Fault{On: gitserver.PushRefs, Status: 302, Header: http.Header{"Location": {to}}})
		w := o.writer(func(c *Config) { c.Credentials = git.TokenFile{Path: tokenFile(t, "token")} })
		if err := w.Handshake(t.Context()); gitops.CodeOf(err) != gitops.Unavailable || strings.Contains(err.Error(), "password") {
			t.Errorf("redirected to %s: %v, want unavailable", to, err)
		}
	}
	if n := other.Counts().Total(); n != 0 {
		t.Errorf("the other host got %d requests", n)
	}
	// From http to https, but at another name.
	over := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer over.Close()
	to := strings.Replace(over.URL, "127.0.0.1", "localhost", 1) + "/x.git/info/refs"
	o.server.Inject(gitserver.Fault{On: gitserver.PushRefs, Status: 302, Header: http.Header{"Location": {to}}})
	w := o.writer(func(c *Config) { c.Credentials = git.TokenFile{Path: tokenFile(t, "token")} })
	if err := w.Handshake(t.Context()); gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(err.Error(), "redirect") {
		t.Errorf("redirected to %s: %v, want to be told of a redirect", to, err)
	}
	o.server.Inject(gitserver.Fault{On: gitserver.PushRefs, Times: -1, Status: 302, Header: http.Header{"Location": {"/a.git/info/refs"}}})
	if err := o.writer().Handshake(t.Context()); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("redirected without end: %v, want unavailable", err)
	}
}

func TestNewRefusesWhatCannotBeRight(t *testing.T) {
	good := Config{URL: "https://git.example.com/a/b.git", Author: git.Signature{Name: "bot", Email: "bot@example.com"}, Target: testTarget, Prover: testProver}
	w, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	secret := git.TokenFile{Path: "/none"}
	tests := []struct {
		field  string
		change func(*Config)
	}{
		{"url", func(c *Config) { c.URL = "" }},
		{"url", func(c *Config) { c.URL = "example.com:a/b.git" }},
		{"url", func(c *Config) { c.URL = "https://user:secret@example.com/a/b.git" }},
		{"url", func(c *Config) { c.URL = "https://example.com/a/b.git?x=y" }},
		{"url", func(c *Config) { c.URL, c.Credentials = "http://example.com/a/b.git", secret }},
		{"url", func(c *Config) { c.URL, c.Credentials = "http://127.0.0.1.example.com/a/b.git", secret }},
		{"branch", func(c *Config) { c.Branch = "a..b" }},
		{"branch", func(c *Config) { c.Branch = "-x" }},
		{"branch", func(c *Config) { c.Branch = "a b" }},
		{"branch", func(c *Config) { c.Branch = "a.lock" }},
		{"author.name", func(c *Config) { c.Author.Name = "a <b" }},
		{"author.name", func(c *Config) { c.Author.Name = "" }},
		{"author.email", func(c *Config) { c.Author.Email = "a\nb" }},
		{"subject", func(c *Config) { c.Subject = "a\nb" }},
		{"subject", func(c *Config) { c.Subject = "bump {what}" }},
		{"batchSubject", func(c *Config) { c.BatchSubject = "bump {app}" }},
		{"target", func(c *Config) { c.Target = nil }},
	}
	for _, tt := range tests {
		c := good
		tt.change(&c)
		_, err := New(c)
		e, ok := err.(*gitops.Error)
		if !ok || e.Code != gitops.Invalid || e.Field != tt.field || strings.Contains(e.Error(), "secret") {
			t.Errorf("%+v: %v, want invalid %s", c, err, tt.field)
		}
	}
	for _, url := range []string{"http://127.0.0.1:80/a.git", "http://localhost/a.git", "http://[::1]:80/a.git", "https://example.com/a.git/"} {
		c := good
		c.URL, c.Credentials = url, secret
		w, err := New(c)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}
