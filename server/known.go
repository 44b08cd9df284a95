package server

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/catalog"
)

// known is the apps that are known now, with what plans deliveries for them. It does not
// change.
type known struct {
	*catalog.Catalog
	policy *policy.Policy
	reader manifestReader        // the API's; nothing before the store is open
	gone   map[catalog.At]string // files of targets that were known and are not any more
	memo   *policy.Memo
}

// mostGone is how many targets that are gone are remembered.
const mostGone = 10_000

// followedBy is [gitops.Update.FollowedBy] of an app's updates.
func (k *known) followedBy(environment, app string) string {
	target, ok := k.Target(environment, app)
	if !ok || !target.Rollout.Followed() {
		return ""
	}
	return target.Rollout.By
}

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
// and a problem waits for whoever can solve it, also one that cannot name the apps that it
// is of.
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
	if hidden, ok := k.Hidden(environment, app); ok {
		return why + ", and may be on the branch all the same: " + hidden, false
	}
	if file, ok := k.gone[catalog.At{Environment: environment, App: app}]; ok {
		return fmt.Sprintf("app %q is not known in environment %q any more: %s is not on the branch", app, environment, file), k.Complete()
	}
	return why + ", and no file of the branch names it", k.Complete()
}

// newKnown makes it of what catalogs are made of. Its error joins everything that is wrong
// with the configuration.
func newKnown(in catalog.Input) (*known, error) {
	apps, err := catalog.New(in)
	c := policyConfig(in, apps.PolicyApps())
	c.MayNameApp, c.MayNameImage, c.Problem = apps.MayComeToKnow, apps.MayComeToKnowImage, whyNotIn(apps)
	p, policyErr := policy.New(c)
	return &known{Catalog: apps, policy: p, memo: in.Memo}, errors.Join(policyErr, checkRefined(in), err)
}

// policyConfig is the configuration of a policy for apps.
func policyConfig(in catalog.Input, apps map[string]policy.App) policy.Config {
	return policy.Config{Environments: catalog.PolicyEnvironments(in.Config), Apps: apps, MaxUpdates: queue.MaxUpdates, MoreApps: len(in.Looks) > 0, Memo: in.Memo}
}

// whyNotIn finds why an app of a catalog cannot be ordered.
func whyNotIn(apps *catalog.Catalog) func(environment, app string) (why string, ok bool) {
	return func(environment, app string) (why string, ok bool) {
		if _, ok := apps.Target(environment, app); ok {
			return "", false
		}
		if problem, ok := apps.Problem(environment, app); ok {
			return problem.Text(), true
		}
		if !apps.Has(app) { // who is known nowhere may wait
			return "", false
		}
		if hidden, ok := apps.Hidden(environment, app); ok {
			return fmt.Sprintf("app %q is not known in environment %q, and may be on the branch all the same: %s", app, environment, hidden), true
		}
		return "", false
	}
}

// checkRefined checks the apps of the configuration that refine what branches name,
// whether they are found or not.
func checkRefined(in catalog.Input) error {
	refined := catalog.Refined(in)
	if len(refined) == 0 {
		return nil
	}
	p := policyConfig(in, refined)
	for name := range p.Environments { // their rules are checked where they are used
		p.Environments[name] = policy.Environment{Tags: policy.TagRule{Match: ".+"}}
	}
	p.MaxUpdates = 0
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
