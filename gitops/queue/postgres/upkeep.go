package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
)

// ExistingIDs implements [queue.Inbox].
func (s *Store) ExistingIDs(ctx context.Context, source string, ids []string) (existing []string, err error) {
	const deliveries = `SELECT a.place FROM unnest($2::text[]) WITH ORDINALITY AS a (id, place)
		WHERE EXISTS (SELECT FROM deliveries d WHERE d.source = $1 AND d.id = a.id) ORDER BY a.place`
	err = s.read(ctx, func(ctx context.Context) error {
		places, err := rows(ctx, s.pool, deliveries, []any{clean(source), texts(ids)}, pgx.RowTo[int])
		for _, place := range places {
			existing = append(existing, ids[place-1])
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return existing, nil
}

// Checkpoint implements [queue.Checkpoints].
func (s *Store) Checkpoint(ctx context.Context, name string) (value string, err error) {
	err = s.read(ctx, func(ctx context.Context) error {
		_, err := one(ctx, s.pool, `SELECT value FROM checkpoints WHERE name = $1`, []any{clean(name)}, &value)
		return err
	})
	return value, err
}

// SetCheckpoint implements [queue.Checkpoints].
func (s *Store) SetCheckpoint(ctx context.Context, name, value string) error {
	const set = `INSERT INTO checkpoints (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
	return s.call(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, set, clean(name), clean(value))
		return err
	})
}

// UseOnce implements [queue.ReplayGuard].
func (s *Store) UseOnce(ctx context.Context, credential string, by gitops.DeliveryKey, until time.Time) error {
	// The update changes nothing: it makes the statement answer with the row that is
	// there.
	const use = `INSERT INTO used_tokens (credential, source, id, until) VALUES ($1, $2, $3, $4)
		ON CONFLICT (credential) DO UPDATE SET until = used_tokens.until RETURNING source, id`
	by = cleanKey(by)
	return s.call(ctx, func(ctx context.Context) error {
		var first gitops.DeliveryKey
		err := s.pool.QueryRow(ctx, use, clean(credential), by.Source, by.ID, until).Scan(&first.Source, &first.ID)
		if err == nil && first != by {
			err = gitops.Errorf(gitops.Conflict, "the credential counts once, and was used for another delivery")
		}
		return err
	})
}
