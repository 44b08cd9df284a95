package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tallyman-dev/tallyman/gitops"
)

// PullRequest says how an environment's pull requests are made.
type PullRequest struct {
	// Merge is "person", and a person merges, or "auto", and the forge merges as soon as the
	// rules of the branch allow it. Default person.
	Merge string `yaml:"merge" oneOf:"person,auto"`
	// Labels are the labels that each pull request has. One that the repository does not
	// have is made. Default: none.
	Labels []string `yaml:"labels"`
}

// What [Environment.Write] and [PullRequest.Merge] say.
const (
	writeByPullRequest = "pull-request"
	mergeByForge       = "auto"
)

// Proposes reports whether the environment's updates are written by pull requests.
func (e Environment) Proposes() bool { return e.Write == writeByPullRequest }

// MergesItself reports whether the forge is to merge the environment's pull requests.
func (e Environment) MergesItself() bool {
	return e.Proposes() && e.PullRequest.Merge == mergeByForge
}

// setWriteDefaults fills in the defaults of how the environment is written. After it
// PullRequest is set where the environment has pull requests.
func (e *Environment) setWriteDefaults() {
	byDefault(&e.Write, "push")
	if e.Proposes() {
		byDefault(&e.Coalesce, "newest") // an app has one pull request
		if e.PullRequest == nil {
			e.PullRequest = new(PullRequest)
		}
	}
	if e.PullRequest != nil {
		byDefault(&e.PullRequest.Merge, "person")
	}
}

// checkPullRequests checks how environments are written, by themselves. Whether their
// manifest repositories can have pull requests is checked where the apps are known.
func (c *Config) checkPullRequests(report reporter) {
	for _, name := range slices.Sorted(maps.Keys(c.Environments)) {
		env, field := c.Environments[name], "environments."+name
		if env.PullRequest != nil {
			env.PullRequest.checkLabels(report, field+".pullRequest.labels")
			if env.Write == "push" {
				report(field+".pullRequest", "is for write: pull-request, and the updates of %s are pushed: set write: pull-request, or remove the field", gitops.Clip(name, 100))
			}
		}
		if !env.Proposes() {
			continue
		}
		if env.Commits == "one-per-batch" {
			report(field+".commits", "must not be one-per-batch with write: pull-request, where each app has a pull request of its own: remove the field, or set write: push")
		}
		if env.Coalesce == "none" {
			report(field+".coalesce", "must not be none with write: pull-request: an app has one pull request, and its newest update takes the place of those before: remove the field, or set write: push")
		}
		if env.AfterHold == "all" {
			report(field+".afterHold", "must not be all with write: pull-request: an app has one pull request, with its newest update: remove the field, or set write: push")
		}
	}
}

// GitHub's bounds of labels, as its API refuses others, and how many a pull request may have.
const (
	longestLabel = 50
	mostLabels   = 20
)

// checkLabels checks the grammar of labels. GitHub takes two names that differ in capitals
// alone for one.
func (p PullRequest) checkLabels(report reporter, field string) {
	if p.Labels != nil && len(p.Labels) == 0 {
		report(field, "must name at least one label; without the field pull requests have none")
	}
	if len(p.Labels) > mostLabels {
		report(field, "has %d labels, and a pull request may have %d: remove some", len(p.Labels), mostLabels)
	}
	for i, label := range p.Labels {
		at, given := fmt.Sprintf("%s[%d]", field, i), gitops.Clip(label, 100)
		same := func(other string) bool { return strings.EqualFold(other, label) }
		switch first := slices.IndexFunc(p.Labels, same); {
		case label == "":
			report(at, "is empty: name a label, or remove it")
		case strings.TrimSpace(label) != label:
			report(at, "%q begins or ends with a space: write %q", given, gitops.Clip(strings.TrimSpace(label), 100))
		case utf8.RuneCountInString(label) > longestLabel:
			report(at, "has %d characters, and GitHub takes a label of at most %d: shorten it", utf8.RuneCountInString(label), longestLabel)
		case strings.Contains(label, ","):
			report(at, "%q has a comma, which separates labels: write each as an item of the list", given)
		case strings.ContainsFunc(label, unicode.IsControl) || !utf8.ValidString(label):
			report(at, "%q has a control character: remove it", given)
		case first < i:
			report(at, "%q is there already, as %s[%d], for GitHub does not tell capitals apart: remove one of them", given, field, first)
		}
	}
}

// The names that GitHub gives owners and repositories; owners of enterprises have an
// underscore. Source: GitHub's documentation, "Username considerations for external
// authentication"; the API refuses other names of repositories.
var (
	ownerName      = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_-]{0,38})$`)
	repositoryName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
)

// checkSource checks the grammar of a repository on GitHub, in which {app} may stand for an
// app's name.
func checkSource(report reporter, field, source string, ofApps bool) {
	if source == "" {
		return
	}
	name := source
	if ofApps {
		name = strings.ReplaceAll(source, "{app}", "app")
	}
	owner, repository, found := strings.Cut(name, "/")
	given := gitops.Clip(source, 200)
	switch {
	case strings.Contains(source, "://") || strings.HasPrefix(source, "git@"):
		report(field, "must be owner/name, not an address: %q", given)
	case !ofApps && strings.ContainsAny(source, "{}"):
		report(field, "must be owner/name of one repository, not %q: {app} is known in discover alone", given)
	case strings.ContainsAny(name, "{}"):
		report(field, "knows only {app} in braces, not %q", given)
	case strings.HasSuffix(name, ".git"):
		report(field, "must be owner/name without .git, not %q", given)
	case !found || !ownerName.MatchString(owner) || !repositoryName.MatchString(repository) || repository == "." || repository == "..":
		report(field, "must be owner/name, as the repository's address on GitHub has it, not %q", given)
	}
}
