package topic

import (
	"context"
	"errors"
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
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// site is a real git server with one manifest repository, and a writer of its base branch.
type site struct {
	*testing.T
	server *gitserver.Server
	repo   *gitserver.Repository
	at     git.Config
	writer *manifest.Writer
	first  string // the commit that is there first
	ids    int
}

var (
	bot    = git.Signature{Name: "tallyman[bot]", Email: "1+tallyman[bot]@users.noreply.github.com"}
	prover = proof.New(gitops.ProofKeyOf(gitops.ProofSecret{1}, time.Unix(1_700_000_000, 0)))
)

// overEach runs a test over HTTP and over SSH.
func overEach(t *testing.T, test func(*site)) {
	t.Parallel()
	for _, ssh := range []bool{false, true} {
		t.Run(map[bool]string{false: "http", true: "ssh"}[ssh], func(t *testing.T) { t.Parallel(); test(newSite(t, ssh)) })
	}
}

func newSite(t *testing.T, ssh bool) *site {
	t.Helper()
	server, repo := gittest.Start(t, "myshop/manifests.git")
	s := &site{T: t, server: server, repo: repo, at: git.Config{URL: repo.URL}}
	if ssh {
		over, err := server.ServeSSH(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s.at = git.Config{URL: over.URL + strings.TrimPrefix(repo.URL, server.URL), SSH: git.SSH{KeyFile: over.KeyFile, KnownHostsFile: over.KnownHostsFile}}
	}
	s.first = s.commit("main", "Everything", map[string]string{
		"README.md": "Manifests\n", file("shop"): content("shop", "v1"), file("cart"): content("cart", "v1"),
		"charts/pair/values.yaml": content("pair", "v1"), "charts/pair/Chart.yaml": "appVersion: v1\n",
	})
	var err error
	s.writer, err = manifest.New(manifest.Config{
		URL: s.at.URL, SSH: s.at.SSH, Author: bot, Target: s.target, Prover: prover, Logger: s.logger(),
		Files: func() []string { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.writer.Close() }) // which has no error
	return s
}

func (s *site) logger() *slog.Logger { return slog.New(slog.NewTextHandler(s.Output(), nil)) }

func file(app string) string { return "charts/" + app + "/values-prod.yaml" }

func content(app, tag string) string {
	return fmt.Sprintf("# %s\nimage:\n  tag: %s # by the bot\nreplicas: 2\n", app, tag)
}

var imageTag, appVersion = compile(".image.tag"), compile(".appVersion")

func compile(key string) *values.Edit {
	edit, err := values.Compile([]values.Target{{Key: key}})
	if err != nil {
		panic(err)
	}
	return edit
}

func (s *site) target(_, app string) (edit.Target, error) {
	switch app {
	case "unknown":
		return edit.Target{}, gitops.Errorf(gitops.NotFound, "no such app")
	case "pair":
		return edit.Target{Files: []edit.FileEdit{{File: "charts/pair/values.yaml", Editor: imageTag}, {File: "charts/pair/Chart.yaml", Editor: appVersion}}}, nil
	}
	return edit.Target{Files: []edit.FileEdit{{File: file(app), Editor: imageTag}}}, nil
}

func (s *site) config() Config {
	s.Helper()
	remote, err := git.NewRemote(s.at)
	if err != nil {
		s.Fatal(err)
	}
	return Config{
		Remote: remote, Branch: "main", View: s.writer.ViewAt, Target: s.target, Guard: edit.Unguarded{}, Prover: prover, Author: bot,
		Logger: s.logger(), Now: time.Now, Limits: Limits{FileBytes: 1 << 20, Memory: func() int64 { return 8 << 20 }},
	}
}

// branches are those of another process, which knows nothing yet but where they are.
func (s *site) branches() *Branches {
	s.Helper()
	b, err := New(s.config())
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(b.Close)
	s.look(b)
	return b
}

func (s *site) look(b *Branches) proposals.Heads {
	s.Helper()
	heads, err := b.Look(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return heads
}

func (s *site) update(app, tag string) gitops.Update {
	s.ids++
	id := fmt.Sprintf("up-%04d", s.ids)
	return gitops.Update{
		ID: id, Delivery: gitops.DeliveryKey{Source: "github", ID: "guid-" + id}, Actor: "octocat", Environment: "prod", App: app, Tag: tag,
		State: gitops.Pending, AcceptedAt: time.Now().UTC(), Sequence: int64(s.ids),
	}
}

func topicOf(app string) string { return proposals.Branch("prod", app) }

// build makes the commit of an update, and pushes nothing.
func (s *site) build(b *Branches, u gitops.Update) proposals.Built {
	s.Helper()
	built, err := b.Build(s.Context(), u, "")
	if err != nil || built.Commit.IsZero() {
		s.Fatalf("built %+v, %v", built, err)
	}
	return built
}

// propose builds an update and pushes it over what the topic is at.
func (s *site) propose(b *Branches, u gitops.Update) proposals.Built {
	s.Helper()
	from := s.look(b).Topics[topicOf(u.App)]
	built := s.build(b, u)
	if err := b.Push(s.Context(), topicOf(u.App), from, built); err != nil {
		s.Fatal(err)
	}
	return built
}

func (s *site) topic(b *Branches, app string) proposals.Topic {
	s.Helper()
	found, err := b.Topic(s.Context(), "prod", app, s.look(b).Topics[topicOf(app)])
	if err != nil {
		s.Fatal(err)
	}
	return found
}

// commit is a person's commit on a branch.
func (s *site) commit(branch, message string, files map[string]string) string {
	s.Helper()
	return gittest.Commit(s, s.repo, gitserver.Change{Branch: branch, Message: message, Files: files})
}

func (s *site) git(args ...string) string {
	s.Helper()
	return gittest.Git(s, s.repo, args...)
}

// where is the commit that a branch is at; the zero hash where the branch does not exist.
func (s *site) where(branch string) git.Hash {
	s.Helper()
	out, err := s.repo.Git("rev-parse", "--verify", "--quiet", "refs/heads/"+branch)
	if err != nil {
		return git.Hash{}
	}
	return s.hash(out)
}

func (s *site) hash(name string) git.Hash {
	s.Helper()
	h, ok := git.ParseHash(name)
	if !ok {
		s.Fatalf("%q is not a hash", name)
	}
	return h
}

func (s *site) wantMoved(what string, err error) {
	s.Helper()
	var moved *proposals.MovedError
	if !errors.As(err, &moved) || !strings.HasPrefix(moved.Branch, proposals.Prefix) {
		s.Errorf("%s: %v, want that the branch has moved", what, err)
	}
}

// write has the base branch's writer write.
func (s *site) write(ctx context.Context, u gitops.Update) {
	s.Helper()
	r, err := s.writer.Write(ctx, []gitops.WriteTask{{Update: u}})
	if err != nil || len(r.Transitions) != 1 || r.Transitions[0].Action != gitops.ActionCommit {
		s.Fatalf("wrote %+v, %v", r, err)
	}
}
