package access

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/aws"
)

// names are what rules may name.
type names struct {
	config             Config
	apps, environments map[string]bool
}

func newNames(c Config) names {
	n := names{config: c, apps: make(map[string]bool, len(c.Apps)), environments: setOf(c.Environments)}
	for app := range c.Apps {
		n.apps[app] = true
	}
	return n
}

// report notes a problem of a rule; the field is below the rule's.
type report func(field, format string, args ...any)

// check reports everything that is wrong with a rule.
func (n names) check(r *rule) (problems []error) {
	report := func(field, format string, args ...any) {
		problems = append(problems, gitops.FieldErrorf(r.name+"."+field, format, args...))
	}
	kinds := 0
	for _, is := range []bool{r.Who.Push != nil, r.Who.Dispatch != nil, r.Who.Job != nil, r.Who.Token != "", r.Who.Poll != nil, r.Who.Revert} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		report("who", "must be exactly one of push, dispatch, job, token, poll and revert")
		return problems
	}
	switch w := r.Who; {
	case w.Push != nil:
		n.checkPush(report, *w.Push)
	case w.Dispatch != nil:
		n.checkDispatch(report, *w.Dispatch)
	case w.Job != nil:
		n.checkJob(report, *w.Job)
	case w.Poll != nil:
		n.checkPoll(report, *w.Poll)
	case w.Revert:
		n.checkRevert(report)
	default:
		if !slices.Contains(n.config.Tokens, w.Token) {
			report("who.token", "%q is not configured in api.tokens", w.Token)
		}
	}
	checkRights(report, r.Rule)
	n.checkScope(report, r.Rule)
	return problems
}

// rights are what each kind of principal can be allowed. A registry, a webhook and a
// poll only bring orders. A job's token is used for one order, or to say whether what it
// deployed runs; decisions about the updates of others are for people, but for the one that
// tallyman takes where an environment has it revert.
var rights = map[gitops.PrincipalKind][]gitops.Right{
	gitops.KindPush:     {gitops.RightOrder},
	gitops.KindDispatch: {gitops.RightOrder},
	gitops.KindJob:      {gitops.RightRead, gitops.RightOrder, gitops.RightReport},
	gitops.KindToken:    gitops.Rights(),
	gitops.KindPoll:     {gitops.RightOrder},
	gitops.KindRevert:   {gitops.RightRollback},
}

func checkRights(report report, r Rule) {
	kind := kindOf(r.Who)
	if len(r.May) == 0 {
		report("may", "must name at least one right: a %s can have %s", kind, list(rights[kind]))
	}
	for i, right := range r.May {
		if !slices.Contains(rights[kind], right) {
			report(fmt.Sprintf("may[%d]", i), "%q is not a right that a %s can have: it can have %s", right, kind, list(rights[kind]))
		}
	}
}

func kindOf(w Who) gitops.PrincipalKind {
	switch {
	case w.Push != nil:
		return gitops.KindPush
	case w.Dispatch != nil:
		return gitops.KindDispatch
	case w.Job != nil:
		return gitops.KindJob
	case w.Poll != nil:
		return gitops.KindPoll
	case w.Revert:
		return gitops.KindRevert
	}
	return gitops.KindToken
}

// checkScope wants automation to say what it reaches. A list that is there and empty
// is a mistake for everybody: whoever takes the last name out of it does not mean
// all.
func (n names) checkScope(report report, r Rule) {
	for _, scope := range []struct {
		field, one string
		names      []string
		known      map[string]bool
		mayKnow    func(name string) bool
	}{
		{"apps", "app", r.Apps, n.apps, n.config.mayKnow},
		{"environments", "environment", r.Environments, n.environments, func(string) bool { return false }},
	} {
		switch {
		case scope.names == nil && r.Who.Token == "":
			report(scope.field, `is missing: name each %s, or "*" for all`, scope.one)
		case scope.names != nil && len(scope.names) == 0:
			report(scope.field, `must name at least one %s, or "*" for all`, scope.one)
		case slices.Contains(scope.names, all) && len(scope.names) > 1:
			report(scope.field, `has "*" beside names: it is all of them, so it must stand alone`)
		}
		for i, name := range scope.names {
			if name != all && !scope.known[name] && !scope.mayKnow(name) {
				report(fmt.Sprintf("%s[%d]", scope.field, i), "no %s %q is configured%s", scope.one, name, wayOutOfCase(name, scope.known))
			}
		}
	}
}

