package access

import (
	"fmt"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
)

// checkUnnamed refuses senders that no rule names: each of their requests would be
// authenticated and then refused, and nobody configures a sender for that.
func (l *List) checkUnnamed() (problems []error) {
	report := func(field, what string) {
		problems = append(problems, gitops.FieldErrorf(field, "no rule of access names %s, so it may do nothing: add a rule to access, or remove it here", what))
	}
	named := func(is func(r *rule) bool) bool { return slices.ContainsFunc(l.rules, is) }
	for _, source := range l.config.Sources {
		if source == sourceGitHub {
			if !named(func(r *rule) bool { return r.Who.Dispatch != nil }) {
				report("sources.github", "dispatches of a repository")
			}
		} else if !named(func(r *rule) bool { return r.Who.Push != nil && r.Who.Push.Source == source }) {
			report("sources."+source, "pushes from "+source)
		}
	}
	for i, topic := range l.config.Topics {
		if !named(func(r *rule) bool { return r.Who.Push.is(sourceSNS) && r.Who.Push.hears(topic) }) {
			report(fmt.Sprintf("sources.sns.topics[%d]", i), "this topic")
		}
	}
	for i, token := range l.config.Tokens {
		if !named(func(r *rule) bool { return r.Who.Token == token }) {
			report(fmt.Sprintf("api.tokens[%d]", i), "token "+token)
		}
	}
	for i, issuer := range l.config.Issuers {
		if !named(func(r *rule) bool { return r.Who.Job != nil && r.issuer == issuer }) {
			report(fmt.Sprintf("api.oidc.issuers[%d]", i), "jobs of this issuer")
		}
	}
	return slices.Concat(problems, l.checkUnnamedPolls(), l.checkUnnamedReverts())
}

func (w *Push) is(source string) bool { return w != nil && w.Source == source }

// hears reports whether the events of a topic count.
func (w *Push) hears(topic string) bool {
	return len(w.Topics) == 0 || slices.Contains(w.Topics, topic)
}
