package github_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/clocktest"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver/gittest"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	forge "github.com/tallyman-dev/tallyman/server/forge/github"
	"github.com/tallyman-dev/tallyman/server/githubapp"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
	"github.com/tallyman-dev/tallyman/server/secrettest"
)

const (
	installation = 5678
	bot          = githubtest.Slug + "[bot]"
	topic        = "tallyman/prod/api"
)

var said secrettest.Book

func TestMain(m *testing.M) { os.Exit(secrettest.Main(m, &said)) }

// site is a manifest repository on a GitHub, and the forge that is tested.
type site struct {
	*forge.Forge
	t      *testing.T
	clock  *clocktest.Clock
	github *githubtest.Server
	repo   *githubtest.Repository
	git    *gitserver.Repository
	app    *githubapp.App

	proposed proposals.Pull // by propose, last
}

func newSite(t *testing.T) *site { return newSiteAt(t, "") }

// newSiteAt is a site whose API is below a path.
func newSiteAt(t *testing.T, path string) *site { return newSiteOf(t, "myshop/manifests", path) }

// newSiteOf is a site whose configuration writes the repository's name so. Most of a test is
// waiting for git, so they run beside each other.
func newSiteOf(t *testing.T, name, path string) *site {
	t.Helper()
	t.Parallel()
	_, repo := gittest.Start(t, "myshop/manifests.git")
	s := &site{t: t, git: repo, github: githubtest.New(t), clock: clocktest.At(time.Now().Truncate(time.Second))}
	gittest.Commit(t, repo, gitserver.Change{Files: map[string]string{"api.yaml": "tag: 1.0.0\n", "web.yaml": "tag: 1.0.0\n"}})
	s.github.SetNow(s.clock.Now)
	s.github.Install(installation, "myshop/manifests")
	s.github.Permit(installation, "pull_requests", "write")
	s.repo = s.github.Serve("myshop/manifests", repo)
	app, err := githubapp.New(githubapp.Config{
		AppID: githubtest.AppID, InstallationID: installation, PrivateKeyFile: s.github.KeyFile(),
		RepositoryURL: "https://github.com/" + name + ".git", APIURL: s.github.URL + path, Now: s.clock.Now,
		Wait: func(context.Context, time.Duration) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := app.Close(); err != nil {
			t.Error(err)
		}
		said.Forbid(s.github.Tokens()...)
	})
	s.app = app
	s.Forge = forge.New(app, "main")
	forge.SetNow(s.Forge, s.clock.Now)
	return s
}

// push makes a topic branch with one commit on main's tip.
func (s *site) push(branch, tag string) git.Hash {
	s.t.Helper()
	made := gittest.Commit(s.t, s.git, gitserver.Change{
		Branch: branch, From: "main", Message: "Set api to " + tag + "\n\nTallyman-Update: id-" + tag, Files: map[string]string{"api.yaml": "tag: " + tag + "\n"},
	})
	h, ok := git.ParseHash(made)
	if !ok {
		s.t.Fatal(made)
	}
	return h
}

func text(tag string, labels ...string) proposals.Text {
	return proposals.Text{Title: "Set api to " + tag, Body: "The body.\n\nTallyman-Update: id-" + tag, Labels: labels}
}

// propose opens a pull request of the topic.
func (s *site) propose(tag string) proposals.Pull {
	s.t.Helper()
	s.push(topic, tag)
	p, err := s.Create(s.t.Context(), topic, text(tag))
	if err != nil {
		s.t.Fatal(err)
	}
	s.proposed = p
	return p
}

func (s *site) get(number int) proposals.Pull {
	s.t.Helper()
	p, err := s.Get(s.t.Context(), number)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// tip is the message of main's newest commit.
func (s *site) tip() string {
	s.t.Helper()
	return gittest.Git(s.t, s.git, "log", "-1", "--format=%B", "main")
}

func path(format string, args ...any) string {
	return "/repos/myshop/manifests" + fmt.Sprintf(format, args...)
}

// lose makes the next such call happen without an answer that helps.
func (s *site) lose(method, path, contains string, applied bool) {
	s.github.Inject(githubtest.Fault{Method: method, Path: path, Contains: contains, Times: 1, Applied: applied, Status: http.StatusBadGateway, Body: "<html>"})
}
