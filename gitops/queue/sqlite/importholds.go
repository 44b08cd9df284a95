package sqlite

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// addHold adds a hold as it was placed.
func (in *importing) addHold(h queue.HoldEntry) error {
	number, ok := gitops.ParseHoldID(h.ID)
	if !ok {
		return gitops.Errorf(gitops.Invalid, "%.40q is not the id of a hold", h.ID)
	}
	args, err := holdArgs(number, h.Hold, h.Request)
	if err == nil {
		err = in.c.exec(insertHold, args...)
	}
	if err == nil {
		err = in.holdChanged(number, 0)
	}
	return err
}

// addLift adds the end of a hold that was given.
func (in *importing) addLift(l queue.LiftEntry) error {
	const inForce = `SELECT 1 FROM holds WHERE number = ? AND lifted_at IS NULL`
	const lift = `UPDATE holds SET lifted_at = ?, lifted_principal = ?, lifted_actor = ?, lifted_reason = ? WHERE number = ?`
	number, _ := gitops.ParseHoldID(l.Hold)
	found, err := in.c.one(context.Background(), inForce, []any{number}, func(row) {})
	if err == nil && !found {
		err = gitops.Errorf(gitops.Invalid, "the end of the hold %.40q is given, and no such hold that is in force", l.Hold)
	}
	if err == nil {
		err = in.c.exec(lift, l.At.UnixMicro(), l.Principal, l.Actor, l.Reason, number)
	}
	if err == nil {
		err = in.holdChanged(number, 1)
	}
	return err
}

// holdChanged adds to the changes of holds, under a number that no delivery has.
func (in *importing) holdChanged(hold, lifted int64) error {
	in.delivery++
	return in.c.exec(`INSERT INTO hold_changes (number, hold, lifted) VALUES (?, ?, ?)`, in.delivery, hold, lifted)
}
