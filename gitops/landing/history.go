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
	exact        map[string]Landing      // claims that do exactly what their updates ask
}

// History puts together what is known and what a search found, for updates in hand.
func (l *Known) History(found map[string]Landing, inHand iter.Seq[gitops.Update]) *History {
	h := &History{known: l.byUpdate, found: found, byApp: make(map[[2]string][]Landing), exact: make(map[string]Landing)}
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

// Claims lists the commits that claim an update, the first one first; none when it is
// proved to have landed.
func (h *History) Claims(update string) []Landing {
	l, carried := h.carrier(update)
	if !carried || l.Claim == nil {
		return nil
	}
	return append([]Landing{l}, l.Others...)
}

func (h *History) carrier(update string) (Landing, bool) {
	l, ok := h.known[update]
	found, again := h.found[update]
	if !ok {
		return found, again
	}
	if again {
		l = l.with(found)
	}
	for _, other := range found.Others {
		l = l.with(other)
	}
	return l, true
}

// Confirm notes that a claim does exactly what its update asks.
func (h *History) Confirm(claim Landing) { h.exact[claim.Update] = claim }

// Landing returns the commit that brought an update onto the branch.
func (h *History) Landing(update string) (Landing, bool) {
	if l, confirmed := h.exact[update]; confirmed {
		return l, true
	}
	l, ok := h.carrier(update)
	return l, ok && l.Claim == nil
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
