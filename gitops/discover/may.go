package discover

import (
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// MayNameApp reports whether a tip could have an app of this name.
func (r *Rules) MayNameApp(name string) bool {
	if gitops.CheckName("", name) != nil {
		return false
	}
	return slices.ContainsFunc(r.rules, func(r *rule) bool { return r.mayName(name) })
}

// mayName reports whether the entry's files can name an app: some path is left by the
// excludes.
func (r *rule) mayName(name string) bool {
	if len(r.excludes) == 0 || strings.Contains(r.File, "*") {
		return true
	}
	for env := range r.known {
		if !r.excludes.match(expand(r.File, name, env)) {
			return true
		}
	}
	return false
}

// MayNameImage reports whether a tip could have an app of this image.
func (r *Rules) MayNameImage(image string) bool {
	return slices.ContainsFunc(r.rules, func(r *rule) bool { return r.mayHave(image) })
}

func (r *rule) mayHave(image string) bool {
	if r.RepositoryKey != "" || r.AppFile != "" {
		return true
	}
	if r.Repository == "" {
		return false
	}
	steps := maxSteps
	m := matcher{left: &steps, environments: environments{known: make(map[string]bool, len(r.known))}}
	for env := range r.known {
		m.known[strings.ToLower(env)] = true
	}
	return slices.ContainsFunc(m.readings(r.image, image, []reading{{}}), func(n reading) bool {
		return !n.unknown && (n.app == "" || gitops.CheckName("", n.app) == nil)
	})
}
