package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Retry implements [queue.Upkeep].
func (s *Store) Retry(ctx context.Context, id, actor string) (gitops.Update, error) {
	const again = `SELECT environment, app, state, coalesce(later, '') FROM again($1, $2, $3)`
	var environment, app, later string
	var state gitops.State
	err := s.call(ctx, func(ctx context.Context) error {
		known, err := one(ctx, s.pool, again, []any{s.moment(), clean(id), clean(actor)}, &environment, &app, &state, &later)
		switch {
		case err != nil:
			return err
		case !known:
			return gitops.Errorf(gitops.NotFound, "there is no update %s", id)
		case state != gitops.Failed:
			return gitops.Errorf(gitops.Conflict, "update %s is %s: only one that failed can be tried again", id, state)
		case later != "":
			return gitops.Errorf(gitops.Conflict,
				"update %s of %s in %s was accepted after this one: an old release does not overwrite a newer one", later, app, environment)
		}
		return nil
	})
	if err != nil {
		return gitops.Update{}, err
	}
	s.wakes.Wake(environment)
	s.changed.Send()
	return s.Update(ctx, id)
}

// Known implements [queue.Upkeep].
func (s *Store) Known(ctx context.Context, source string, ids []string) (known []string, err error) {
	const deliveries = `SELECT a.place FROM unnest($2::text[]) WITH ORDINALITY AS a (id, place)
		WHERE EXISTS (SELECT FROM deliveries d WHERE d.source = $1 AND d.id = a.id) ORDER BY a.place`
	err = s.read(ctx, func(ctx context.Context) error {
		places, err := rows(ctx, s.pool, deliveries, []any{clean(source), texts(ids)}, pgx.RowTo[int])
		for _, place := range places {
			known = append(known, ids[place-1])
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return known, nil
}

// Mark implements [queue.Upkeep].
func (s *Store) Mark(ctx context.Context, name string) (value string, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		_, err := one(ctx, s.pool, `SELECT value FROM marks WHERE name = $1`, []any{clean(name)}, &value)
		return err
	})
	return value, err
}

// SetMark implements [queue.Upkeep].
func (s *Store) SetMark(ctx context.Context, name, value string) error {
	const set = `INSERT INTO marks (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
	return s.call(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, set, clean(name), clean(value))
		return err
	})
}

// Spend implements [queue.Upkeep].
func (s *Store) Spend(ctx context.Context, credential string, by gitops.DeliveryKey, until time.Time) error {
	// The update changes nothing: it makes the statement answer with the row that is
	// there.
	const spend = `INSERT INTO spent (credential, source, id, until) VALUES ($1, $2, $3, $4)
		ON CONFLICT (credential) DO UPDATE SET until = spent.until RETURNING source, id`
	by = cleanKey(by)
	return s.call(ctx, func(ctx context.Context) error {
		var first gitops.DeliveryKey
		err := s.pool.QueryRow(ctx, spend, clean(credential), by.Source, by.ID, until).Scan(&first.Source, &first.ID)
		if err == nil && first != by {
			err = gitops.Errorf(gitops.Conflict, "the credential counts once, and was used for another delivery")
		}
		return err
	})
}

const (
	pruneLook     = 1000 // deliveries that one read looks at
	pruneTogether = 100  // deliveries that one transaction forgets, while those that are accepted wait
)

// Prune implements [queue.Upkeep].
func (s *Store) Prune(ctx context.Context, before time.Time, limit int) (pruned int, err error) {
	const worthless = `DELETE FROM spent WHERE credential IN (SELECT credential FROM spent WHERE until <= coalesce($1, clock_timestamp()) LIMIT $2)`
	before = rounded(before)
	numbers, err := s.prunable(ctx, before, limit)
	if err != nil {
		return 0, err
	}
	for together := range slices.Chunk(numbers, pruneTogether) {
		var gone int
		err := s.call(ctx, func(ctx context.Context) error {
			return s.pool.QueryRow(ctx, `SELECT forget($1, $2)`, together, before).Scan(&gone)
		})
		if err != nil {
			return pruned, err
		}
		pruned += gone
	}
	return pruned, s.call(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, worthless, s.moment(), limit)
		return err
	})
}

// prunable returns the numbers of the oldest deliveries that may go, at most
// limit. A page with none that arrived before the time ends the search: single
// ones that a clock gave a wrong time do not. An update that is on the branch is
// kept while an older one of its app could still be put there: Retry refuses that
// one because of it.
func (s *Store) prunable(ctx context.Context, before time.Time, limit int) (found []int64, err error) {
	const page = `SELECT d.number, d.received_at < $1, EXISTS (
			SELECT FROM updates u WHERE u.sequence BETWEEN d.number * 65536 AND d.number * 65536 + 65535
			AND (u.settled_at IS NULL OR u.settled_at >= $1 OR u.state IN ('committed', 'unchanged') AND EXISTS (
				SELECT FROM updates older WHERE older.environment = u.environment AND older.app = u.app
				AND older.state IN ('failed', 'pending') AND older.sequence < u.sequence))
		) FROM deliveries d WHERE d.number > $2 ORDER BY d.number LIMIT $3`
	type delivery struct {
		number    int64
		old, kept bool
	}
	for last := int64(0); ; {
		var looked []delivery
		err := s.call(ctx, func(ctx context.Context) error {
			looked, err = rows(ctx, s.pool, page, []any{before, last, pruneLook}, func(row pgx.CollectableRow) (d delivery, err error) {
				return d, row.Scan(&d.number, &d.old, &d.kept)
			})
			return err
		})
		if err != nil {
			return nil, err
		}
		old := 0
		for _, d := range looked {
			last = d.number
			if !d.old {
				continue
			}
			old++
			if !d.kept && len(found) < limit {
				found = append(found, d.number)
			}
		}
		if len(looked) < pruneLook || old == 0 || len(found) >= limit {
			return found, nil
		}
	}
}
