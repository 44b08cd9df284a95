package manifest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// resolve answers the items about which the branch's history decides: those whose
// commits are on the branch already, and those that are older than what is. It
// searches the history for what may be there without being known, and returns the
// items that are left.
func (a *actor) resolve(ctx context.Context, items []*item) (left []*item, err error) {
	// What a search finds is used here at once: it may be more than is remembered.
	var found map[string]landing
	var reached time.Time
	if since, needed := a.searchNeeded(items); needed {
		if found, reached, err = a.searchLandings(ctx, since); err != nil {
			return nil, err
		}
	}
	h := newHistory(items, a.landings.byUpdate, found)
	for _, i := range items {
		t := gitops.Transition{Update: i.update.ID}
		if l, landed := h.landing(i.update.ID); landed {
			t.Action, t.Commit = gitops.ActionCommit, l.commit.String()
		} else if by, newer := h.newerOnBranch(i); newer && !i.search {
			t.Action, t.Reason = gitops.ActionSupersede, fmt.Sprintf("superseded by %s (update %s): it was accepted later and is on the branch", by.Tag, by.ID)
		} else if by, newer := h.newerRelease(i.update); newer && !i.search {
			t.Action, t.Reason = gitops.ActionSupersede, fmt.Sprintf("superseded by update %s: a newer release, from %s, is on the branch", by.Update, by.Released().Format(time.RFC3339))
		} else if reached.After(searchFrom(i.update)) && a.landings.needsSearch(i.update, a.unknown) {
			t.Action, t.Code = gitops.ActionFail, gitops.Conflict
			t.Reason = "unknown whether already committed: too many commits to search. Check the file, then retry"
		} else {
			left = append(left, i)
			continue
		}
		a.answer(i, answer{transition: t})
	}
	return left, nil
}

// searchNeeded reports whether the history must be searched before the items are
// written, and how far back. It asks for everything that the calls brought, not only
// for what this turn has taken: a later update of the same app decides, too.
func (a *actor) searchNeeded(items []*item) (since time.Time, needed bool) {
	asked := make(map[*call]bool)
	for _, i := range items {
		if asked[i.call] {
			continue
		}
		asked[i.call] = true
		for at, t := range i.call.tasks {
			if from := searchFrom(t.Update); !i.call.answers[at].known && a.landings.needsSearch(t.Update, a.unknown) && (!needed || from.Before(since)) {
				since, needed = from, true
			}
		}
	}
	return since, needed
}

// searchLandings reads the history back to a time and returns the updates of every
// commit since the time that it reached. Afterwards landings knows of them as far back
// as it remembers.
func (a *actor) searchLandings(ctx context.Context, since time.Time) (map[string]landing, time.Time, error) {
	commits, reached, err := a.search(ctx, a.snapshot, since)
	if err != nil {
		return nil, reached, err
	}
	found := landingsOf(commits)
	a.landings.addOlder(reached, found)
	byUpdate := make(map[string]landing, len(found))
	for _, l := range slices.Backward(found) { // the first of two counts
		byUpdate[l.Update] = l
	}
	return byUpdate, reached, nil
}

// history is what is known of the branch's updates: what is remembered, and what a
// search has just found.
type history struct {
	known, found map[string]landing
	byApp        map[[2]string][]landing // of the apps in hand
}

func newHistory(items []*item, known, found map[string]landing) history {
	h := history{known: known, found: found, byApp: make(map[[2]string][]landing)}
	for _, i := range items {
		h.byApp[[2]string{i.update.Environment, i.update.App}] = nil
	}
	for _, landings := range []map[string]landing{known, found} {
		for _, l := range landings {
			of := [2]string{l.Environment, l.App}
			if all, inHand := h.byApp[of]; inHand {
				h.byApp[of] = append(all, l)
			}
		}
	}
	return h
}

func (h history) landing(update string) (landing, bool) {
	l, ok := h.known[update]
	if !ok {
		l, ok = h.found[update]
	}
	return l, ok
}

// newerOnBranch finds an update of the item's call that was accepted after it, is of
// the same app, and is on the branch although the item is not: to write the item now
// would put the older release over the newer one. An earlier process had been given
// that one without this, because its environment coalesces or because this one was
// blocked, and died before it could say so.
func (h history) newerOnBranch(i *item) (by gitops.Update, found bool) {
	for _, t := range i.call.tasks {
		u := t.Update
		if u.Sequence <= i.update.Sequence || u.Environment != i.update.Environment || u.App != i.update.App {
			continue
		}
		if _, landed := h.landing(u.ID); landed && u.Sequence > by.Sequence {
			by, found = u, true
		}
	}
	return by, found
}

// newerRelease finds the newest release on the branch that is newer than the update.
func (h history) newerRelease(u gitops.Update) (by landing, found bool) {
	for _, l := range h.byApp[[2]string{u.Environment, u.App}] {
		if l.NewerThan(u) && (!found || cmp.Or(l.Released().Compare(by.Released()), cmp.Compare(l.Update, by.Update)) > 0) {
			by, found = l, true
		}
	}
	return by, found
}
