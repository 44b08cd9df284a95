package sqlite

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
)

// stepColumns are what scanStep reads, so many as stepWidth; s is a step.
const stepColumns = `s.at, s.until, s.attempts, s.state, s.code, s.reason, s.object, s.retry_at, s.actor, s.rollout`

const stepWidth = 10

func scanStep(r row) gitops.Step {
	return gitops.Step{
		At: r.time(0), Until: r.time(1), Attempts: int(r.number(2)), State: gitops.State(r.text(3)),
		Code: gitops.Code(r.text(4)), Reason: r.text(5), Commit: r.text(6), RetryAt: r.time(7), Actor: r.text(8),
		Rollout: gitops.RolloutState(r.text(9)),
	}
}

// addStep records what happened to the update just now.
func (tx *tx) addStep(sequence int64, step gitops.Step) error {
	const add = `INSERT INTO steps (number, sequence, after_delivery, at, attempts, state, code, reason, object, retry_at, actor, rollout)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	tx.latest.step++
	return tx.exec(add, tx.latest.step, sequence, tx.latest.delivery, tx.now.UnixMicro(), step.Attempts, string(step.State),
		string(step.Code), step.Reason, step.Commit, stored(step.RetryAt), step.Actor, string(step.Rollout))
}

// repeatStep counts a report in the update's last step, when that was a report of
// the same; otherwise it is a step of its own.
func (tx *tx) repeatStep(sequence int64, step gitops.Step) error {
	const latest = `SELECT s.number, ` + stepColumns + ` FROM steps s WHERE s.sequence = ? ORDER BY s.number DESC LIMIT 1`
	const repeat = `UPDATE steps SET attempts = attempts + 1, until = ?, retry_at = ? WHERE number = ?`
	var number int64
	var last gitops.Step
	_, err := tx.one(context.Background(), latest, []any{sequence}, func(r row) { number, last = r.number(0), scanStep(r[1:]) })
	if err != nil {
		return err
	}
	if last.Attempts == 0 || last.State != step.State || last.Code != step.Code || last.Reason != step.Reason || last.Actor != step.Actor {
		return tx.addStep(sequence, step)
	}
	return tx.exec(repeat, tx.now.UnixMicro(), stored(step.RetryAt), number)
}

// stepsOf returns an update's steps, oldest first.
func stepsOf(ctx context.Context, c *connection, sequence int64) (found []gitops.Step, err error) {
	const steps = `SELECT ` + stepColumns + ` FROM steps s WHERE s.sequence = ? ORDER BY s.number`
	err = c.query(ctx, steps, []any{sequence}, func(r row) error {
		found = append(found, scanStep(r))
		return nil
	})
	return found, err
}
