package landing

import (
	"cmp"
	"iter"

	"github.com/tallyman-dev/tallyman/gitops"
)

// History is what is known of the branch's updates while some are in hand: what is
// remembered, and what a search has just found.
type History struct {
	known, found map[string]Landing
	byApp        map[[2]string][]Landing // of the apps in hand, those that are proved
	exact        map[string]bool         // updates of which a claim does exactly what they ask
}

// History puts together what is known and what a search found, for updates in hand.
func (l *Known) History(found map[string]Landing, inHand iter.Seq[gitops.Update]) *History {
	h := &History{known: l.byUpdate, found: found, byApp: make(map[[2]string][]Landing), exact: make(map[string]bool)}
	for u := range inHand {
		h.byApp[[2]string{u.Environment, u.App}] = nil
	}
	for _, landings := range []map[string]Landing{h.known, h.found} {
		for _, l := range landings {
			of := [2]string{l.Environment, l.App}
			if all, asked := h.byApp[of]; asked && l.Claim == nil {
				h.byApp[of] = append(all, l)
			}
		}
	}
	return h
}

// Carrier returns a commit that carries an update, whoever wrote it.
func (h *History) Carrier(update string) (Landing, bool) {
	l, ok := h.known[update]
	if found, again := h.found[update]; again && (!ok || found.outweighs(l)) {
		return found, true
	}
	return l, ok
}

// Confirm notes that a claim does exactly what its update asks.
func (h *History) Confirm(update string) { h.exact[update] = true }

// Landing returns the commit that brought an update onto the branch.
func (h *History) Landing(update string) (Landing, bool) {
	l, ok := h.Carrier(update)
	return l, ok && (l.Claim == nil || h.exact[update])
}

// Later finds, among updates that were given together, the latest that was accepted
// after one, is of the same app, and is on the branch although the one is not: to write
// it now would put the older release over the newer one. An earlier process had been
// given the later without the one, because its environment coalesces or because the one
// was blocked, and died before it could say so.
func (h *History) Later(than gitops.Update, together []gitops.WriteTask) (by gitops.Update, found bool) {
	for _, t := range together {
		u := t.Update
		if u.Sequence <= than.Sequence || u.Environment != than.Environment || u.App != than.App {
			continue
		}
		if _, landed := h.Landing(u.ID); landed && u.Sequence > by.Sequence {
			by, found = u, true
		}
	}
	return by, found
}

// Newer finds the newest release on the branch that is newer than an update. Only a
// proved commit has releases: anybody can write that they accepted one in 2099.
func (h *History) Newer(than gitops.Update) (by Landing, found bool) {
	for _, l := range h.byApp[[2]string{than.Environment, than.App}] {
		if l.NewerThan(than) && (!found || cmp.Or(l.Released().Compare(by.Released()), cmp.Compare(l.Update, by.Update)) > 0) {
			by, found = l, true
		}
	}
	return by, found
}
