package api

import (
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// view is what a caller may read: what it has the right to read, and what it ordered
// itself. The rest is left out of answers, as if it did not exist.
type view struct {
	scope     access.Scope
	principal gitops.Principal
	ownKeys   string // what the ids of the caller's own orders begin with
}

// viewOf asks what a caller may read now.
func (a *API) viewOf(c Caller) view {
	return view{a.Access.Scope(c.Principal, gitops.RightRead), c.Principal, DeliveryID(c.Principal, "")}
}

// within is the view as the store's lists take it; nil is all.
func (v view) within() *queue.Scope {
	if v.scope.All() {
		return nil
	}
	within := &queue.Scope{Principal: v.principal.ID()}
	for _, area := range v.scope.Areas() {
		within.Areas = append(within.Areas, queue.Area(area))
	}
	return within
}

// own reports whether the caller sent the delivery of an update. Callers order by the
// API alone, where [DeliveryID] says whose an order is, so the store need not be asked.
func (v view) own(key gitops.DeliveryKey) bool {
	return key.Source == Source && strings.HasPrefix(key.ID, v.ownKeys)
}

// update reports whether the caller may read an update.
func (v view) update(u gitops.Update) bool {
	return v.scope.Allows(u.App, u.Environment) || v.own(u.Delivery)
}

// delivery is the part of a delivery that the caller may read; ok is false when there
// is none. A rejected order is for who may read what it was for. Another delivery without
// updates concerns no app, so it is for who sent it and for who may read everything.
func (v view) delivery(d gitops.Delivery) (part gitops.Delivery, ok bool) {
	if v.scope.All() || d.Principal != "" && d.Principal == v.principal.ID() {
		return d, true
	}
	if d.Environment != "" && v.scope.Allows(d.App, d.Environment) {
		return d, true
	}
	d.Updates = slices.DeleteFunc(slices.Clone(d.Updates), func(u gitops.Update) bool { return !v.scope.Allows(u.App, u.Environment) })
	if len(d.Updates) == 0 {
		return gitops.Delivery{}, false
	}
	d.Reason = v.reason(d)
	return d, true
}

// reason is the part of a delivery's reason that is about environments in which the
// caller may read the delivery's apps. Its sentences begin with the environment's name.
func (v view) reason(d gitops.Delivery) string {
	var kept []string
	for sentence := range strings.SplitSeq(d.Reason, "; ") {
		environment, _, ok := strings.Cut(sentence, ": ")
		if ok && slices.ContainsFunc(d.Updates, func(u gitops.Update) bool { return v.scope.Allows(u.App, environment) }) {
			kept = append(kept, sentence)
		}
	}
	return strings.Join(kept, "; ")
}

// hold reports whether a hold is the caller's own, or covers something that it has the
// right to read. Its reason and whose it is are shown to all of these.
func (v view) hold(h gitops.Hold) bool {
	return h.Principal != "" && h.Principal == v.principal.ID() || slices.ContainsFunc(v.scope.Areas(), func(a access.Area) bool {
		return (a.Environment == "" || len(h.Environments) == 0 || slices.Contains(h.Environments, a.Environment)) &&
			(a.App == "" || len(h.Apps) == 0 || slices.Contains(h.Apps, a.App))
	})
}

// environment reports whether the caller has the right to read an app in an
// environment.
func (v view) environment(name string) bool {
	return slices.ContainsFunc(v.scope.Areas(), func(a access.Area) bool { return a.Environment == "" || a.Environment == name })
}

// apps are those of an environment that the caller has the right to read. The list is
// shared, and is copied only where something is left out.
func (v view) apps(environment string, all []App) []App {
	hidden := func(a App) bool { return !v.scope.Allows(a.App, environment) }
	if !v.scope.All() && slices.ContainsFunc(all, hidden) {
		all = slices.DeleteFunc(slices.Clone(all), hidden)
	}
	if all == nil {
		return []App{}
	}
	return all
}
