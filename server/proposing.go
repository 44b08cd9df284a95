package server

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/config"
)

// proposing is an environment with pull requests in a manifest repository.
type proposing struct{ environment, manifests string }

// proposingOf are the environments with pull requests and the manifest repositories that have
// files of theirs, or whose branches may name some; sorted.
func proposingOf(c config.Config, targets []*catalog.Target) (all []proposing) {
	add := func(environment, manifests string) {
		p := proposing{environment, manifests}
		if c.Environments[environment].Proposes() && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	for _, t := range targets {
		add(t.Environment, t.Manifests)
	}
	for _, d := range c.Discover {
		for environment := range c.Environments {
			if d.Environments == nil || slices.Contains(d.Environments, environment) {
				add(environment, d.Manifests)
			}
		}
	}
	slices.SortFunc(all, func(a, b proposing) int {
		return cmp.Or(cmp.Compare(a.environment, b.environment), cmp.Compare(a.manifests, b.manifests))
	})
	return all
}

// proposing are those of the generation, as its apps are known now.
func (g *generation) proposing() []proposing { return proposingOf(g.config, g.known().Targets()) }

// checkProposing refuses pull requests where there is no GitHub App to open them as, and where there
// can be no branches for them. What the branches of repositories name later is not refused
// here: an app that can have no branch has its updates fail.
func checkProposing(c config.Config, targets []*catalog.Target) error {
	var problems []error
	repositories := c.ManifestRepositories()
	checked := make(map[string]bool)
	for _, p := range proposingOf(c, targets) {
		field := "environments." + p.environment + ".write"
		r := repositories[p.manifests]
		if r.Credentials.GitHubApp == nil {
			problems = append(problems, gitops.FieldErrorf(field, "pull-request needs %s.credentials.githubApp, for files of %s are there and pull requests are opened as a GitHub App: set it, or write: push",
				config.RepositoryField(p.manifests), p.environment))
		}
		if !checked[p.manifests] {
			problems = append(problems, gitops.PrefixField(config.RepositoryField(p.manifests), proposals.CheckBase(r.Branch)))
		}
		checked[p.manifests] = true
	}
	for _, t := range targets {
		var refused *gitops.Error
		if t.Origin == "" && c.Environments[t.Environment].Proposes() && errors.As(proposals.CheckBranch(t.Environment, t.App), &refused) {
			problems = append(problems, gitops.FieldErrorf("environments."+t.Environment+".write", "%s", refused.Message))
		}
	}
	return errors.Join(problems...)
}

// checkSources refuses repositories that are to be told of updates where there is no GitHub
// App to tell them as.
func checkSources(c config.Config) error {
	for _, r := range c.ManifestRepositories() {
		if r.Credentials.GitHubApp != nil {
			return nil
		}
	}
	var problems []error
	check := func(field, source string) {
		if source != "" {
			problems = append(problems, gitops.FieldErrorf(field+".source",
				"needs a GitHub App, which tells the repository of updates: set manifests.credentials.githubApp, or remove the field"))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		check("apps."+name, c.Apps[name].Source)
	}
	for i, d := range c.Discover {
		check(config.DiscoverField(i), d.Source)
	}
	return errors.Join(problems...)
}
