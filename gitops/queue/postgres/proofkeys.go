package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

const proofKeys = `SELECT id, secret, made_at FROM proof_keys ORDER BY made_at, id COLLATE "C"`

// ProofKeys implements [queue.ProofKeys]. Replicas that find no key at the same time
// make theirs one after the other, and then the second finds the first one's.
func (s *Store) ProofKeys(ctx context.Context) (keys []gitops.ProofKey, err error) {
	const keep = `INSERT INTO proof_keys (id, secret, made_at) VALUES ($1, $2, coalesce($3, clock_timestamp())) RETURNING made_at`
	err = s.call(ctx, func(ctx context.Context) error {
		if keys, err = rows(ctx, s.pool, proofKeys, nil, scanProofKey); err != nil || len(keys) > 0 {
			return err
		}
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `LOCK TABLE proof_keys IN EXCLUSIVE MODE`); err != nil {
				return err
			}
			if keys, err = rows(ctx, tx, proofKeys, nil, scanProofKey); err != nil || len(keys) > 0 {
				return err
			}
			k := gitops.NewProofKey(time.Time{})
			err := tx.QueryRow(ctx, keep, k.ID, k.Secret[:], s.nowArg()).Scan(&k.MadeAt)
			k.MadeAt = k.MadeAt.UTC()
			keys = []gitops.ProofKey{k}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

func scanProofKey(row pgx.CollectableRow) (k gitops.ProofKey, err error) {
	var id string
	var secret []byte
	var madeAt time.Time
	if err := row.Scan(&id, &secret, &madeAt); err != nil {
		return k, err
	}
	return gitops.StoredProofKey(id, secret, madeAt.UTC())
}

func (e *export) proofKeys() error {
	return e.each(proofKeys, func(row pgx.CollectableRow) (queue.Entry, error) {
		k, err := scanProofKey(row)
		return queue.Entry{ProofKey: &k}, err
	})
}
