package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// orNever is a predicate, or the one that is never true.
func orNever(may func(string) bool) func(string) bool {
	if may == nil {
		return func(string) bool { return false }
	}
	return may
}

// awaitApp has a delivery wait that orders an app which is not known yet: all of its
// orders, or none.
func (p *Policy) awaitApp(d *gitops.Delivery, orders []gitops.Order) {
	i := slices.IndexFunc(orders, func(o gitops.Order) bool {
		_, known := p.apps[o.App]
		return !known
	})
	if i < 0 {
		return
	}
	d.Outcome, d.Field, d.Updates = gitops.OutcomeWaiting, orders[i].Field("app"), nil
	d.Reason = fmt.Sprintf("no app %q is configured, and none was discovered yet", orders[i].App)
}

// mayCome reports whether an app of a name that is not known may become known. One whose
// name differs from a known one's only in capitals may not.
func (p *Policy) mayCome(app string) bool {
	other, taken := p.inLowerCase[strings.ToLower(app)]
	return p.mayNameApp(app) && (!taken || other == app)
}

// awaitsImage reports whether an app with a pushed image may become known, and would be
// updated somewhere. The image of a known app does not wait for more of them, and neither
// does what was found for places that were known.
func (p *Policy) awaitsImage(e gitops.ImagePush) bool {
	name := nameOfPush(e)
	return e.Tag != "" && e.For == nil && unusable(e) == "" && len(p.byImage[name]) == 0 && p.mayNameImage(name.String()) &&
		slices.ContainsFunc(p.names, func(environment string) bool { return p.environments[environment].rule.refuses(e.Tag) == "" })
}

// noAppWith says that no app is known that has the image.
func noAppWith(e gitops.ImagePush) string {
	return fmt.Sprintf("no app is configured with the repository %s", clip(nameOfPush(e).String()))
}
