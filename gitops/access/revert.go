package access

import (
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
)

func (n names) checkRevert(report report) {
	if len(n.config.Reverted) == 0 {
		report("who.revert", "no environment has rollout.revert: true, so nothing is reverted: set it for one, or remove the rule")
	}
}

// checkUnnamedReverts refuses environments in which tallyman is to go back, and may not.
func (l *List) checkUnnamedReverts() (problems []error) {
	for _, environment := range l.config.Reverted {
		if !slices.ContainsFunc(l.rules, func(r *rule) bool { return r.Who.Revert && (r.environments == nil || r.environments[environment]) }) {
			problems = append(problems, gitops.FieldErrorf("environments."+environment+".rollout.revert",
				`no rule of access allows tallyman to go back in %s: add {who: {revert: {}}, may: [rollback], apps: ["*"], environments: [%[1]s]} to access, or remove it here`, environment))
		}
	}
	return problems
}
