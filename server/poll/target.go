package poll

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
)

// target is an image that is polled, and what it is polled for.
type target struct {
	name     string // as it is configured
	host     string // that is asked
	registry string // the host by the name that rules have
	every    time.Duration
	places   []place
}

// place is an app in an environment that polls.
type place struct {
	gitops.Place
	versions     bool // its tags are versions; else the time of the push decides
	refusesMoved bool
}

// targetsOf are the images of the environments that poll, each once, however many apps and
// environments have it. The shortest interval is that of the image.
func targetsOf(s *Site) map[string]target {
	environments := make([]string, 0, len(s.Environments))
	for name := range s.Environments {
		environments = append(environments, name)
	}
	targets := make(map[string]target)
	for name, at := range s.Policy.Places(environments) {
		t := target{name: name, host: s.Registry.Host(name), registry: policy.HostOf(name)}
		for _, a := range at {
			e := s.Environments[a.Environment]
			if t.every == 0 || e.Every < t.every {
				t.every = e.Every
			}
			t.places = append(t.places, place{a, s.Policy.ComparesVersions(a.Environment, a.App), e.RefusesMoved})
		}
		targets[name] = t
	}
	return targets
}

// takers are those of the places whose rules take the tag.
func (t target) takers(p Policy, tag string) (takers []place) {
	for _, at := range t.places {
		if p.WhyNot(gitops.ImagePush{Image: t.name, Tag: tag}, at.Environment, at.App) == "" {
			takers = append(takers, at)
		}
	}
	return takers
}
