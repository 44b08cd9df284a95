package server

import (
	"errors"
	"sync/atomic"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/config"
)

// known is the apps that are known now, with what plans deliveries for them. It does not
// change.
type known struct {
	*catalog.Catalog
	policy *policy.Policy
	reader manifestReader // the API's; nothing before the store is open
}

// newKnown makes it of a catalog. Its error joins everything that is wrong with the
// configuration.
func newKnown(c config.Config, in catalog.Input) (*known, error) {
	apps, err := catalog.New(in)
	p, policyErr := buildPolicy(c, apps)
	return &known{Catalog: apps, policy: p}, errors.Join(policyErr, err)
}

func buildPolicy(c config.Config, apps *catalog.Catalog) (*policy.Policy, error) {
	p := policy.Config{Environments: map[string]policy.Environment{}, Apps: apps.PolicyApps(), MaxUpdates: queue.MaxUpdates}
	for name, env := range c.Environments {
		p.Environments[name] = policy.Environment{Tags: policy.TagRule(env.Tags), Downgrades: env.Downgrades == "allow"}
	}
	return policy.New(p)
}

// latest is what is known in one generation. A look at a branch puts another in its place
// while requests are answered: each part of an answer is by one or the other. A delivery
// is planned at once, and so by one. Safe for concurrent use.
type latest struct{ now atomic.Pointer[known] }

// known is what is known now.
func (l *latest) known() *known { return l.now.Load() }

// Plan implements webhook.Planner.
func (l *latest) Plan(e gitops.Event) (gitops.Delivery, error) { return l.known().policy.Plan(e) }

// areasIn lists the apps and environments that are set in a file; of "" all.
func (l *latest) areasIn(file string) (areas []queue.Area) {
	for _, at := range l.known().In(file) {
		areas = append(areas, queue.Area{Environment: at.Environment, App: at.App})
	}
	return areas
}
