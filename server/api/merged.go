package api

import (
	"context"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// knowMerges says of versions without a proof which updates they are the merges of: whoever
// merged a pull request made the commit, so what it says of itself proves nothing, and a
// squash may say nothing. The store has which commit an update's pull request was merged as,
// and who ordered it, for the newest updates that were written.
func (a *API) knowMerges(ctx context.Context, h *History) error {
	if !slices.ContainsFunc(h.Versions, unproved) {
		return nil
	}
	written, _, err := a.Store.Updates(ctx, queue.UpdateFilter{Environment: h.Environment, App: h.App, State: gitops.Committed}, queue.Page{Limit: maxPage})
	if err != nil {
		return err
	}
	for i := range h.Versions {
		v := &h.Versions[i]
		if !unproved(*v) {
			continue
		}
		for _, u := range written {
			if u.Proposal == nil || u.Commit != v.Commit {
				continue
			}
			v.Updates = append(v.Updates, recorded(u))
			v.Claims = slices.DeleteFunc(v.Claims, func(claim UpdateTrailer) bool { return claim.Update == u.ID })
		}
	}
	return nil
}

func unproved(v Version) bool { return v.Commit != "" && v.Proof == "" }

// recorded is what the store has of an update, as its commit's trailers would say it.
func recorded(u gitops.Update) UpdateTrailer {
	t := UpdateTrailer{Update: u.ID, Delivery: u.Delivery, Actor: u.Actor}
	if u.Terms != nil {
		t.Reason, t.Override, t.RollsBack, t.Reverts, t.PinUntil = u.Terms.Reason, u.Terms.Override, u.Terms.RollsBack, u.Terms.Reverts, u.Terms.PinUntil
	}
	return t
}