// wayOutOfCase names the one of the known names that was meant, where only the case
// differs.
func wayOutOfCase(name string, known map[string]bool) string {
	if near := gitops.InOtherCase(name, maps.Keys(known)); near != "" {
		return fmt.Sprintf(": capitals count, and there is %q", near)
	}
	return ""
}

var accountGrammar = regexp.MustCompile(`^[0-9]{12}$`)

func (n names) checkPush(report report, w Push) {
	switch {
	case w.Source != sourceEventBridge && w.Source != sourceSNS:
		report("who.push.source", "must be eventbridge or sns")
	case !slices.Contains(n.config.Sources, w.Source):
		report("who.push.source", "sources.%s is not configured", w.Source)
	}
	checkList(report, "who.push.accounts", w.Accounts, "the 12 digits of an AWS account, in quotes", accountGrammar.MatchString)
	checkList(report, "who.push.regions", w.Regions, "an AWS region such as eu-west-1", isRegion)
	if w.Topics != nil && w.Source != sourceSNS {
		report("who.push.topics", "are of sns: %s has none", w.Source)
		return
	}
	checkList(report, "who.push.topics", w.Topics, "one of sources.sns.topics", func(topic string) bool { return slices.Contains(n.config.Topics, topic) })
}

func isRegion(region string) bool {
	_, ok := aws.PartitionOf(region)
	return ok
}

// The sources of deliveries that rules name.
const (
	sourceGitHub      = "github"
	sourceEventBridge = "eventbridge"
	sourceSNS         = "sns"
)

// checkList checks the items of a list that allows any where it is left out.
func checkList(report report, field string, items []string, must string, ok func(string) bool) {
	if items != nil && len(items) == 0 {
		report(field, "is empty: name at least one, or leave the field out for any")
	}
	for i, item := range items {
		if !ok(item) {
			report(fmt.Sprintf("%s[%d]", field, i), "%q must be %s", clip(item), must)
		}
	}
}

func (n names) checkDispatch(report report, w Dispatch) {
	if !slices.Contains(n.config.Sources, sourceGitHub) {
		report("who.dispatch", "sources.github is not configured")
	}
	checkRepository(report, "who.dispatch.repository", w.Repository)
	if w.RepositoryID <= 0 {
		report("who.dispatch.repositoryID", "must be the repository's number: gh api repos/OWNER/NAME --jq .id")
	}
	if w.InstallationID < 0 {
		report("who.dispatch.installationID", "must be a number above 0")
	}
	checkList(report, "who.dispatch.senders", w.Senders, "a login", func(login string) bool { return login != "" })
	if w.SenderIDs != nil && len(w.SenderIDs) == 0 {
		report("who.dispatch.senderIDs", "is empty: name at least one, or leave the field out for any")
	}
	for i, id := range w.SenderIDs {
		if id <= 0 {
			report(fmt.Sprintf("who.dispatch.senderIDs[%d]", i), "must be a user's number: gh api users/LOGIN --jq .id")
		}
	}
}

func checkRepository(report report, field, repository string) {
	if owner, name, ok := strings.Cut(repository, "/"); !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		report(field, "must be owner/name")
	}
}

var (
	numberGrammar = regexp.MustCompile(`^[1-9][0-9]{0,19}$`) // how GitHub writes ids in its claims
	shaGrammar    = regexp.MustCompile(`^[0-9a-f]{40}$`)
	eventGrammar  = regexp.MustCompile(`^[a-z][a-z_]*$`)
	fileGrammar   = regexp.MustCompile(`^[^/@]+/[^/@]+/\.github/workflows/[^/@]+@[^@].*$`) // OWNER/NAME/.github/workflows/FILE@REF
)

