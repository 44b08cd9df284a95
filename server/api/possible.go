package api

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// decisions are what a person may decide about an update.
var decisions = []gitops.Action{gitops.ActionRetry, gitops.ActionCancel, gitops.ActionDismiss}

// withDecisions adds to an update what its reader may decide about it: by the same
// functions that decide the acts, so nobody is advised to do what is then refused.
func (a *API) withDecisions(ctx context.Context, c Caller, u gitops.Update) (gitops.Update, error) {
	for _, action := range decisions {
		if _, allowed := gitops.Next(u.State, action); !allowed || action == gitops.ActionRetry && !u.State.Final() && len(u.BlockedBy) == 0 {
			continue
		}
		_, err := a.Access.Authorize(c.Principal, rightOf(action), u.App, u.Environment)
		if err == nil {
			_, err = a.decideInStore(ctx, u, queue.Decision{Update: u.ID, Action: action, DryRun: true})
		}
		possible := gitops.PossibleDecision{Action: action}
		switch gitops.CodeOf(err) {
		case gitops.Forbidden, gitops.Conflict:
			possible.Refused = gitops.PublicOf(err)
		case gitops.NotFound: // it was pruned meanwhile
			continue
		default:
			if err != nil {
				return u, err
			}
		}
		u.Decisions = append(u.Decisions, possible)
	}
	return u, nil
}

// markOvertaken says of the failed ones of the updates which other overtakes each.
func (a *API) markOvertaken(ctx context.Context, updates []*gitops.Update) error {
	var failed []string
	for _, u := range updates {
		if u.State == gitops.Failed {
			failed = append(failed, u.ID)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	by, err := a.Store.Overtaken(ctx, failed)
	for _, u := range updates {
		u.OvertakenBy = by[u.ID]
	}
	return err
}

// pointers are the elements of a list, to be changed in place.
func pointers(updates []gitops.Update) []*gitops.Update {
	all := make([]*gitops.Update, len(updates))
	for i := range updates {
		all[i] = &updates[i]
	}
	return all
}
