package lane

import (
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops"
)

// batch is what is handed to the writer together, and what is not.
type batch struct {
	updates []gitops.Update
	behind  []replaced // in acceptance order
}

// replaced is an update that a newer one of the same app waits behind.
type replaced struct {
	update, by gitops.Update
}

// plan makes a batch of what is pending. When the environment coalesces, an
// update that a newer one of the same app waits behind is left out, unless it may
// be on the branch already: to call that one superseded could be untrue. Such are
// those that an earlier holder may have pushed, and those that were tried, which
// an earlier write of this one may have.
func plan(pending []gitops.Update, coalesce bool, tried map[string]bool) batch {
	if !coalesce {
		return batch{updates: pending}
	}
	newest := make(map[string]gitops.Update)
	for _, u := range pending {
		newest[u.App] = u
	}
	var b batch
	for _, u := range pending {
		by := newest[u.App]
		if u.ID == by.ID || u.MaybePushed || tried[u.ID] {
			b.updates = append(b.updates, u)
		} else {
			b.behind = append(b.behind, replaced{u, by})
		}
	}
	return b
}

// superseded settles what was left out for an update that the branch now says.
// Where that one failed, or is not settled yet, the older one stays pending.
func (b batch) superseded(settlements []gitops.Settlement) []gitops.Settlement {
	said := make(map[string]bool)
	for _, s := range settlements {
		said[s.Update] = s.State == gitops.Committed || s.State == gitops.Unchanged
	}
	var superseded []gitops.Settlement
	for _, r := range b.behind {
		if said[r.by.ID] {
			superseded = append(superseded, gitops.Settlement{
				Update: r.update.ID, State: gitops.Superseded,
				Reason: fmt.Sprintf("%s was accepted while this waited (update %s), and %s coalesces to the newest", r.by.Tag, r.by.ID, r.update.Environment),
			})
		}
	}
	return superseded
}
