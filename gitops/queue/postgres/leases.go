package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Claim implements [queue.Leases]. The leases are bound to the store's session.
func (s *Store) Claim(ctx context.Context, holder string, names []string, ttl time.Duration) (claimed []queue.Lease, err error) {
	const claim = `SELECT name, token, expires_at FROM claim($1, $2, $3, $4, $5)`
	holder, cleaned := clean(holder), texts(names)
	err = s.call(ctx, func(ctx context.Context) error {
		claimed, err = rows(ctx, s.pool, claim, []any{s.nowArg(), holder, cleaned, ttl, s.session.keyArg()}, func(row pgx.CollectableRow) (l queue.Lease, err error) {
			err = row.Scan(&l.Name, &l.Token, &l.ExpiresAt)
			l.Holder, l.ExpiresAt = holder, l.ExpiresAt.UTC()
			return l, err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(claimed, func(a, b queue.Lease) int {
		return cmp.Compare(slices.Index(cleaned, a.Name), slices.Index(cleaned, b.Name))
	})
	return claimed, nil
}

// Extend implements [queue.Leases]. The leases are bound to the session that the store
// has now.
func (s *Store) Extend(ctx context.Context, leases []queue.Lease, ttl time.Duration) (kept []queue.Lease, err error) {
	const extend = `SELECT place, expires_at FROM extend($1, $2, $3, $4, $5, $6) ORDER BY place`
	names, tokens, holders := make([]string, len(leases)), make([]int64, len(leases)), make([]string, len(leases))
	for i, l := range leases {
		names[i], tokens[i], holders[i] = clean(l.Name), l.Token, clean(l.Holder)
	}
	err = s.call(ctx, func(ctx context.Context) error {
		args := []any{s.nowArg(), names, tokens, holders, ttl, s.session.keyArg()}
		kept, err = rows(ctx, s.pool, extend, args, func(row pgx.CollectableRow) (queue.Lease, error) {
			var place int
			var expires time.Time
			if err := row.Scan(&place, &expires); err != nil {
				return queue.Lease{}, err
			}
			l := leases[place-1]
			l.ExpiresAt = expires.UTC()
			return l, nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return kept, nil
}

// Release implements [queue.Leases].
func (s *Store) Release(ctx context.Context, l queue.Lease, vouched bool) error {
	return s.call(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `SELECT release($1, $2, $3, $4)`, clean(l.Name), l.Token, clean(l.Holder), vouched)
		return err
	})
}