func (n names) checkJob(report report, w Job) {
	n.checkIssuer(report, w.Issuer)
	checkRepository(report, "who.job.repository", w.Repository)
	for _, id := range []struct{ field, value, is, find string }{
		{"repositoryID", w.RepositoryID, "the repository's number", "gh api repos/OWNER/NAME --jq .id"},
		{"ownerID", w.OwnerID, "the owner's number", "gh api repos/OWNER/NAME --jq .owner.id"},
	} {
		if !numberGrammar.MatchString(id.value) {
			report("who.job."+id.field, "must be %s: %s", id.is, id.find)
		}
	}
	// Without refs anybody who may push a branch could run a workflow of their own on
	// it, in a GitHub environment, too.
	if len(w.Refs) == 0 {
		report("who.job.refs", "is missing: name the branches and tags, such as refs/heads/main or refs/tags/v*")
	}
	for i, ref := range w.Refs {
		if _, err := path.Match(ref, ""); err != nil || !strings.HasPrefix(ref, "refs/heads/") && !strings.HasPrefix(ref, "refs/tags/") {
			report(fmt.Sprintf("who.job.refs[%d]", i), "%q must be a pattern such as refs/heads/main or refs/tags/v*", clip(ref))
		} else if strings.Contains(ref, "**") {
			report(fmt.Sprintf("who.job.refs[%d]", i), "%q has **, which means no more than *: anything but a slash; name each depth, as in refs/heads/*/*", clip(ref))
		}
	}
	checkWorkflows(report, w)
	if len(w.Events) == 0 {
		report("who.job.events", "must name at least one event, such as push")
	}
	if slices.Contains(w.Events, "workflow_call") {
		report("who.job.events", "has workflow_call, which no job has: the jobs of a reusable workflow have the event of the workflow that calls it; name the file in jobWorkflows")
	}
	// The code of a pull request is its author's, who may be anybody.
	checkList(report, "who.job.events", w.Events, "an event such as push; jobs of pull requests are never allowed anything",
		func(event string) bool {
			return eventGrammar.MatchString(event) && !strings.HasPrefix(event, "pull_request")
		})
	if w.RunnerEnvironment != "" && w.RunnerEnvironment != "github-hosted" && w.RunnerEnvironment != "self-hosted" {
		report("who.job.runnerEnvironment", "must be github-hosted or self-hosted")
	}
	checkList(report, "who.job.actorIDs", w.ActorIDs, "a user's number: gh api users/LOGIN --jq .id", numberGrammar.MatchString)
}

func (n names) checkIssuer(report report, issuer string) {
	switch {
	case len(n.config.Issuers) == 0:
		report("who.job", "api.oidc is not configured, so no job can be authenticated")
	case issuer == "" && len(n.config.Issuers) > 1:
		report("who.job.issuer", "is missing: there are several issuers, and a number of one is another repository at the next")
	case issuer != "" && !slices.Contains(n.config.Issuers, issuer):
		report("who.job.issuer", "is not one of api.oidc.issuers")
	}
}

func checkWorkflows(report report, w Job) {
	checkList(report, "who.job.workflows", w.Workflows, ".github/workflows/FILE; a file of another repository belongs in jobWorkflows", func(workflow string) bool {
		file, ok := strings.CutPrefix(workflow, ".github/workflows/")
		return ok && file != "" && !strings.ContainsAny(file, "/@")
	})
	if w.JobWorkflows != nil && len(w.JobWorkflows) == 0 {
		report("who.job.jobWorkflows", "is empty: name at least one, or leave the field out for any")
	}
	for i, file := range w.JobWorkflows {
		if !fileGrammar.MatchString(file.Ref) {
			report(fmt.Sprintf("who.job.jobWorkflows[%d].ref", i), "%q must be OWNER/NAME/.github/workflows/FILE@REF", clip(file.Ref))
		}
		if file.SHA != "" && !shaGrammar.MatchString(file.SHA) {
			report(fmt.Sprintf("who.job.jobWorkflows[%d].sha", i), "must be the 40 hexadecimal digits of a commit")
		}
	}
}

// issuerOf is whose numbers a rule's are: the only issuer's where it names none.
func issuerOf(w Job, issuers []string) string {
	if w.Issuer == "" && len(issuers) == 1 {
		return issuers[0]
	}
	return w.Issuer
}
