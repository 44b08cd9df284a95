package policy

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy/tagset"
)

// refuses says why a tag is not taken for an app in an environment, and by which rule; ""
// when it is taken.
func (p *Policy) refuses(environment, app, tag string) string {
	env, own := p.environments[environment].rule, p.apps[app].rule
	why := env.refuses(tag)
	if own.empty() {
		return why
	}
	var said []string
	if why != "" {
		said = append(said, "by the environment's rule, "+why)
	}
	if why := own.refuses(tag); why != "" {
		said = append(said, fmt.Sprintf("by the rule of app %q, %s", app, why))
	}
	if len(said) == 0 {
		return ""
	}
	if example := p.memo.pair(env, own).tag; example != "" {
		said = append(said, "both rules take tags such as "+example)
	}
	return strings.Join(said, "; ")
}

// OwnRule is the rule that an app has of its own; empty when it has none.
func (p *Policy) OwnRule(app string) TagRule { return p.apps[app].rule.source }

// onlyUp reports whether a push does not lower the app's version in an environment.
func (p *Policy) onlyUp(environment, app string) bool {
	return !p.environments[environment].downgrades && p.ComparesVersions(environment, app)
}

// checkDowngrades refuses to allow what is never forbidden: only versions are compared.
// With more apps to come there may be one that has versions.
func (p *Policy) checkDowngrades(moreApps bool) error {
	var problems []error
	for _, name := range p.names {
		env := p.environments[name]
		if !env.downgrades || env.rule.source.Semver != "" || moreApps || p.hasVersions(name) {
			continue
		}
		problems = append(problems, gitops.FieldErrorf("environments."+name+".downgrades", "has no meaning without tags.semver: only versions are compared. Remove it, or set tags.semver"))
	}
	return errors.Join(problems...)
}

// hasVersions reports whether an app has versions in an environment by its own rule.
func (p *Policy) hasVersions(environment string) bool {
	for _, a := range p.apps {
		if a.rule.source.Semver != "" && a.runsIn(environment) {
			return true
		}
	}
	return false
}

// CheckTags reports what [New] would say of the rule of an app that runs in some of the
// environments: what is hardly meant, and as an error that joins all of it what is wrong.
// Each names its field, as in "tags.match".
func (p *Policy) CheckTags(own TagRule, environments ...string) (warnings []*gitops.Error, err error) {
	_, warnings, err = p.compileOwn(own, environments)
	return warnings, err
}

// compileOwn compiles the rule of an app that runs in the environments, and refuses one
// that leaves an environment no tag for it.
func (p *Policy) compileOwn(source TagRule, environments []string) (own rule, warnings []*gitops.Error, err error) {
	own, warnings, err = p.memo.compile("tags", source)
	if err != nil || own.empty() {
		return own, warnings, err
	}
	if own.takesAny() {
		warnings = append(warnings, gitops.FieldErrorf("tags.match", "takes tags as different as %s, and so narrows no environment's rule: leave it out, or name what the app's tags have in common", strings.Join(unlike, ", ")))
	}
	var problems []error
	for _, name := range environments {
		env := p.environments[name].rule
		if env.empty() {
			continue
		}
		if found := p.memo.pair(env, own); found.clash != nil {
			problems = append(problems, gitops.FieldErrorf("tags", "no tag satisfies it and environments.%s.tags at once: %s; or take the app out of %s", name, found.clash(name), name))
		}
	}
	return own, warnings, errors.Join(problems...)
}

// pair is what is known of an environment's rule and an app's together.
type pair struct {
	tag string // that both take; "" when none was found
	// clash says why there is none, and the way out; nil when there may be one.
	clash func(environment string) string
}

func comparePair(env, own rule) pair {
	tag, decided := findBoth(env, own)
	switch {
	case tag == "" && decided:
		return pair{clash: clashOf(env, own)}
	case env.versions == nil && own.versions == nil: // then there may be one that is easier to read
		named, _ := tagset.Intersect(env.pattern, own.pattern).FindNamed()
		return pair{tag: cmp.Or(named, tag)}
	}
	return pair{tag: tag}
}

// findBoth looks for a tag that two rules take, as [tagset.Find] does.
func findBoth(a, b rule) (tag string, decided bool) {
	return tagset.Find(tagset.Intersect(a.pattern, b.pattern), tagset.Both(a.versions, b.versions))
}

// clashOf explains rules that have no tag in common.
func clashOf(env, own rule) func(environment string) string {
	theirs, _ := tagset.Find(env.pattern, env.versions)
	ours, _ := tagset.Find(own.pattern, own.versions)
	if tag, named := missedPreRelease(env, own); tag != "" {
		return func(environment string) string {
			return fmt.Sprintf("it takes pre-releases such as %s, and semver %s of %s takes none. Write there a constraint that names one, such as %s", tag, env.source.Semver, environment, named)
		}
	}
	if tag, named := missedPreRelease(own, env); tag != "" {
		return func(environment string) string {
			return fmt.Sprintf("%s takes pre-releases such as %s, and semver %s takes none. Write a constraint that names one, such as %s", environment, tag, own.source.Semver, named)
		}
	}
	no := func(of rule, tag string) string {
		if of.versions == nil || notVersion(tag) == "" {
			return ""
		}
		return fmt.Sprintf(", which is not a version (%s)", notVersion(tag))
	}
	return func(environment string) string {
		return fmt.Sprintf("it takes tags such as %s%s, and %s takes such as %s%s. Widen one of the two", ours, no(env, ours), environment, theirs, no(own, theirs))
	}
}

// missedPreRelease is a tag that both rules would take if the constraint of the first
// named a pre-release, and that constraint; "" when there is none.
func missedPreRelease(strict, other rule) (tag, named string) {
	if strict.source.Semver == "" {
		return "", ""
	}
	named = withPreReleases(strict.source.Semver)
	versions, err := tagset.NewConstraint(named)
	if err != nil {
		return "", ""
	}
	tag, _ = findBoth(rule{pattern: strict.pattern, versions: versions}, other)
	return tag, named
}
