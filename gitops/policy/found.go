package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Places are the apps that have an image in the environments, by the image's name as it is
// configured. Each list is sorted.
func (p *Policy) Places(environments []string) map[string][]gitops.Place {
	places := make(map[string][]gitops.Place)
	for _, environment := range slices.Sorted(slices.Values(environments)) {
		for _, app := range slices.Sorted(maps.Keys(p.apps)) {
			if repository := p.apps[app].imageIn(environment).repository; repository != "" && p.apps[app].runsIn(environment) {
				places[repository] = append(places[repository], gitops.Place{Environment: environment, App: app})
			}
		}
	}
	return places
}

// ComparesVersions reports whether the tags of an app in an environment are versions by its
// rules, so that one is higher than another.
func (p *Policy) ComparesVersions(environment, app string) bool {
	return p.environments[environment].rule.semver != nil || p.apps[app].rule.semver != nil
}

// found plans an image that was found for places, of which each means it or has a sentence
// in the reason. Also where an environment allows downgrades it only goes up: an image
// that no event told of is not newer for that than what is there.
func (p *Policy) found(e gitops.ImagePush) (updates []gitops.Update, reason string) {
	var reasons []string
	for _, at := range e.For {
		if _, known := p.environments[at.Environment]; !known {
			reasons = append(reasons, p.UnknownEnvironment(at.Environment))
			continue
		}
		if why := p.WhyNot(e, at.Environment, at.App); why != "" {
			reasons = append(reasons, at.Environment+": "+why)
			continue
		}
		updates = append(updates, p.pushed(e, at.Environment, at.App, p.ComparesVersions(at.Environment, at.App)))
	}
	return updates, strings.Join(reasons, "; ")
}
