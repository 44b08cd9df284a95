package manifest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// settle answers the items about which the branch's history decides: those whose
// commits are on the branch already, and those that are older than what is. It
// searches the history for what may be there without being known, and returns the
// items that are left.
func (a *actor) settle(ctx context.Context, items []*item) (left []*item, err error) {
	// What a search finds is used here at once: it may be more than is remembered.
	var found map[string]landing
	var tooLong error
	if since, needed := a.searchNeeded(items); needed {
		if found, err = a.searchLandings(ctx, since); errors.Is(err, errHistoryTooLong) {
			tooLong = err
		} else if err != nil {
			return nil, err
		}
	}
	h := newHistory(a.landings.byUpdate, found)
	for _, i := range items {
		t := gitops.Transition{Update: i.update.ID}
		if l, landed := h.landing(i.update.ID); landed {
			t.Action, t.Commit = gitops.ActionCommit, l.commit.String()
		} else if by, newer := h.newerOnBranch(i); newer {
			t.Action, t.Reason = gitops.ActionSupersede, fmt.Sprintf("superseded by %s (update %s): it was accepted later and is on the branch", by.Tag, by.ID)
		} else if by, later := h.acceptedLater(i.update); later {
			t.Action, t.Reason = gitops.ActionSupersede, fmt.Sprintf("superseded by update %s: it was accepted later and is on the branch", by.Update)
		} else if tooLong != nil && a.needsSearch(i.update) {
			t.Action, t.Code = gitops.ActionFail, gitops.Conflict
			t.Reason = "unknown whether already committed: too many commits to search. Check the file, then retry"
		} else if by, late := h.late(i.update); late && !i.search {
			t.Action, t.Reason = gitops.ActionSupersede, fmt.Sprintf("superseded by update %s: it is on the branch and was released at %s, after this event of %s",
				by.Update, by.released().Format(time.RFC3339), i.update.EventTime.UTC().Format(time.RFC3339))
		} else {
			left = append(left, i)
			continue
		}
		a.answer(i, answer{transition: t})
	}
	return left, nil
}

func (a *actor) needsSearch(u gitops.Update) bool {
	return a.landings.needsSearch(u, a.unknown.ids[u.ID])
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
		for _, t := range i.call.tasks {
			if from := searchFrom(t.Update); a.needsSearch(t.Update) && (!needed || from.Before(since)) {
				since, needed = from, true
			}
		}
	}
	return since, needed
}

// searchLandings reads the history back to a time and returns the updates of every
// commit since then. Afterwards landings knows of them as far back as it remembers.
func (a *actor) searchLandings(ctx context.Context, since time.Time) (map[string]landing, error) {
	commits, err := a.search(ctx, a.snapshot, since)
	if err != nil {
		return nil, err
	}
	found := landingsOf(commits)
	a.landings.addOlder(since, found)
	byUpdate := make(map[string]landing, len(found))
	for _, l := range found {
		if _, twice := byUpdate[l.Update]; !twice { // the first of two counts
			byUpdate[l.Update] = l
		}
	}
	return byUpdate, nil
}

// history is what is known of the branch's updates: what is remembered, and what a
// search has just found.
type history struct {
	known, found map[string]landing
	byApp        map[app][]landing
}

type app struct{ environment, name string }

func newHistory(known, found map[string]landing) history {
	h := history{known: known, found: found, byApp: make(map[app][]landing)}
	for _, landings := range []map[string]landing{known, found} {
		for _, l := range landings {
			h.byApp[app{l.Environment, l.App}] = append(h.byApp[app{l.Environment, l.App}], l)
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

// late finds the release on the branch from after the event of an update that came
// late. The branch knows it whatever the store has forgotten.
func (h history) late(u gitops.Update) (by landing, late bool) {
	if !cameLate(u) {
		return by, false
	}
	moment := gitops.EventMoment{Event: u.EventTime, Receipt: u.AcceptedAt, Recovered: u.Recovered}
	for _, l := range h.byApp[app{u.Environment, u.App}] {
		head := gitops.Head{NewestEvent: l.Event}
		if l.Event.IsZero() {
			head.NewestReceipt = l.Accepted
		}
		if _, older := head.Late(moment); older && (!late || l.released().After(by.released())) {
			by, late = l, true
		}
	}
	return by, late
}

// acceptedLater finds the update on the branch that was accepted last, where that was
// after an update which is to be written. The store would have superseded the older
// one, had it not been restored since: to a backup that has the older one open and
// the later one not at all. Both the sequence and the time must say so. Sequences
// alone are given again after a restore; times alone may be of a clock that was
// ahead.
func (h history) acceptedLater(u gitops.Update) (by landing, found bool) {
	for _, l := range h.byApp[app{u.Environment, u.App}] {
		if l.Sequence > u.Sequence && l.Accepted.After(u.AcceptedAt) && l.Sequence > by.Sequence {
			by, found = l, true
		}
	}
	return by, found
}
