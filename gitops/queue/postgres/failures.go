package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Failures implements [queue.Reader]. An app is found behind the one before, which costs
// a search for each.
func (s *Store) Failures(ctx context.Context) (found []queue.Failure, err error) {
	const failures = `WITH RECURSIVE newest AS (
			(SELECT environment, app, sequence FROM updates WHERE has_failed ORDER BY environment, app, sequence + 0 DESC LIMIT 1)
			UNION ALL
			SELECT next.* FROM newest n CROSS JOIN LATERAL (SELECT u.environment, u.app, u.sequence FROM updates u
				WHERE u.has_failed AND (u.environment, u.app) > (n.environment, n.app) ORDER BY u.environment, u.app, u.sequence + 0 DESC LIMIT 1) AS next
		), standing AS (
			SELECT n.*, coalesce((SELECT sequence FROM newest_update(n.environment, n.app)), 0) AS through FROM newest n OFFSET 0
		)
		SELECT s.environment, s.app, f.total, u.id, first.finished_at FROM standing s
		CROSS JOIN LATERAL (SELECT count(*) AS total, min(o.sequence + 0) AS oldest FROM updates o
			WHERE o.has_failed AND o.environment = s.environment AND o.app = s.app AND o.sequence + 0 > s.through) AS f
		CROSS JOIN LATERAL (SELECT id FROM updates WHERE sequence = s.sequence LIMIT 1) AS u
		CROSS JOIN LATERAL (SELECT finished_at FROM updates WHERE sequence = f.oldest LIMIT 1) AS first
		WHERE s.sequence > s.through ORDER BY s.environment COLLATE "C", s.app COLLATE "C"`
	err = s.read(ctx, func(ctx context.Context) error {
		found, err = rows(ctx, s.pool, failures, nil, func(row pgx.CollectableRow) (f queue.Failure, err error) {
			err = row.Scan(&f.Environment, &f.App, &f.Count, &f.Newest, &f.Oldest)
			f.Oldest = f.Oldest.UTC()
			return f, err
		})
		return err
	})
	return found, err
}

// Overtaken implements [queue.Reader].
func (s *Store) Overtaken(ctx context.Context, ids []string) (map[string]string, error) {
	const overtaken = `SELECT u.id, o.by FROM unnest($1::text[]) AS i CROSS JOIN LATERAL (SELECT * FROM updates WHERE id = i LIMIT 1) AS u
		CROSS JOIN LATERAL (SELECT newer_update(u.environment, u.app, u.sequence) AS by) AS o WHERE u.has_failed AND o.by IS NOT NULL`
	by := make(map[string]string)
	err := s.read(ctx, func(ctx context.Context) error {
		found, err := rows(ctx, s.pool, overtaken, []any{texts(ids)}, func(row pgx.CollectableRow) (pair [2]string, err error) {
			return pair, row.Scan(&pair[0], &pair[1])
		})
		for _, pair := range found {
			by[pair[0]] = pair[1]
		}
		return err
	})
	return by, err
}
