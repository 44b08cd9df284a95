package postgres

import (
	"context"
	"encoding/json"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// What the function decide refuses with, beside the id of a later update.
const (
	refusedByTable = "table"
	refusedAsReady = "ready"
	refusedAsLower = "lower"
)

// Decide implements [queue.Decisions].
func (s *Store) Decide(ctx context.Context, d queue.Decision) (gitops.Update, error) {
	const decide = `SELECT environment, app, state, coalesce(refusal, ''), coalesce(reason, '') FROM decide($1, $2, $3, $4, $5, $6, $7)`
	switch d.Action {
	case gitops.ActionRetry, gitops.ActionDismiss, gitops.ActionCancel:
	default:
		return gitops.Update{}, gitops.FieldErrorf("action", "must be retry, dismiss or cancel, not %q", d.Action)
	}
	entry, err := json.Marshal(auditArgOf(queue.DecisionEntry(d, gitops.Update{ID: d.Update}, "", "")))
	if err != nil {
		return gitops.Update{}, err
	}
	var environment, app, refusal, reason string
	var state gitops.State
	err = s.call(ctx, func(ctx context.Context) error {
		args := []any{s.nowArg(), clean(d.Update), string(d.Action), clean(d.Actor), clean(d.Reason), string(entry), d.DryRun}
		exists, err := one(ctx, s.pool, decide, args, &environment, &app, &state, &refusal, &reason)
		switch {
		case err != nil:
			return err
		case !exists:
			return errNoUpdate(d.Update)
		case refusal == refusedByTable:
			return gitops.NotPossible(d.Update, state, d.Action)
		case refusal == refusedAsReady:
			return gitops.Errorf(gitops.Conflict, "update %s is pending, and nothing blocks it: its lane retries by itself", d.Update)
		case refusal == refusedAsLower:
			return gitops.Errorf(gitops.Conflict, "%s", reason)
		case refusal != "":
			return queue.OvertakenError(gitops.Update{App: app, Environment: environment}, refusal)
		}
		return nil
	})
	if err != nil {
		return gitops.Update{}, err
	}
	switch {
	case d.DryRun:
	case d.Action == gitops.ActionDismiss:
		s.hints.send()
	default:
		s.hints.send(environment)
	}
	return s.Update(ctx, d.Update)
}
