package server

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/argocd"
	"github.com/tallyman-dev/tallyman/server/follow"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// reverts goes back from updates that failed in the cluster, by what is configured then. Its
// order goes the way of any other. Safe for concurrent use.
type reverts struct{ server *Server }

var _ follow.Reverter = reverts{}

// mostOpenReverted is how many open updates of an app are looked at: one that is newer is
// enough, and those come first.
const mostOpenReverted = 10

// Revert implements [follow.Reverter].
func (r reverts) Revert(ctx context.Context, update string) error {
	s := r.server
	g := s.current()
	u, err := s.store.Update(ctx, update)
	if err != nil {
		return err
	}
	to, ok := g.known().Target(u.Environment, u.App)
	if !ok || !to.Rollout.Revert {
		return gitops.Errorf(gitops.Conflict, "%s in %s is not reverted: the configuration does not want it any more", u.App, u.Environment)
	}
	by := acts.By{Principal: gitops.Principal{Revert: true}, Credential: "rollout.revert", Config: configuration(g.config).Hash}
	if by.Rule, err = g.access.Authorize(by.Principal, gitops.RightRollback, u.App, u.Environment); err != nil {
		return err
	}
	failed, state, err := r.seen(ctx, g, u)
	if err != nil {
		return err
	}
	plan, err := acts.Revert(failed, by, acts.Limits{PinFor: g.config.Holds.PinFor, PinAtMost: g.config.Holds.PinAtMost}, state)
	if err != nil {
		return err
	}
	return r.order(ctx, g, plan, by, u)
}

// seen reads what a revert is decided by. The head is read first: what is written after that is
// a conflict, and what the branch has is no older.
func (r reverts) seen(ctx context.Context, g *generation, u gitops.Update) (f acts.Failed, state acts.State, err error) {
	store, git := r.server.store, revisions{r.server.current}
	f.Update = u
	if f.Head, err = store.Head(ctx, u.Environment, u.App); err != nil {
		return f, state, err
	}
	if state.InForce, err = store.HoldsInForce(ctx); err != nil {
		return f, state, err
	}
	state.Freezes = g.freezes
	for _, open := range []gitops.State{gitops.Pending, gitops.Proposed} {
		found, _, err := store.Updates(ctx, queue.UpdateFilter{Environment: u.Environment, App: u.App, State: open}, queue.Page{Limit: mostOpenReverted})
		if err != nil {
			return f, state, err
		}
		f.Open = append(f.Open, found...)
	}
	if f.Now, err = git.TagNow(ctx, u); err != nil {
		return f, state, err
	}
	if u.Commit != "" { // else it is not known what was there before
		if f.Before, err = git.TagBefore(ctx, u); err != nil {
			return f, state, err
		}
	}
	if f.Head.HealthyTag == f.Before && f.Head.HealthyID != "" {
		if healthy, err := store.Update(ctx, f.Head.HealthyID); err == nil { // it may be forgotten
			f.Digest = healthy.ImageDigest()
		}
	}
	f.Person, err = g.argoCDs.personSyncs(ctx, u)
	return f, state, err
}

// order places a revert.
func (r reverts) order(ctx context.Context, g *generation, plan acts.Reversion, by acts.By, u gitops.Update) error {
	body, err := json.Marshal(map[string]string{"reverts": u.ID})
	if err != nil {
		return gitops.Errorf(gitops.Internal, "the body of a revert cannot be made").WithCause(err)
	}
	in := webhook.Inbound{
		Event: gitops.Event{Delivery: acts.RevertKey(u.ID), Principal: by.Principal, Actor: by.Principal.Actor(), Orders: []gitops.Order{plan.Order()}},
		Body:  body, Credential: by.Credential, Right: gitops.RightRollback,
	}
	in.Store = func(ctx context.Context, d gitops.Delivery, _ webhook.Accept) (gitops.Delivery, bool, error) {
		placed, err := r.server.store.Place(ctx, plan.Placement(d, by))
		if err != nil {
			return d, false, err
		}
		return *placed.Order, placed.Duplicate, nil
	}
	_, accepted, err := g.intake.Accept(ctx, in)
	if accepted {
		r.server.logger.Warn("reverting", slog.String("environment", u.Environment), slog.String("app", u.App), slog.String("update", u.ID), slog.String("from", plan.From), slog.String("to", plan.To), slog.String("reason", plan.Terms.Reason))
	}
	return err
}

// personSyncs reports whether an Application that the update is in is synced by people alone:
// to go back there is theirs, too.
func (all argoCDs) personSyncs(ctx context.Context, u gitops.Update) (bool, error) {
	for _, place := range u.Rollout.Places {
		ref, err := argocd.ParseRef(place.Name)
		if err != nil {
			continue // it was reported
		}
		for _, a := range all {
			if a.client.Page(ref) != place.URL {
				continue
			}
			application, err := a.client.Application(ctx, ref, false)
			if gitops.CodeOf(err) == gitops.NotFound {
				continue
			}
			if err != nil {
				return false, err
			}
			if policy := application.Spec.SyncPolicy; policy == nil || policy.Automated == nil || policy.Automated.Enabled != nil && !*policy.Automated.Enabled {
				return true, nil
			}
		}
	}
	return false, nil
}
