package survey_test

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver/gittest"
	"github.com/tallyman-dev/tallyman/gitops/starter"
	"github.com/tallyman-dev/tallyman/server/survey"
)

// origin is a real git server with a repository.
type origin struct {
	*testing.T
	server *gitserver.Server
	repo   *gitserver.Repository
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	t.Parallel()
	server, repo := gittest.Start(t, "manifests.git")
	return &origin{t, server, repo}
}

func (o *origin) commit(files map[string]string) {
	o.Helper()
	if _, err := o.repo.Commit(gitserver.Change{Files: files}); err != nil {
		o.Fatal(err)
	}
}

func (o *origin) git(args ...string) {
	o.Helper()
	if out, err := o.repo.Git(args...); err != nil {
		o.Fatal(args, out, err)
	}
}

func (o *origin) config() survey.Config {
	return survey.Config{Remote: git.Config{URL: o.repo.URL}, Logger: slog.New(slog.DiscardHandler)}
}

func (o *origin) read(c survey.Config) survey.Result {
	o.Helper()
	r, err := survey.Read(o.Context(), c)
	if err != nil {
		o.Fatal(err)
	}
	return r
}

// layout is the tree of one of the layouts that the proposals are tested with.
func layout(t *testing.T, name string) map[string]string {
	t.Helper()
	root := filepath.Join("../../gitops/starter/testdata/layouts", name)
	files := make(map[string]string)
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		files[path] = string(text)
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	return files
}

var about = starter.About{URL: "https://github.com/myshop/manifests.git", Branch: "main", Commit: "0123456789ab"}

// What is read of a repository is what the tree has, from a server that sends single files
// and from one that does not.
func TestTheProposalIsThatOfTheTree(t *testing.T) {
	for _, name := range []string{"helm-values", "kustomize-overlays", "flux-helmreleases", "umbrella-chart", "applicationset-list"} {
		for _, whole := range []string{"false", "true"} {
			t.Run(name+" whole "+whole, func(t *testing.T) {
				o := newOrigin(t)
				if whole == "true" {
					o.git("config", "uploadpack.allowFilter", "false")
					o.git("config", "uploadpack.allowAnySHA1InWant", "false")
				}
				o.commit(layout(t, name))
				r := o.read(o.config())
				want, err := os.ReadFile("../../gitops/starter/testdata/golden/" + name + ".yaml")
				if err != nil {
					t.Fatal(err)
				}
				got := string(r.Findings.Configuration(about))
				if diff := cmp.Diff(strings.ReplaceAll(string(want), "0123456789ab.", ""), strings.ReplaceAll(got, "0123456789ab.", "")); diff != "" {
					t.Error(diff)
				}
				if strings.Contains(r.Findings.Summary(), "the patterns find") || strings.Contains(r.Findings.Summary(), "a pattern finds") {
					t.Error(r.Findings.Summary())
				}
			})
		}
	}
}

// Tags that files had in the past count for the rules.
func TestThePastCounts(t *testing.T) {
	o := newOrigin(t)
	o.commit(layout(t, "helm-values"))
	for _, tag := range []string{"release-7", "release-8"} {
		o.commit(map[string]string{"charts/basket/values-dev.yaml": "image:\n  tag: " + tag + "\n"})
	}
	o.commit(map[string]string{"charts/basket/values-dev.yaml": "image:\n  tag: main-1a2b3c4\n"})
	got := string(o.read(o.config()).Findings.Configuration(about))
	if !strings.Contains(got, "tags: {match: 'main-[0-9a-f]{7,40}|release-[0-9]+'}") {
		t.Error(got)
	}
}

// A past that is not read in time is a note, and the proposal is of what the files have.
func TestThePastIsNotWaitedFor(t *testing.T) {
	o := newOrigin(t)
	o.commit(layout(t, "helm-values"))
	c := o.config()
	c.PastTimeout = time.Nanosecond
	r := o.read(c)
	if !strings.Contains(r.Findings.Summary(), "note: the past of charts/basket/values-dev.yaml was not read") {
		t.Error(r.Findings.Summary())
	}
	if got := len(r.Findings.Targets()); got != 12 {
		t.Errorf("%d targets", got)
	}
}

// Without a branch the server's default is read, and any that is named.
func TestTheBranch(t *testing.T) {
	o := newOrigin(t)
	o.commit(layout(t, "helm-values"))
	o.git("branch", "-m", "main", "release")
	o.git("symbolic-ref", "HEAD", "refs/heads/release")
	o.git("branch", "empty", "release")
	if r := o.read(o.config()); r.Branch != "release" || len(r.Findings.Targets()) != 12 {
		t.Errorf("got %s with %d targets", r.Branch, len(r.Findings.Targets()))
	}
	c := o.config()
	c.Branch = "empty"
	if r := o.read(c); r.Branch != "empty" {
		t.Errorf("got %s", r.Branch)
	}
}

// What keeps a repository from being read is an error that says what it is.
func TestWhatCannotBeRead(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*origin, *survey.Config)
		code    gitops.Code
		want    string
	}{
		"an empty repository": {func(*origin, *survey.Config) {}, gitops.NotFound, "the repository is empty: push its first commit to the branch main"},
		"no such branch": {func(o *origin, c *survey.Config) { o.commit(map[string]string{"a": "b"}); c.Branch = "prod" }, gitops.NotFound,
			"the repository has no branch prod; its default branch is main"},
		"no credentials":   {func(o *origin, _ *survey.Config) { o.server.RequireToken("secret") }, gitops.Unauthorized, "the git server does not accept the credentials"},
		"no repository":    {func(o *origin, c *survey.Config) { c.Remote.URL = o.server.URL + "/none.git" }, gitops.NotFound, "the repository does not exist"},
		"no branch's name": {func(_ *origin, c *survey.Config) { c.Branch = "a..b" }, gitops.Invalid, "branch: is not a name that a branch can have"},
		"no URL":           {func(_ *origin, c *survey.Config) { c.Remote.URL = "manifests" }, gitops.Invalid, "url: is not the address of a repository: it must begin with https:// or ssh://, or be like git@host:path"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			c := o.config()
			test.prepare(o, &c)
			_, err := survey.Read(t.Context(), c)
			if gitops.CodeOf(err) != test.code || !strings.Contains(gitops.PublicOf(err), test.want) {
				t.Errorf("got %s: %v, want %s: %s", gitops.CodeOf(err), err, test.code, test.want)
			}
		})
	}
}

// A server that does not answer does not hold the command for ever, nor does a person who
// interrupts it.
func TestReadingEnds(t *testing.T) {
	o := newOrigin(t)
	o.commit(layout(t, "helm-values"))
	c := o.config()
	c.Timeout = time.Nanosecond
	if _, err := survey.Read(t.Context(), c); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := survey.Read(ctx, o.config()); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("got %v", err)
	}
}

// A file that is larger than is read, or one that is no file, is noted, and the others count.
func TestLargeFilesAreLeftOut(t *testing.T) {
	o := newOrigin(t)
	files := layout(t, "helm-values")
	files["charts/huge/values-dev.yaml"] = "image:\n  tag: v1\n# " + strings.Repeat("x", starter.MaxFileBytes) + "\n"
	o.commit(files)
	r := o.read(o.config())
	if !strings.Contains(r.Findings.Summary(), "note: charts/huge/values-dev.yaml cannot be read, and is left out: the file has ") {
		t.Error(r.Findings.Summary())
	}
	if slices.ContainsFunc(r.Findings.Targets(), func(t starter.Target) bool { return t.App == "huge" }) {
		t.Error("the file is a target")
	}
}
