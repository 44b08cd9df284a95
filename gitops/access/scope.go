package access

import (
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Scope is all that a principal may do one thing to. The zero value is nothing.
// Immutable.
type Scope struct {
	rules []*rule
}

// Scope returns what Authorize would allow a principal with the right.
func (l *List) Scope(p gitops.Principal, right gitops.Right) Scope {
	var s Scope
	for _, r := range l.byWho[keyOf(p)] {
		if r.reaches(p, right) {
			s.rules = append(s.rules, r)
		}
	}
	return s
}

// reaches reports whether the rule allows the principal the right anywhere.
func (r *rule) reaches(p gitops.Principal, right gitops.Right) bool {
	asked := request{principal: p, right: right}
	return r.right.holds(asked) && hold(r.who, asked)
}

// Allows reports whether an app in an environment is part of it.
func (s Scope) Allows(app, environment string) bool {
	asked := request{app: app, environment: environment}
	return slices.ContainsFunc(s.rules, func(r *rule) bool { return hold(r.where, asked) })
}

// Empty reports whether it is nothing at all.
func (s Scope) Empty() bool { return len(s.rules) == 0 }

// All reports whether one rule allows every app in every environment, also those
// that are not configured any more.
func (s Scope) All() bool {
	return slices.ContainsFunc(s.rules, func(r *rule) bool { return r.environments == nil && r.apps == nil })
}
