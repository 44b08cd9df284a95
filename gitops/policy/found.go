package policy

import (
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Image returns the image of an app in an environment, without tag; "" where it has none,
// or does not run there.
func (p *Policy) Image(environment, app string) string {
	a, known := p.apps[app]
	if _, ok := p.environments[environment]; !ok || !known || !a.runsIn(environment) {
		return ""
	}
	return a.imageIn(environment).repository
}

// ComparesVersions reports whether the tags of an app in an environment are versions by its
// rules, so that one is higher than another.
func (p *Policy) ComparesVersions(environment, app string) bool {
	return p.environments[environment].rule.semver != nil || p.apps[app].rule.semver != nil
}

// found plans an image that was found for places, of which each means it or has a sentence
// in the reason. Also where an environment allows downgrades it only goes up: that nobody
// told of an image until now does not make it newer than what is there.
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
