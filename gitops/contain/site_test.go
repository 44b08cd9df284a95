package contain

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver/gittest"
	"github.com/tallyman-dev/tallyman/gitops/proof"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// site is a real git server with one manifest repository, its writer and a reader.
type site struct {
	*testing.T
	server *gitserver.Server
	repo   *gitserver.Repository
	at     git.Config
	writer *manifest.Writer
	reader *Reader
	now    time.Time
	memory int64
}

const shop = "charts/shop/values-prod.yaml"

func valuesFile(tag string) string {
	return fmt.Sprintf("# An app\nimage:\n  tag: %q # by the bot\nreplicas: 2\n", tag)
}

var imageTag = func() *values.Edit {
	edit, err := values.Compile([]values.Target{{Key: ".image.tag"}})
	if err != nil {
		panic(err)
	}
	return edit
}()

// overEach runs a test over HTTP and over SSH, on servers that give any object, only what a
// branch reaches, or what git gives by default, and that leave files out or do not.
func overEach(t *testing.T, test func(*site)) {
	t.Parallel()
	for _, c := range []struct{ way, gives, filter string }{
		{"http", "any", "true"}, {"http", "reachable", "true"}, {"http", "default", "false"},
		{"ssh", "any", "true"}, {"ssh", "default", "true"}, {"ssh", "default", "false"},
	} {
		t.Run(c.way+", "+c.gives+", filter "+c.filter, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.way == "ssh")
			s.git("config", "uploadpack.allowFilter", c.filter)
			if key := map[string]string{"any": "uploadpack.allowAnySHA1InWant", "reachable": "uploadpack.allowReachableSHA1InWant"}[c.gives]; key != "" {
				s.git("config", key, "true")
			}
			test(s)
		})
	}
}

func newSite(t *testing.T, ssh bool) *site {
	t.Helper()
	server, repo := gittest.Start(t, "myshop/manifests.git")
	s := &site{T: t, server: server, repo: repo, at: git.Config{URL: repo.URL}, now: time.Unix(1_800_000_000, 0), memory: 8 << 20}
	if ssh {
		over, err := server.ServeSSH(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s.at = git.Config{URL: over.URL + strings.TrimPrefix(repo.URL, server.URL), SSH: git.SSH{KeyFile: over.KeyFile, KnownHostsFile: over.KnownHostsFile}}
	}
	s.commit(gitserver.Change{Message: "Everything", Files: map[string]string{shop: valuesFile("v1"), "README.md": "Manifests\n"}})
	s.writer = s.newWriter()
	s.reader = s.newReader()
	return s
}

func (s *site) newWriter() *manifest.Writer {
	s.Helper()
	w, err := manifest.New(manifest.Config{
		URL: s.at.URL, SSH: s.at.SSH, Author: git.Signature{Name: "tallyman", Email: "tallyman@example.com"},
		Prover: proof.New(gitops.ProofKeyOf(gitops.ProofSecret{1}, time.Unix(1_700_000_000, 0))),
		Logger: slog.New(slog.NewTextHandler(s.Output(), nil)),
		Files:  func() []string { return []string{shop} },
		Target: func(_, app string) (manifest.Target, error) {
			return manifest.Target{Files: []manifest.FileEdit{{File: "charts/" + app + "/values-prod.yaml", Editor: imageTag}}}, nil
		},
	})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = w.Close() }) // which has no error
	return w
}

func (s *site) newReader() *Reader {
	s.Helper()
	remote, err := git.NewRemote(s.at)
	if err != nil {
		s.Fatal(err)
	}
	r := New(Config{
		Remote: remote, Branch: "main", View: s.writer.View, Guard: edit.Unguarded{}, Now: func() time.Time { return s.now },
		Limits: Limits{FileBytes: 1 << 20, Memory: func() int64 { return s.memory }},
	})
	s.Cleanup(r.Close)
	return r
}

func (s *site) git(args ...string) string {
	s.Helper()
	return gittest.Git(s, s.repo, args...)
}

func (s *site) commit(c gitserver.Change) string {
	s.Helper()
	return gittest.Commit(s, s.repo, c)
}

// file commits the app's file, on main, with a tag.
func (s *site) file(tag string) string {
	s.Helper()
	return s.commit(gitserver.Change{Message: "bump to " + tag, Files: map[string]string{shop: valuesFile(tag)}})
}

// other commits something else.
func (s *site) other() string {
	s.Helper()
	return s.commit(gitserver.Change{Files: map[string]string{"README.md": s.Name() + s.git("rev-parse", "main")}})
}

// bury puts n commits on top of a branch.
func (s *site) bury(branch string, n int) string {
	s.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "commit refs/heads/%s\ncommitter A Person <person@example.com> %d +0000\ndata 4\ndeep\n", branch, time.Now().Unix())
		if i == 0 {
			fmt.Fprintf(&b, "from refs/heads/%s^0\n", branch)
		}
		fmt.Fprintf(&b, "M 100644 inline README.md\ndata 5\n%05d\n", i)
	}
	if err := s.repo.Import(strings.NewReader(b.String())); err != nil {
		s.Fatal(err)
	}
	return s.git("rev-parse", branch)
}

// v2 asks what a revision has of the update that a commit brought, with tag v2.
func v2(commit, revision string) Question {
	return Question{Commit: commit, Revision: revision, Tag: "v2", Path: shop, Reader: imageTag, Since: time.Now().Add(-2 * time.Hour)}
}

// want asks with a reader that knows what was asked before, and with one that knows nothing.
func (s *site) want(what string, q Question, want rollout.Containment) {
	s.Helper()
	for who, r := range map[string]*Reader{"the reader": s.reader, "a new reader": s.newReader()} {
		if got, err := r.Containment(s.Context(), q); got != want || err != nil {
			s.Errorf("%s: %s says %q, %v; want %q", what, who, got, err, want)
		}
	}
}
