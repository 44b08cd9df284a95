package catalog

import (
	"errors"
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/config"
)

// PolicyEnvironments are the environments of the configuration as the policy has them.
func PolicyEnvironments(c config.Config) map[string]policy.Environment {
	environments := make(map[string]policy.Environment, len(c.Environments))
	for name, env := range c.Environments {
		environments[name] = policy.Environment{Tags: policy.TagRule(env.Tags), Downgrades: env.Downgrades == "allow"}
	}
	return environments
}

// checkTags checks the tag rules of apps that branches name. One that the configuration
// gives is its error; one of an app's own file, or one that leaves an environment no tag
// for the app, stops that app there alone.
func (b *builder) checkTags() error {
	p, err := policy.New(policy.Config{Environments: PolicyEnvironments(b.Config), MoreApps: true, Memo: b.Memo})
	if err != nil {
		return nil // whoever makes the policy of all apps says so
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(b.Config.Apps)) {
		if app := b.Config.Apps[name]; app.Tags != nil && b.refines(name) {
			_, err := p.CheckTags(policy.TagRule(*app.Tags), app.Environments...)
			problems = append(problems, gitops.PrefixField("apps."+name, err))
		}
	}
	b.shareTags()
	for _, w := range b.all {
		if w.found == nil || !w.ok || w.Tags == (config.Tags{}) {
			continue
		}
		if _, err := p.CheckTags(policy.TagRule(w.Tags), w.Environment); err != nil {
			b.refuse(w, "its "+gitops.PublicOf(err))
		}
	}
	return errors.Join(problems...)
}

// shareTags has the rule of an app's own file hold for the app everywhere, also where
// another entry found it; that of the configuration comes before it. Two rules are refused:
// which of them was meant nobody can say.
func (b *builder) shareTags() {
	first := make(map[string]*wanted) // the one with a rule, by app
	for _, w := range b.all {
		if own := b.Config.Apps[w.App].Tags; own != nil && w.found != nil {
			w.Tags = *own
		}
		if w.found != nil && w.Tags != (config.Tags{}) && first[w.App] == nil {
			first[w.App] = w
		}
	}
	for _, w := range b.all {
		with := first[w.App]
		switch {
		case w.found == nil || with == nil || w.Tags == with.Tags:
		case w.Tags == (config.Tags{}):
			w.Tags = with.Tags
		case w.ok:
			b.refuse(w, "its tags are not those that it has in "+with.Environment+" by "+with.where()+": an app has one rule", with.sources()...)
		}
	}
}
