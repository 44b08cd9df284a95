package sqlite

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
)

const proofKeys = `SELECT id, secret, made_at FROM proof_keys ORDER BY made_at, id`

// ProofKeys implements [queue.ProofKeys].
func (s *Store) ProofKeys(ctx context.Context) (keys []gitops.ProofKey, err error) {
	const keep = `INSERT INTO proof_keys (id, secret, made_at) VALUES (?, ?, ?)`
	err = s.writer.do(ctx, func(tx *tx) error {
		keys = nil // a request may run again, after one of its group failed
		if err := readProofKeys(ctx, tx.connection, func(k gitops.ProofKey) error { keys = append(keys, k); return nil }); err != nil || len(keys) > 0 {
			return err
		}
		k := gitops.NewProofKey(tx.now)
		keys = []gitops.ProofKey{k}
		return tx.exec(keep, k.ID, k.Secret[:], k.MadeAt.UnixMicro())
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

func readProofKeys(ctx context.Context, c *connection, give func(gitops.ProofKey) error) error {
	return c.query(ctx, proofKeys, nil, func(r row) error {
		k, err := gitops.StoredProofKey(r.text(0), r.bytes(1), r.time(2))
		if err != nil {
			return err
		}
		return give(k)
	})
}
