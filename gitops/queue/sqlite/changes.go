package sqlite

import (
	"math"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// moved is the update in another state, just now: without what blocked it, and
// without what it says of how it got into the state before.
func (tx *tx) moved(u gitops.Update, to gitops.State) gitops.Update {
	u.State, u.Code, u.Reason, u.Commit = to, "", "", ""
	u.BlockedBy, u.FinishedAt = nil, time.Time{}
	if to.Final() {
		u.FinishedAt, u.CancelRequest, u.MaybePushed = tx.now, nil, false
	}
	return u
}

// save writes what has changed of an update, and the step that the change is.
func (tx *tx) save(before, after gitops.Update, step gitops.Step) error {
	const save = `UPDATE updates SET state = ?, code = ?, reason = ?, object = ?, attempts = ?, finished_at = ?, retried_at = ?,
		cancel_actor = ?, cancel_reason = ?, blocked_by = ?, blocked_kind = ?, ready_at = ?,
		found_digest = ?, found_at = ?, found_named = ? WHERE sequence = ?`
	blocks, err := formatBlocks(after.BlockedBy)
	if err != nil {
		return err
	}
	var actor, reason any
	if c := after.CancelRequest; c != nil {
		actor, reason = c.Actor, c.Reason
	}
	digest, at, named := foundArgs(after.Found)
	err = tx.exec(save, string(after.State), string(after.Code), after.Reason, after.Commit, after.Attempts, stored(after.FinishedAt),
		stored(after.RetriedAt), actor, reason, blocks, firstKind(after.BlockedBy), readyAt(after.BlockedBy), digest, at, named, after.Sequence)
	if err != nil {
		return err
	}
	tx.count(before, -1)
	tx.count(after, 1)
	if step.Attempts > 0 && !step.State.Final() {
		return tx.repeatStep(after.Sequence, step)
	}
	return tx.addStep(after.Sequence, step)
}

// foundArgs are the columns of what was found: NULL for nothing.
func foundArgs(f *gitops.Found) (digest, at, named any) {
	if f == nil {
		return nil, nil, nil
	}
	return f.Digest, stored(f.At), f.Named
}

// firstKind is the column of an update that is blocked so.
func firstKind(blocks []gitops.Block) string {
	if len(blocks) == 0 {
		return ""
	}
	return string(blocks[0].Kind)
}

// readyAt is the column of an update that is blocked so.
func readyAt(blocks []gitops.Block) any {
	if len(blocks) == 0 {
		return nil
	}
	until, byItself := gitops.BlockedUntil(blocks)
	if !byItself {
		return int64(math.MaxInt64)
	}
	return until.UnixMicro()
}

// count counts an open update by what it waits for. What has lifted counts until
// something is reported of it.
func (tx *tx) count(u gitops.Update, n int64) {
	switch {
	case u.State.Final():
	case u.State == gitops.Proposed:
		tx.waits[waiting{u.Environment, proposed}] += n
	case len(u.BlockedBy) > 0:
		tx.waits[waiting{u.Environment, u.BlockedBy[0].Kind}] += n
	default:
		tx.waits[waiting{environment: u.Environment}] += n
	}
}
