package oidc

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Rule says which jobs of one repository may order what. Everything that it names
// must hold.
type Rule struct {
	Issuer       string   // whose numbers the two ids are; may be left out where there is one issuer
	Repository   string   // owner/name, for people: what counts are the ids
	RepositoryID string   // required
	OwnerID      string   // required
	Refs         []string // patterns of refs/heads/... and refs/tags/...; * stands for anything but a slash

	// Environment is the GitHub environment that the job runs in, whose protection
	// rules, such as required reviewers, the job has passed.
	Environment string

	// Workflows are paths of the workflows that may be started, or, with an @,
	// references of the files that the job may stand in.
	Workflows []string

	Events       []string // that may have started the workflow
	Apps         []string // that may be ordered; "*" is all
	Environments []string // in which they may be ordered
}

// rule is a Rule with what its checks and sentences need.
type rule struct {
	Rule
	field  string // where it stands in the configuration
	issuer string
}

// numberGrammar is how GitHub writes ids in its claims.
var numberGrammar = regexp.MustCompile(`^[1-9][0-9]{0,19}$`)

func newRule(field string, r Rule, issuers []string) (rule, error) {
	made := rule{Rule: r, field: "api.oidc." + field, issuer: r.Issuer}
	var problems []error
	report := func(name, format string, args ...any) {
		problems = append(problems, gitops.FieldErrorf(field+"."+name, format, args...))
	}
	switch {
	case r.Issuer == "" && len(issuers) == 1:
		made.issuer = issuers[0]
	case r.Issuer == "":
		report("issuer", "is missing: there are several issuers, and a number of one is another repository at the next")
	case !slices.Contains(issuers, r.Issuer):
		report("issuer", "is not one of issuers")
	}
	if strings.Count(r.Repository, "/") != 1 {
		report("repository", "must be owner/name")
	}
	if !numberGrammar.MatchString(r.RepositoryID) {
		report("repositoryID", "must be the repository's number: gh api repos/OWNER/NAME --jq .id")
	}
	if !numberGrammar.MatchString(r.OwnerID) {
		report("ownerID", "must be the owner's number: gh api repos/OWNER/NAME --jq .owner.id")
	}
	if len(r.Refs) == 0 && r.Environment == "" {
		report("refs", "is missing, and so is githubEnvironment: every branch could order")
	}
	for i, ref := range r.Refs {
		if _, err := path.Match(ref, ""); err != nil || !strings.HasPrefix(ref, "refs/heads/") && !strings.HasPrefix(ref, "refs/tags/") {
			report(fmt.Sprintf("refs[%d]", i), "must be a pattern such as refs/heads/main or refs/tags/v*")
		}
	}
	for i, workflow := range r.Workflows {
		if at := strings.Index(workflow, ".github/workflows/"); at < 0 || (at > 0) != strings.Contains(workflow, "@") {
			report(fmt.Sprintf("workflows[%d]", i), "must be .github/workflows/FILE, or OWNER/NAME/.github/workflows/FILE@REF for a reusable one")
		}
	}
	if len(r.Events) == 0 {
		report("events", "must name at least one event")
	}
	for i, event := range r.Events {
		if event == "" || strings.HasPrefix(event, "pull_request") {
			report(fmt.Sprintf("events[%d]", i), "must be an event such as push; those of pull requests may order nothing")
		}
	}
	if len(r.Apps) == 0 {
		report("apps", `must name at least one app, or "*"`)
	}
	if len(r.Environments) == 0 {
		report("environments", "must name at least one environment")
	}
	return made, errors.Join(problems...)
}

// isFor reports whether the rule is for the job's repository.
func (r rule) isFor(issuer string, c claims) bool {
	return r.issuer == issuer && r.RepositoryID == c.RepositoryID && r.OwnerID == c.OwnerID
}

// refuses says what of the rule does not hold; "" when all of it does.
func (r rule) refuses(c claims, app, environment string) string {
	among := func(what, got string, allowed []string) string {
		return fmt.Sprintf("%s %q is not among %s", what, clip(got), strings.Join(allowed, ", "))
	}
	switch {
	case !slices.Contains(r.Environments, environment):
		return among("environment", environment, r.Environments)
	case !slices.Contains(r.Apps, app) && !slices.Contains(r.Apps, "*"):
		return among("app", app, r.Apps)
	case r.Environment != "" && c.Environment != r.Environment:
		return fmt.Sprintf("the job must run in the GitHub environment %q, not in %q", r.Environment, clip(c.Environment))
	case len(r.Refs) > 0 && !slices.ContainsFunc(r.Refs, func(p string) bool { ok, _ := path.Match(p, c.Ref); return ok }):
		return among("ref", c.Ref, r.Refs)
	case !slices.Contains(r.Events, c.Event):
		return among("event", c.Event, r.Events)
	case len(r.Workflows) > 0 && !slices.ContainsFunc(r.Workflows, c.isOf):
		return fmt.Sprintf("workflow %q, job in %q, is not among %s", clip(c.Workflow), clip(c.JobWorkflow), strings.Join(r.Workflows, ", "))
	}
	return ""
}

// isOf reports whether the job is of a workflow, as a rule writes it.
func (c claims) isOf(workflow string) bool {
	if strings.Contains(workflow, "@") {
		return c.JobWorkflow == workflow
	}
	// owner/name/.github/workflows/file@refs/..., where a file's name may have an @.
	// An organisation can require workflows of another repository, whose files of
	// the same name are not meant.
	at, _, _ := strings.Cut(c.Workflow, "@refs/")
	parts := strings.SplitN(at, "/", 3)
	return len(parts) == 3 && strings.EqualFold(parts[0]+"/"+parts[1], c.Repository) && parts[2] == workflow
}
