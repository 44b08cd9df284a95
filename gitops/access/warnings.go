package access

import (
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Warnings says what is allowed and wider than it looks, each with the field that it
// is about. None of it stops the program: somebody may want it so.
func (l *List) Warnings() (warnings []*gitops.Error) {
	warn := func(field, format string, args ...any) {
		warnings = append(warnings, gitops.FieldErrorf(field, format, args...))
	}
	for _, r := range l.rules {
		r.warnScope(warn)
		l.warnNowhere(r, warn)
		r.warnSender(warn)
		l.warnUnpolled(r, warn)
		l.warnPastGate(r, warn)
	}
	for _, environment := range l.config.Environments {
		if !slices.ContainsFunc(l.rules, func(r *rule) bool { return r.orders() && (r.environments == nil || r.environments[environment]) }) {
			warn("environments."+environment, "no rule of access allows anybody to order there")
		}
	}
	return warnings
}

type warn func(field, format string, args ...any)

// orders reports whether the rule allows to order.
func (r *rule) orders() bool { return slices.Contains(r.May, gitops.RightOrder) }

// writes reports whether the rule allows more than to read.
func (r *rule) writes() bool {
	return slices.ContainsFunc(r.May, func(right gitops.Right) bool { return right != gitops.RightRead })
}

func (r *rule) warnScope(warn warn) {
	if !r.writes() || r.Who.Revert { // which does nothing where the environment does not say so, too
		return
	}
	if r.environments == nil {
		warn(r.name, "%s may %s in every environment, also in those that are added later: name the environments", r.describe(), r.rights())
	}
	// The image that was pushed or found says which apps are meant; all others name any.
	if r.apps == nil && r.Who.Push == nil && r.Who.Poll == nil && r.Who.Token == "" {
		warn(r.name, "%s may %s every app, also those of others: name the apps", r.describe(), r.rights())
	}
}

// warnNowhere tells of a rule of whose apps none is in one of its environments.
func (l *List) warnNowhere(r *rule, warn warn) {
	for app, environments := range l.config.Apps {
		if r.apps == nil || r.apps[app] {
			if environments == nil || r.environments == nil || slices.ContainsFunc(environments, func(e string) bool { return r.environments[e] }) {
				return
			}
		}
	}
	if r.apps == nil && l.config.MayKnow != nil || slices.ContainsFunc(slices.Collect(maps.Keys(r.apps)), l.config.mayKnow) {
		return
	}
	warn(r.name, "none of its apps is in one of its environments, so it allows nothing")
}

func (r *rule) rights() string {
	texts := make([]string, 0, len(r.May))
	for _, right := range r.May {
		texts = append(texts, string(right))
	}
	return strings.Join(texts, ", ")
}

// anybody are events that those can cause who may not write the repository.
var anybody = []string{"discussion", "discussion_comment", "fork", "gollum", "issue_comment", "issues", "watch", "workflow_run"}

func (r *rule) warnSender(warn warn) {
	if w := r.Who.Dispatch; w != nil && len(w.Senders) > 0 && len(w.SenderIDs) == 0 {
		warn(r.name, "senders are logins, which GitHub gives out again when an account is renamed or deleted: add senderIDs (gh api users/LOGIN --jq .id)")
	}
	w := r.Who.Job
	if w == nil || !r.orders() {
		return
	}
	if w.GitHubEnvironment == "" && !w.RefProtected && slices.ContainsFunc(w.Refs, func(ref string) bool { return strings.ContainsAny(ref, "*?[") }) {
		warn(r.name, "whoever may push to %s can make a ref that %s takes: demand refProtected or a githubEnvironment, or name the refs", w.Repository, list(w.Refs))
	}
	for _, event := range w.Events {
		if slices.Contains(anybody, event) {
			warn(r.name, "the event %s can be caused by people who may not write %s", event, w.Repository)
		}
	}
}

// warnPastGate tells of a rule by which orders reach what another rule keeps behind
// a GitHub environment.
func (l *List) warnPastGate(r *rule, warn warn) {
	if !r.orders() {
		return
	}
	for _, gate := range l.rules {
		if gate.Who.Job == nil || gate.Who.Job.GitHubEnvironment == "" || !gate.orders() || r.behindOther(gate) {
			continue
		}
		environments, apps := both(r.environments, gate.environments, l.config.Environments), both(r.apps, gate.apps, nil)
		if len(environments) > 0 && apps != nil {
			warn(r.name, "%s may order %s in %s without the GitHub environment %s that %s demands: nobody is asked to approve it",
				r.describe(), list(apps), list(environments), gate.Who.Job.GitHubEnvironment, gate.name)
		}
	}
}

// behindOther reports whether jobs of the rule stand behind a gate of their own: that of
// another repository, or the same one. Another environment of the same repository may
// have no reviewers.
func (r *rule) behindOther(gate *rule) bool {
	return r.Who.Job != nil && r.Who.Job.GitHubEnvironment != "" && (r.key() != gate.key() || r.Who.Job.GitHubEnvironment == gate.Who.Job.GitHubEnvironment)
}

// both is what two sets have in common, sorted, where nil is all of them; nil when
// that is nothing.
func both(a, b map[string]bool, every []string) (common []string) {
	switch {
	case a == nil && b == nil && every == nil:
		return []string{"every app"}
	case a == nil && b == nil:
		return every
	case a == nil:
		a = b
	case b == nil:
		b = a
	}
	for name := range a {
		if b[name] {
			common = append(common, name)
		}
	}
	slices.Sort(common)
	return common
}
