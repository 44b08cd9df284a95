package manifest

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/landing"
)

// resolve answers the items about which the branch's history decides: those whose
// commits are on the branch already, and those that are older than what is. It
// searches the history for what may be there without being known, and returns the
// items that are left.
func (a *actor) resolve(ctx context.Context, items []*item) (left []*item, err error) {
	// What a search finds is used here at once: it may be more than is remembered.
	var found map[string]landing.Landing
	var reached time.Time
	if since, needed := a.searchNeeded(items); needed {
		if found, reached, err = a.searchLandings(ctx, since); err != nil {
			return nil, err
		}
	}
	h := a.landings.History(found, openOf(items))
	if err := a.judgeClaims(ctx, items, h); err != nil {
		return nil, err
	}
	for _, i := range items {
		t := gitops.Transition{Update: i.update.ID}
		if l, landed := h.Landing(i.update.ID); landed {
			if t.Action, t.Commit = gitops.ActionCommit, l.Commit.String(); l.Claim != nil {
				t.Reason = "the commit has no proof that tallyman made it, and makes exactly this change"
			} else {
				a.remember(i.update) // the store does not know it yet, and what comes next expects an older tag
			}
		} else if by, newer := h.Later(i.update, i.call.tasks); newer && !i.search {
			t.Action, t.Reason = gitops.ActionSupersede, fmt.Sprintf("superseded by %s (update %s): it was accepted later and is on the branch", by.Tag, by.ID)
		} else if by, newer := h.Newer(i.update); newer && !i.search {
			t.Action, t.Reason = gitops.ActionSupersede, fmt.Sprintf("superseded by update %s: a newer release, from %s, is on the branch", by.Update, by.Released().Format(time.RFC3339))
		} else if reached.After(landing.SearchFrom(i.update)) && a.landings.NeedsSearch(i.update, a.unknown) {
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
	for u := range openOf(items) {
		if from := landing.SearchFrom(u); a.landings.NeedsSearch(u, a.unknown) && (!needed || from.Before(since)) {
			since, needed = from, true
		}
	}
	return since, needed
}

// openOf yields all updates of the items' calls of which nothing is known yet.
func openOf(items []*item) iter.Seq[gitops.Update] {
	return func(yield func(gitops.Update) bool) {
		asked := make(map[*call]bool)
		for _, i := range items {
			if asked[i.call] {
				continue
			}
			asked[i.call] = true
			for at, t := range i.call.tasks {
				if !i.call.answers[at].known && !yield(t.Update) {
					return
				}
			}
		}
	}
}

// searchLandings reads the history back to a time and returns the updates of every
// commit since the time that it reached. Afterwards landings knows of them as far back
// as it remembers.
func (a *actor) searchLandings(ctx context.Context, since time.Time) (map[string]landing.Landing, time.Time, error) {
	commits, reached, err := a.Search(ctx, a.snapshot, since)
	if err != nil {
		return nil, reached, err
	}
	found := landing.Of(commits, a.config.Prover)
	a.landings.AddOlder(reached, found)
	return landing.ByUpdate(found), reached, nil
}
