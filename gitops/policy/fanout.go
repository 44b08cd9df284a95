package policy

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// checkFanOut refuses repositories whose images mean more updates than one delivery
// may have: their pushes would be turned away one by one, and no sender would send
// them again. Environments with one tag rule take the same tags, and so count together;
// so do the apps in them that have no rule of their own and those that have one rule.
func (p *Policy) checkFanOut(most int) error {
	if most == 0 {
		return nil
	}
	byRule := make(map[TagRule][]string) // environments
	for _, env := range p.names {
		rule := p.environments[env].rule.source
		byRule[rule] = append(byRule[rule], env)
	}
	var problems []error
	for _, repository := range slices.SortedFunc(maps.Keys(p.byImage), func(a, b imageName) int { return strings.Compare(a.String(), b.String()) }) {
		means := 0
		for _, environments := range byRule {
			means = max(means, p.updatesOf(repository, environments))
		}
		if means > most {
			problems = append(problems, gitops.FieldErrorf("apps",
				"an image in %s means %d updates, and one delivery may have %d: give some of the apps a repository of their own", repository, means, most))
		}
	}
	return errors.Join(problems...)
}

// updatesOf is how many updates an image in the repository means if those of the
// environments take its tag, and no other does.
func (p *Policy) updatesOf(name imageName, environments []string) int {
	byRule := make(map[TagRule]int) // of the apps
	for _, app := range p.byImage[name] {
		for _, env := range environments {
			if a := p.apps[app]; a.runsIn(env) && a.imageIn(env).name == name {
				byRule[a.rule.source]++
			}
		}
	}
	everyTag, most := byRule[TagRule{}], 0
	delete(byRule, TagRule{})
	for _, n := range byRule {
		most = max(most, n)
	}
	return everyTag + most
}
