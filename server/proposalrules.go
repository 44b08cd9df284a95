package server

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// proposalFacts are what decides whether the pull requests of one environment in one manifest
// repository can be opened, kept up to date and merged.
type proposalFacts struct {
	Environment string
	Branch      string // the base branch
	Topics      string // where the topic branches are, for people: tallyman/prod/*
	Auto        bool   // GitHub is to merge
	Signed      bool   // tallyman signs its commits

	App          string // its name
	PullRequests string // the permission that the installation has; "" for none
	ApproveAt    string // the page on which an owner approves permissions
	Events       []string

	Rules proposals.Rules
}

// advice is what is wrong with that, each a sentence with the way out.
type advice struct {
	wrong    []string // it cannot work
	warnings []string // it works, but maybe not as intended, or it could not be found out
}

func (a *advice) refuse(format string, args ...any) {
	a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
}

func (a *advice) warn(format string, args ...any) {
	a.warnings = append(a.warnings, fmt.Sprintf(format, args...))
}

// judge says what is wrong. Without the permission GitHub was not asked for the rules, and
// nothing is said of them.
//
// Facts: GitHub's documentation, "About protected branches", "Available rules for
// rulesets", "Automatically merging a pull request".
func (f proposalFacts) judge() (a advice) {
	if f.PullRequests != "write" {
		a.refuse("the GitHub App %s may not open pull requests: give it the permission Pull requests: write on its own page, "+
			"and have an owner of the installation approve that at %s. Environments with write: push go on meanwhile", f.App, f.ApproveAt)
		return a
	}
	if !slices.Contains(f.Events, "pull_request") {
		a.warn("the GitHub App %s does not receive the event Pull request: a merge or a close is seen up to some minutes later. Subscribe to it on the App's page", f.App)
	}
	f.judgePushes(&a)
	f.judgeMerges(&a)
	if f.Auto {
		f.judgeAuto(&a)
	}
	f.judgeApprovals(&a)
	for _, unknown := range f.Rules.Unknown {
		a.warn("%s", unknown)
	}
	return a
}

// signatures is the rule that topic branches fulfil where tallyman signs.
const signatures = "required_signatures"

// judgePushes judges whether tallyman may push topic branches.
func (f proposalFacts) judgePushes(a *advice) {
	refuse := slices.DeleteFunc(slices.Clone(f.Rules.TopicRefuses), func(rule string) bool { return rule == signatures && f.Signed })
	if len(refuse) > 0 {
		a.refuse("the rules %s of the repository apply to %s, too, and GitHub refuses tallyman's pushes there (GH013): exclude refs/heads/tallyman/**/* from the ruleset, or put the App on its bypass list",
			strings.Join(refuse, ", "), f.Topics)
	}
	if f.Rules.Signatures && !f.Signed {
		a.refuse("%s takes signed commits alone, and an unsigned commit keeps its pull request from being merged: set manifests.signing to the key of a user of GitHub and manifests.author.email to that user's address, "+
			"for an App has no key of its own; or remove the rule", f.Branch)
	}
}

// judgeMerges judges whether there is a way to merge, for whoever is to.
func (f proposalFacts) judgeMerges(a *advice) {
	if f.Rules.Queue {
		return // which has a method of its own
	}
	with := func(method string) bool { return slices.Contains(f.Rules.Methods, method) }
	why := demandsOf(f.Rules)
	switch {
	case len(f.Rules.Methods) == 0:
		a.refuse("%s cannot be merged into: the settings of the repository and the rules of the branch%s leave no merge method. Allow squash merging", f.Branch, why)
	case f.Rules.Signatures && !f.Auto && !with("merge"):
		a.refuse("only tallyman can merge into %s: signed commits are required, a person may not squash a pull request that another opened, and there are no merge commits%s. "+
			"Set merge: auto, or allow merge commits", f.Branch, linear(f.Rules))
	case f.Rules.Signatures && f.Auto && !with("squash") && !with("merge"):
		a.refuse("%s cannot be merged into: signed commits are required, and GitHub does not sign what it rebases. Allow squash merging", f.Branch)
	}
}

// judgeAuto judges what GitHub is to merge by itself.
func (f proposalFacts) judgeAuto(a *advice) {
	switch {
	case !f.Rules.Protected && !f.Rules.Queue:
		a.warn("no rule of %s has a merge wait for anything: with merge: auto each pull request is merged at once. Protect the branch, set merge: person, or write: push", f.Branch)
	case !f.Rules.AutoMerge && !f.Rules.Queue:
		a.refuse("the repository does not allow auto-merge, and merge: auto needs it: switch on \"Allow auto-merge\" in its settings, or set merge: person")
	case !f.Rules.DismissStale && !f.Rules.LastPush:
		a.warn("no ruleset of %s dismisses approvals when a pull request changes: with merge: auto the approval of one tag merges the next one, too. "+
			"Switch on \"Dismiss stale pull request approvals when new commits are pushed\", or set merge: person", f.Branch)
	}
}

// judgeApprovals judges whether approvals last until a merge.
func (f proposalFacts) judgeApprovals(a *advice) {
	if !f.Rules.Strict || f.Rules.Queue || !f.Rules.DismissStale && !f.Rules.LastPush {
		return
	}
	a.warn("%s wants pull requests to be up to date, and dismisses approvals when they are pushed: each other commit on %[1]s may cost a pull request its approvals. "+
		"Switch off \"Require branches to be up to date before merging\", or merge by a merge queue", f.Branch)
}

// demandsOf names the rules that exclude merge methods.
func demandsOf(r proposals.Rules) string {
	var names []string
	if r.LinearHistory {
		names = append(names, "linear history")
	}
	if r.Signatures {
		names = append(names, "signed commits")
	}
	if names == nil {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}

func linear(r proposals.Rules) string {
	if r.LinearHistory {
		return ", because the rule linear history forbids them"
	}
	return ""
}
