package manifest

import (
	"context"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
)

// askGate asks what holds the updates in the plan's commits, right before they are pushed.
// ended is never nil, and must be called when the push has ended, or when there is none. On
// an error nothing may be pushed. A crash leaves nothing.
func (a *actor) askGate(p *plan) (held []gitops.Held, ended func(), err error) {
	ended = func() {}
	if a.config.Gate == nil {
		return nil, ended, nil
	}
	var updates []gitops.Update
	in := make(map[string]bool)
	for _, r := range p.results {
		if u := r.item.update; r.transition.Action == gitops.ActionCommit && !in[u.ID] {
			in[u.ID] = true
			updates = append(updates, u)
		}
	}
	ctx, cancel := context.WithTimeout(a.stopping, a.config.Timeouts.Refs)
	defer cancel()
	held, done, err := a.config.Gate(ctx, updates)
	a.clock.step()
	if done != nil {
		ended = done
	}
	switch {
	case a.stopping.Err() != nil:
		return nil, ended, errClosed
	case err != nil:
		return nil, ended, gitops.Errorf(gitops.Unavailable, "nothing was pushed: the holds could not be read").WithCause(err)
	}
	// What is not in the plan is not pushed: to plan without it would end nowhere.
	return slices.DeleteFunc(slices.Clone(held), func(h gitops.Held) bool { return !in[h.Update] }), ended, nil
}

// takeOut marks the items that are held: the next plan has them, and not in a commit. That
// they are not on the branch is known when it is confirmed.
func takeOut(items []*item, held []gitops.Held) {
	for _, i := range items {
		if at := slices.IndexFunc(held, func(h gitops.Held) bool { return h.Update == i.update.ID }); at >= 0 && !i.search {
			i.held = held[at]
		}
	}
}
