package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Grant is one rule's part of what may be done in one environment.
type Grant struct {
	Environment string
	Rule        string         // as in "access[3]"
	Who         string         // for people
	Credential  string         // what it is authenticated by, for people
	Rights      []gitops.Right // without read
	Apps        []string       // nil is all
}

// String is the grant as a line for people.
func (g Grant) String() string {
	rights := make([]string, len(g.Rights))
	for i, right := range g.Rights {
		rights[i] = string(right)
	}
	apps := "all apps"
	if g.Apps != nil {
		apps = list(g.Apps)
	}
	return fmt.Sprintf("%s: %s may %s %s, by %s", g.Rule, g.Who, strings.Join(rights, ", "), apps, g.Credential)
}

// Matrix lists who may write in each environment, by which credential and rule. The
// environments are in the order of the configuration's, each with its rules in theirs.
func (l *List) Matrix() (grants []Grant) {
	for _, environment := range l.config.Environments {
		for _, r := range l.rules {
			if r.environments != nil && !r.environments[environment] {
				continue
			}
			writes := slices.DeleteFunc(slices.Clone(r.May), func(right gitops.Right) bool { return right == gitops.RightRead })
			if len(writes) == 0 {
				continue
			}
			grant := Grant{Environment: environment, Rule: r.name, Who: r.describe(), Credential: r.credential(), Rights: writes}
			if r.apps != nil {
				grant.Apps = r.Apps
			}
			grants = append(grants, grant)
		}
	}
	return grants
}

// credential is what authenticates whom the rule is for.
func (r *rule) credential() string {
	switch w := r.Who; {
	case w.Push.is(sourceSNS):
		return "Amazon's signature"
	case w.Push != nil:
		return "the secret of sources.eventbridge"
	case w.Dispatch != nil:
		return "the webhook secret of sources.github"
	case w.Job != nil:
		return "an OIDC token of " + r.issuer
	case w.Poll != nil:
		return "the answer of a registry that tallyman asked"
	case w.Revert:
		return "the environment's rollout.revert"
	default:
		return "a token of api.tokens"
	}
}

// describe names whom the rule is for, with every condition on them.
func (r *rule) describe() string {
	with := func(format, text string) string {
		if text == "" {
			return ""
		}
		return fmt.Sprintf(format, text)
	}
	switch w := r.Who; {
	case w.Push != nil:
		return "pushes from " + w.Push.Source + with(" of account %s", list(w.Push.Accounts)) + with(" in %s", list(w.Push.Regions)) + with(" by topic %s", list(w.Push.Topics))
	case w.Dispatch != nil:
		senders := list(slices.Concat(w.Dispatch.Senders, decimals(w.Dispatch.SenderIDs)))
		if senders == "" {
			senders = "whoever may write it"
		}
		installation := ""
		if w.Dispatch.InstallationID != 0 {
			installation = fmt.Sprintf(" through installation %d", w.Dispatch.InstallationID)
		}
		return fmt.Sprintf("dispatches of %s (id %d) by %s%s", w.Dispatch.Repository, w.Dispatch.RepositoryID, senders, installation)
	case w.Job != nil:
		return r.describeJob(*w.Job, with)
	case w.Poll != nil:
		return "what is found in " + list(w.Poll.Registries)
	case w.Revert:
		return "tallyman itself, for a revert,"
	}
	return "token " + r.Who.Token
}

func (r *rule) describeJob(w Job, with func(format, text string) string) string {
	ref := "on "
	if w.RefProtected {
		ref = "on protected "
	}
	var files []string
	for _, file := range w.JobWorkflows {
		files = append(files, file.String())
	}
	return fmt.Sprintf("jobs of %s (id %s) %s", w.Repository, w.RepositoryID, ref+list(w.Refs)) +
		with(" in the GitHub environment %s", w.GitHubEnvironment) + with(" of workflow %s", list(w.Workflows)) +
		with(" in file %s", list(files)) + with(" started by %s", list(w.Events)) + with(" on a %s runner", w.RunnerEnvironment) + with(" of actor %s", list(w.ActorIDs))
}

// Gate is a GitHub environment that a rule demands of jobs: its protection rules
// stand before an order.
type Gate struct {
	Rule              string
	Issuer            string // of the jobs' tokens
	Repository        string // owner/name
	RepositoryID      string
	GitHubEnvironment string
}

// Gates lists the GitHub environments that rules demand.
func (l *List) Gates() (gates []Gate) {
	for _, r := range l.rules {
		if w := r.Who.Job; w != nil && w.GitHubEnvironment != "" {
			gates = append(gates, Gate{r.name, r.issuer, w.Repository, w.RepositoryID, w.GitHubEnvironment})
		}
	}
	return gates
}

// OrderedByName reports whether anybody but a registry, asked or not, may order an app in an
// environment.
func (l *List) OrderedByName(app, environment string) bool {
	asked := request{right: gitops.RightOrder, app: app, environment: environment}
	return slices.ContainsFunc(l.rules, func(r *rule) bool {
		return r.Who.Push == nil && r.Who.Poll == nil && r.right.holds(asked) && hold(r.where, asked)
	})
}
