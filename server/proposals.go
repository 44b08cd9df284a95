package server

import (
	"cmp"
	"context"
	"net/url"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/topic"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/feedback"
	forge "github.com/tallyman-dev/tallyman/server/forge/github"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// startProposals makes what opens pull requests ready for lanes; it ends after them, and
// before the manifest repositories.
func (s *Server) startProposals() {
	s.proposals = proposals.NewRooms()
	s.configureProposals(s.current())
	s.onStop("pull requests", func(context.Context) error {
		s.proposals.Close()
		return nil
	})
}

// configureProposals has pull requests opened and followed as a generation says. It is not
// only for environments that have some: those that had some have them followed to their ends.
// A repository that stays as it is keeps what it is doing.
func (s *Server) configureProposals(g *generation) {
	rooms := make(map[string]proposals.Config)
	for name, r := range g.repositories {
		if r.topics == nil {
			continue
		}
		rooms[name] = proposals.Config{
			Repository: name, Branches: r.topics, Forge: r.forge, Gate: s.holds.Gate, Logger: s.logger.With("repository", name), Now: now,
			Environment: g.proposalsOf,
			Places:      func(environment, app string) []string { return placesOf(g.known().Target(environment, app)) },
			CompareURL: func(u gitops.Update, from string) string {
				t, _ := g.known().Target(u.Environment, u.App)
				return compareURL(r.app, t, from, u)
			},
		}
	}
	s.proposals.Configure(g.manifestsOf, rooms)
}

// manifestsOf is the manifest repository of an app in an environment. Of an app that is not
// known any more it is the one where its files would be, so that its pull request is found.
func (g *generation) manifestsOf(environment, app string) string {
	if t, known := g.known().Target(environment, app); known {
		return t.Manifests
	}
	return g.config.ManifestsOf(environment, app)
}

// proposalsOf is how an environment's pull requests are made. Those of one that has none any
// more are left to people.
func (g *generation) proposalsOf(environment string) proposals.Environment {
	env := g.config.Environments[environment]
	p := proposals.Environment{Merge: proposals.MergePerson}
	if env.MergesItself() {
		p.Merge = proposals.MergeAuto
	}
	if env.PullRequest != nil {
		p.Labels = env.PullRequest.Labels
	}
	return p
}

// placesOf are the files of a target and the keys in them.
func placesOf(t *catalog.Target, known bool) (places []string) {
	if !known {
		return nil
	}
	for _, f := range t.Files {
		for _, set := range f.Sets {
			places = append(places, f.Path+" "+set.Key)
		}
	}
	return places
}

// compareURL is the page of the changes from a tag to an update in the app's own repository,
// on the App's host; "" where either is not known. A tag without the name of a commit in it is
// taken to be one of git, too.
func compareURL(app *githubapp.App, t *catalog.Target, from string, u gitops.Update) string {
	if t == nil || t.Source == "" || from == "" || from == u.Tag {
		return ""
	}
	name := func(tag string) string { return cmp.Or(feedback.CommitInTag(tag), url.PathEscape(tag)) }
	return app.Page(t.Source, "compare/"+name(from)+"..."+cmp.Or(u.Revision, name(u.Tag)))
}

// newTopics makes what has a repository's topic branches and its pull requests, unless it is
// not written as a GitHub App, or its own branch is where topic branches would be.
func (m *manifestMaker) newTopics(r *repository, c config.Config, at git.Config, breaker *git.Breaker) error {
	if r.app == nil || proposals.CheckBase(r.settings.Branch) != nil {
		return nil
	}
	remote, err := git.NewRemote(at)
	if err != nil {
		return err
	}
	r.topics, err = topic.New(topic.Config{
		Remote: breaker.Guard(remote), Branch: r.settings.Branch, View: r.writer.ViewAt,
		Target: func(environment, app string) (manifest.Target, error) { return m.targetIn(r, environment, app) },
		Guard:  m.files, Prover: m.prover, Author: git.Signature(r.settings.Author), Identify: r.identify(),
		Signing: git.Signing(r.settings.Signing), Subject: r.settings.Subject,
		Logger: m.logger.With("repository", r.name), Now: now,
		Limits: topic.Limits{FileBytes: int(c.Limits.File.Bytes), Memory: m.searchMemory},
	})
	if err == nil {
		r.forge = m.pulls.count(forge.New(r.app, r.settings.Branch), r.name)
	}
	return err
}
