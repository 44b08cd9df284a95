package server

import (
	"errors"
	"fmt"
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
	reader manifestReader        // the API's; nothing before the store is open
	gone   map[catalog.At]string // files of targets that were known and are not any more
}

// mostGone is how many targets that are gone are remembered.
const mostGone = 10_000

// remember notes which files of what was known before are gone, for the reasons of their
// updates.
func (k *known) remember(before *known) {
	k.gone = make(map[catalog.At]string)
	for at, file := range before.gone {
		if _, back := k.Target(at.Environment, at.App); !back && len(k.gone) < mostGone {
			k.gone[at] = file
		}
	}
	for _, t := range before.Targets() {
		if _, stays := k.Target(t.Environment, t.App); !stays && len(k.gone) < mostGone {
			k.gone[t.At] = t.Files[0].Path
		}
	}
}

// whyGone says why updates of an app are not written in an environment, and whether that
// may change by itself: until every branch was looked at nobody knows what there is not,
// and a problem waits for whoever can solve it.
func (k *known) whyGone(environment, app string) (why string, settled bool) {
	if _, ok := k.Target(environment, app); ok {
		return "", true
	}
	if p, ok := k.Problem(environment, app); ok {
		return p.Text(), false
	}
	why = fmt.Sprintf("app %q is not configured for environment %q", app, environment)
	if !k.MayComeToKnow(app) {
		return why, true
	}
	if file, ok := k.gone[catalog.At{Environment: environment, App: app}]; ok {
		return fmt.Sprintf("app %q is not known in environment %q any more: %s is not on the branch", app, environment, file), k.Complete()
	}
	return why + ", and no file of the branch names it", k.Complete()
}

// newKnown makes it of a catalog. Its error joins everything that is wrong with the
// configuration.
func newKnown(in catalog.Input) (*known, error) {
	apps, err := catalog.New(in)
	p, policyErr := buildPolicy(in.Config, apps)
	return &known{Catalog: apps, policy: p}, errors.Join(policyErr, checkRefined(in), err)
}

// buildPolicy makes it of a catalog; an order of an app with a problem is rejected for that.
func buildPolicy(c config.Config, apps *catalog.Catalog) (*policy.Policy, error) {
	p := policy.Config{
		Environments: map[string]policy.Environment{}, Apps: apps.PolicyApps(), MaxUpdates: queue.MaxUpdates,
		MayNameApp: apps.MayComeToKnow, MayNameImage: apps.MayComeToKnowImage,
	}
	p.Problem = func(environment, app string) (why string, ok bool) {
		if _, ok := apps.Target(environment, app); ok {
			return "", false
		}
		problem, ok := apps.Problem(environment, app)
		if !ok {
			return "", false
		}
		return problem.Text(), true
	}
	for name, env := range c.Environments {
		p.Environments[name] = policy.Environment{Tags: policy.TagRule(env.Tags), Downgrades: env.Downgrades == "allow"}
	}
	return policy.New(p)
}

// checkRefined checks the apps of the configuration that refine what branches name,
// whether they are found or not.
func checkRefined(in catalog.Input) error {
	refined := catalog.Refined(in)
	if len(refined) == 0 {
		return nil
	}
	p := policy.Config{Environments: map[string]policy.Environment{}, Apps: refined}
	for name := range in.Config.Environments { // their rules are checked where they are used
		p.Environments[name] = policy.Environment{Tags: policy.TagRule{Match: ".+"}}
	}
	_, err := policy.New(p)
	return err
}

// latest is what is known in one generation. A look at a branch puts another in its place
// while requests are answered: each part of an answer is by one or the other. A delivery
// is planned at once, and so by one. Safe for concurrent use.
type latest struct{ now atomic.Pointer[known] }

// known is what is known now.
func (l *latest) known() *known { return l.now.Load() }

// Plan implements webhook.Planner. Nobody can say that there is no app before every branch
// was looked at: an order of one that is not known is to be sent again, and nothing is kept
// of it.
func (l *latest) Plan(e gitops.Event) (gitops.Delivery, error) {
	k := l.known()
	if e.Violation != nil || e.Principal.Dispatch != nil || k.Complete() {
		return k.policy.Plan(e)
	}
	for _, order := range e.Orders {
		_, ok := k.Target(order.Environment, order.App)
		_, wrong := k.Problem(order.Environment, order.App)
		if !ok && !wrong && k.MayComeToKnow(order.App) {
			return gitops.Delivery{Source: e.Delivery.Source, ID: e.Delivery.ID, Actor: e.Principal.Actor(), Principal: e.Principal.ID()}, &gitops.Error{
				Code: gitops.Unavailable, Field: order.Field("app"), RetryAfter: lookBetween,
				Message: fmt.Sprintf("whether there is an app %q is not known yet: the branch is still being looked at. Send the order again", order.App),
			}
		}
	}
	return k.policy.Plan(e)
}

// areasIn lists the apps and environments that are set in a file; of "" all.
func (l *latest) areasIn(file string) (areas []queue.Area) {
	for _, at := range l.known().In(file) {
		areas = append(areas, queue.Area{Environment: at.Environment, App: at.App})
	}
	return areas
}
