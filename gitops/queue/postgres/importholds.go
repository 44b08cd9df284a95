package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

func (in *importing) hold(h queue.HoldEntry) error {
	id, ok := gitops.ParseHoldID(h.ID)
	if !ok {
		return gitops.Errorf(gitops.Invalid, "%.40q is not the id of a hold", h.ID)
	}
	var ends any = pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}
	if !h.Until.IsZero() {
		ends = rounded(h.Until)
	}
	in.number++
	return in.row("holds", id, in.number, string(h.Kind), texts(h.Environments), texts(h.Apps), clean(h.Tag), clean(h.Principal), clean(h.Actor),
		clean(h.Reason), clean(h.Rule), h.Since, stored(h.Until), ends, clean(h.Request))
}

// lift brings in the end of a hold that was given.
func (in *importing) lift(l queue.LiftEntry) error {
	const lift = `WITH ended AS (UPDATE holds SET ends_at = NULL WHERE id = $1 AND ends_at IS NOT NULL RETURNING id)
		INSERT INTO lifts (hold, number, at, principal, actor, reason) SELECT id, $2, $3, $4, $5, $6 FROM ended`
	if err := in.flush(); err != nil {
		return err
	}
	id, _ := gitops.ParseHoldID(l.Hold)
	in.number++
	done, err := in.tx.Exec(in.ctx, lift, id, in.number, l.At, clean(l.Principal), clean(l.Actor), clean(l.Reason))
	if err == nil && done.RowsAffected() == 0 {
		err = gitops.Errorf(gitops.Invalid, "the end of the hold %.40q is given, and no such hold that is in force", l.Hold)
	}
	return err
}

// counted is how much the tables hold.
func counted(ctx context.Context, tx pgx.Tx) (c queue.Counts, err error) {
	const counts = `SELECT (SELECT count(*) FROM deliveries), (SELECT count(*) FROM updates), (SELECT count(*) FROM steps),
		(SELECT count(*) FROM heads), (SELECT count(*) FROM lanes), (SELECT count(*) FROM checkpoints), (SELECT count(*) FROM used_tokens),
		(SELECT count(*) FROM audit), (SELECT count(*) FROM memories), (SELECT count(*) FROM proof_keys), (SELECT count(*) FROM suspects),
		(SELECT count(*) FROM holds), (SELECT count(*) FROM lifts),
		(SELECT count(*) FROM images)`
	err = tx.QueryRow(ctx, counts).Scan(&c.Deliveries, &c.Updates, &c.Steps, &c.Heads, &c.Lanes, &c.Checkpoints, &c.UsedTokens, &c.Audit, &c.Memories,
		&c.ProofKeys, &c.Suspects, &c.Holds, &c.Lifts, &c.Images)
	return c, err
}
