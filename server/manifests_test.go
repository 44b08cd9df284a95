package server

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

// newAppSite is a site whose repository lets in a GitHub App's tokens alone.
func newAppSite(t *testing.T) (*site, *githubtest.Server) {
	t.Helper()
	s := newSite(t)
	github := githubtest.New(t)
	github.Install(5678, "shop/manifests")
	s.git.Admit(github.Good)
	s.edit("credentials: {tokenFile: "+s.dir+"/token}",
		"credentials: {githubApp: {appID: 1234, privateKeyFile: "+github.KeyFile()+", apiURL: '"+github.URL+"'}}")
	t.Cleanup(func() {
		for _, token := range github.Tokens() {
			said.Forbid(token)
		}
	})
	return s, github
}

// What a GitHub App does without any token in a file: it pushes, under its own
// name, and goes on after its tokens were revoked.
func TestAGitHubAppWrites(t *testing.T) {
	s, github := newAppSite(t)
	github.NewTokenFormat()
	github.FreshTokens(404)
	r := s.start()
	for id, tag := range map[string]string{"d1": "main-0000001", "d2": "main-0000002"} {
		pushed := make(chan struct{})
		s.git.Inject(gitserver.Fault{On: gitserver.Push, Before: func() { close(pushed) }})
		r.do(r.github(oldSecret, id, order("api", "dev", tag))).delivery(t, 202)
		select {
		case <-pushed:
		case <-t.Context().Done():
			t.Fatal("nothing is pushed")
		}
		github.Revoke() // the next push is refused once, and made again with a new token
	}
	r.stop()
	log, err := s.repository.Log("main")
	s.must(err)
	if len(log) != 3 {
		t.Fatalf("%d commits", len(log))
	}
	for _, commit := range log[1:] {
		if commit.Author != "acme-tallyman[bot] <87654321+acme-tallyman[bot]@users.noreply.github.com>" {
			t.Errorf("a commit is by %s", commit.Author)
		}
	}
	if n := len(github.Tokens()); n < 2 {
		t.Errorf("%d tokens were made", n)
	}
}

func TestCheckManifestsAsAnApp(t *testing.T) {
	s, github := newAppSite(t)
	out, err := s.check()
	s.must(err)
	want := []string{
		"GitHub App: acme-tallyman[bot] <87654321+acme-tallyman[bot]@users.noreply.github.com>, installation 5678, may write contents",
		"manifest repository: branch main of URL may be written",
	}
	if diff := cmp.Diff(want, out[:min(2, len(out))]); diff != "" {
		t.Error(diff)
	}
	github.Permit(5678, "contents", "read")
	if out, err = s.check(); gitops.CodeOf(err) != gitops.Forbidden || !strings.Contains(err.Error(), "Contents: write") || out[0] != "" {
		t.Errorf("with too few rights: %q %v", out, err)
	}
	github.Uninstall(5678)
	github.Expect(404)
	if _, err = s.check(); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("not installed: %v", err)
	}
}

func TestRepositoryRefuses(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bad, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, old, now string
		want           []string
	}{
		{"no number", "appID: 1234, ", "", []string{"manifests.credentials.githubApp.appID: must be the number"}},
		{"no key", "privateKeyFile: ", "privateKeyFile: /nowhere", []string{"manifests.credentials.githubApp.privateKeyFile: /nowhere"}},
		{"an API in the open", "apiURL: 'http://127.0.0.1", "apiURL: 'http://github.example", []string{"manifests.credentials.githubApp.apiURL: must begin with https://"}},
		{"a CA that is not one", "manifests:\n", "manifests:\n  caFile: " + bad + "\n", []string{"manifests.caFile: " + bad + " holds no certificate"}},
		{"no CA", "manifests:\n", "manifests:\n  caFile: /nowhere\n", []string{"manifests.caFile: /nowhere cannot be read"}},
		{"an App for SSH", "url: http://127.0.0.1", "url: git@127.0.0.1:/", []string{
			"manifests.credentials.githubApp: is for a repository with a URL of https", "manifests.credentials: has a token"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := newAppSite(t)
			s.edit(c.old, c.now)
			server, err := s.newServer()
			got := sentences(err)
			if server != nil || len(got) != len(c.want) {
				t.Fatalf("found %q, want %q", got, c.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], c.want[i]) {
					t.Errorf("found %q, want %q", got[i], c.want[i])
				}
			}
		})
	}
}

// The rest of what manifests can say reaches the writer: commits that are signed.
func TestASignedCommit(t *testing.T) {
	s := newSite(t)
	_, key, err := ed25519.GenerateKey(nil)
	s.must(err)
	block, err := x509.MarshalPKCS8PrivateKey(key)
	s.must(err)
	s.must(os.WriteFile(filepath.Join(s.dir, "sign"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: block}), 0o600))
	s.edit("manifests:\n", "manifests:\n  signing: {sshKeyFile: "+s.dir+"/sign}\n")
	r := s.start()
	pushed := make(chan struct{})
	s.git.Inject(gitserver.Fault{On: gitserver.Push, Before: func() { close(pushed) }})
	r.do(r.github(oldSecret, "d1", order("api", "dev", "main-0000001"))).delivery(t, 202)
	select {
	case <-pushed:
	case <-t.Context().Done():
		t.Fatal("nothing is pushed")
	}
	r.stop()
	commit, err := s.repository.Git("cat-file", "commit", "main")
	s.must(err)
	if !strings.Contains(commit, "\ngpgsig -----BEGIN SSH SIGNATURE-----\n ") || !strings.Contains(commit, "chore: bump api to main-0000001 (dev)") {
		t.Errorf("the commit is\n%s", commit)
	}
}
