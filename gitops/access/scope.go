package access

import (
	"maps"
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
	asked := request{principal: p, right: right, anywhere: true}
	var s Scope
	for _, r := range l.byWho[keyOf(p)] {
		if r.allows(asked) {
			s.rules = append(s.rules, r)
		}
	}
	return s
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

// Area is an app in an environment. An empty name means all.
type Area struct{ Environment, App string }

// Areas are what the scope is made of, for a reader that cannot ask Allows of each
// item. They may overlap.
func (s Scope) Areas() (areas []Area) {
	for _, r := range s.rules {
		for _, environment := range namesOf(r.environments) {
			for _, app := range namesOf(r.apps) {
				areas = append(areas, Area{environment, app})
			}
		}
	}
	return areas
}

// namesOf is a set's names, sorted; of all of them the empty name.
func namesOf(set map[string]bool) []string {
	if set == nil {
		return []string{""}
	}
	return slices.Sorted(maps.Keys(set))
}
