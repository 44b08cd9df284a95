package server

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/holds"
)

// buildFreezes compiles the freezes of a configuration, and holds the apps that they name
// against those that are configured or may be found.
func buildFreezes(c config.Config, looks []catalog.Look) (*gate.Freezes, error) {
	var all []gate.FreezeConfig
	var problems []error
	for i, f := range c.Freezes {
		field := config.FreezeField(i)
		all = append(all, gate.FreezeConfig{
			Field: field, Name: f.Name, Environments: f.Environments, Apps: f.Apps, Zone: f.Zone, Reason: f.Reason,
			Weekly: spans(f.Weekly), Once: spans(f.Once),
		})
		for j, app := range f.Apps {
			if _, configured := c.Apps[app]; !configured && !mayKnow(looks, app) {
				problems = append(problems, gitops.FieldErrorf(fmt.Sprintf("%s.apps[%d]", field, j), "no app %q is configured", gitops.Clip(app, 100)))
			}
		}
	}
	freezes, err := gate.Compile(all)
	return freezes, errors.Join(append(problems, err)...)
}

func spans(windows []config.Window) (all []gate.Span) {
	for _, w := range windows {
		all = append(all, gate.Span(w))
	}
	return all
}

// mayKnow reports whether an app that is not configured may be found on a branch.
func mayKnow(looks []catalog.Look, app string) bool {
	return slices.ContainsFunc(looks, func(l catalog.Look) bool { return l.Rules.MayNameApp(app) })
}

// checkHeld reports a name of an act that is neither configured nor found, nor may be found,
// and one app that is not in one environment.
func (g *generation) checkHeld(environments, apps []string) error {
	rejected := func(field string, i int, why string) error {
		return &gitops.Error{Code: gitops.Rejected, Field: fmt.Sprintf("%s[%d]", field, i), Message: why}
	}
	k := g.known()
	for i, name := range environments {
		if _, ok := g.config.Environments[name]; !ok {
			return rejected("environments", i, k.policy.UnknownEnvironment(name))
		}
	}
	for i, name := range apps {
		if !k.Has(name) && (k.Complete() || !k.MayComeToKnow(name)) {
			return rejected("apps", i, k.policy.UnknownApp(name))
		}
	}
	if len(environments) == 1 && len(apps) == 1 && k.Complete() {
		_, known := k.Target(environments[0], apps[0])
		_, faulty := k.Problem(environments[0], apps[0]) // what cannot be written now may be held all the same
		if why, _ := k.whyGone(environments[0], apps[0]); !known && !faulty {
			return rejected("apps", 0, why)
		}
	}
	return nil
}

// holdRules are what the configuration in force says of holds.
func (g *generations) holdRules() holds.Rules {
	now := g.current()
	return holds.Rules{Freezes: now.freezes, PinFor: now.config.Holds.PinFor}
}
