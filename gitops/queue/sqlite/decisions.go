package sqlite

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Decide implements [queue.Decisions].
func (s *Store) Decide(ctx context.Context, d queue.Decision) (u gitops.Update, err error) {
	switch d.Action {
	case gitops.ActionRetry, gitops.ActionDismiss, gitops.ActionCancel:
	default:
		return gitops.Update{}, gitops.FieldErrorf("action", "%q is not a decision", d.Action)
	}
	err = s.writer.do(ctx, func(tx *tx) error {
		if err := tx.decide(d); err != nil {
			return err
		}
		u, err = readUpdate(context.Background(), tx.connection, d.Update, tx.now)
		return err
	})
	if err != nil {
		return gitops.Update{}, err
	}
	return u, nil
}

func (tx *tx) decide(d queue.Decision) error {
	u, err := readRow(context.Background(), tx.connection, d.Update, asStored)
	if err != nil {
		return err
	}
	to, allowed := gitops.Next(u.State, d.Action)
	if !allowed {
		return gitops.NotPossible(u.ID, u.State, d.Action)
	}
	if d.Action == gitops.ActionRetry {
		if err := tx.checkRetry(u); err != nil {
			return err
		}
	}
	if d.DryRun {
		return nil
	}
	after := u
	switch d.Action {
	case gitops.ActionCancel:
		if u.CancelRequest != nil {
			return nil
		}
		to = u.State // until the lane's holder reports
		after.CancelRequest = &gitops.CancelRequest{Actor: d.Actor, Reason: d.Reason}
	case gitops.ActionRetry:
		after = tx.moved(u, to)
		after.RetriedAt = tx.now
	case gitops.ActionDismiss:
		after = tx.moved(u, to)
		after.Reason = d.Reason
	}
	if !to.Final() {
		tx.woken[u.Environment] = true
	}
	if err := tx.save(u, after, gitops.Step{State: to, Reason: d.Reason, Actor: d.Actor}); err != nil {
		return err
	}
	return tx.appendAudit(queue.DecisionEntry(d, u, u.State, to))
}

// checkRetry fails when a retry has nothing to do, or would put an old release
// over a newer one.
func (tx *tx) checkRetry(u gitops.Update) error {
	if u.State == gitops.Pending {
		if len(blocking(u.BlockedBy, tx.now)) == 0 {
			return gitops.Errorf(gitops.Conflict, "update %s is pending, and nothing blocks it: its lane retries by itself", u.ID)
		}
		return nil
	}
	by, err := overtaken(context.Background(), tx.connection, []gitops.Update{u}, func(environment, app string) (gitops.Head, error) {
		return tx.head(environment, app), nil
	})
	if err == nil && by[u.ID] != "" {
		err = queue.OvertakenError(u, by[u.ID])
	}
	if err != nil {
		return err
	}
	lower, err := tx.lowerThan(u)
	if err == nil && lower != "" {
		err = gitops.Errorf(gitops.Conflict, "%s", lower)
	}
	return err
}
