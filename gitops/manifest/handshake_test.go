package manifest

import (
	"net/http"
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
		{"url", func(c *Config) { c.URL, c.Credentials = "http://example.com/a/b.git", secret }},
		{"branch", func(c *Config) { c.Branch = "a..b" }},
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
}
