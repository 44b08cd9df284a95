package sqlite

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Checkpoint implements [queue.Checkpoints].
func (s *Store) Checkpoint(ctx context.Context, name string) (value string, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		_, err := c.one(ctx, `SELECT value FROM checkpoints WHERE name = ?`, []any{name}, func(r row) { value = r.text(0) })
		return err
	})
	return value, err
}

// SetCheckpoint implements [queue.Checkpoints].
func (s *Store) SetCheckpoint(ctx context.Context, name, value string) error {
	const set = `INSERT INTO checkpoints (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`
	return s.writer.do(ctx, func(tx *tx) error { return tx.exec(set, name, value) })
}

// UseOnce implements [queue.ReplayGuard].
func (s *Store) UseOnce(ctx context.Context, credential string, by gitops.DeliveryKey, until time.Time) error {
	const use = `INSERT INTO used_tokens (credential, source, id, until) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET until = excluded.until WHERE source = excluded.source AND id = excluded.id`
	return s.writer.do(ctx, func(tx *tx) error {
		noted, err := tx.change(use, credential, by.Source, by.ID, until.UnixMicro())
		if err == nil && noted == 0 {
			err = gitops.Errorf(gitops.Conflict, "the credential counts once, and was used for another delivery")
		}
		return err
	})
}
