package postgres

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Claim implements [queue.Lanes].
func (s *Store) Claim(ctx context.Context, environment, holder string, ttl time.Duration) (l queue.Lease, err error) {
	const claim = `SELECT token, expires_at, held_by, rest FROM claim($1, $2, $3, $4)`
	var token *int64
	var expires *time.Time
	var other *string
	var rest *time.Duration
	err = s.call(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, claim, s.moment(), environment, holder, ttl).Scan(&token, &expires, &other, &rest)
	})
	switch {
	case err != nil:
		return queue.Lease{}, err
	case token == nil:
		e := gitops.Errorf(gitops.Conflict, "the lane of %s is held by %s", environment, *other)
		e.RetryAfter = *rest
		return queue.Lease{}, e
	}
	return queue.Lease{Environment: environment, Holder: holder, Token: *token, ExpiresAt: expires.UTC()}, nil
}

// Extend implements [queue.Lanes].
func (s *Store) Extend(ctx context.Context, l queue.Lease, ttl time.Duration) (queue.Lease, error) {
	const extend = `UPDATE lanes SET expires_at = coalesce($1, clock_timestamp()) + $4::interval
		WHERE environment = $2 AND token = $3 AND holder = $5 AND lease = 'held' RETURNING expires_at`
	err := s.call(ctx, func(ctx context.Context) error {
		held, err := one(ctx, s.pool, extend, []any{s.moment(), l.Environment, l.Token, ttl, l.Holder}, &l.ExpiresAt)
		if err == nil && !held {
			err = errLeaseLost(l.Environment)
		}
		return err
	})
	if err != nil {
		return queue.Lease{}, err
	}
	l.ExpiresAt = l.ExpiresAt.UTC()
	return l, nil
}

// Release implements [queue.Lanes].
func (s *Store) Release(ctx context.Context, l queue.Lease, clean bool) error {
	const release = `UPDATE lanes SET lease = $4 WHERE environment = $1 AND token = $2 AND holder = $3 AND lease = 'held'`
	lease := "lost"
	if clean {
		lease = "free"
	}
	return s.call(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, release, l.Environment, l.Token, l.Holder, lease)
		return err
	})
}

// Pending implements [queue.Lanes]. The lease is looked at last: if it is still
// good then, so is what was read.
func (s *Store) Pending(ctx context.Context, l queue.Lease, limit int) (found []gitops.Update, err error) {
	const mine = `SELECT true FROM lanes WHERE environment = $1 AND token = $2 AND holder = $3 AND lease = 'held'`
	const pending = `SELECT ` + updateColumns + ` FROM updates u` + joins +
		`WHERE u.environment = $1 AND u.state = 'pending' ORDER BY u.sequence LIMIT $2`
	err = s.call(ctx, func(ctx context.Context) error {
		if found, err = updates(ctx, s.pool, pending, l.Environment, max(limit, 0)); err != nil {
			return err
		}
		var held bool
		if _, err := one(ctx, s.pool, mine, []any{l.Environment, l.Token, l.Holder}, &held); err != nil || held {
			return err
		}
		return errLeaseLost(l.Environment)
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Settle implements [queue.Lanes].
func (s *Store) Settle(ctx context.Context, l queue.Lease, settlements []gitops.Settlement) error {
	const settle = `SELECT settle($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	n := len(settlements)
	ids, states, codes, reasons, commits := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, e := range settlements {
		if !e.State.Settled() || e.State == "" {
			return gitops.Errorf(gitops.Invalid, "update %s cannot be settled as %q", e.Update, e.State)
		}
		ids[i], states[i], codes[i], reasons[i], commits[i] = e.Update, string(e.State), string(e.Code), clean(e.Reason), e.Commit
	}
	return s.call(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, settle, s.moment(), l.Environment, l.Token, l.Holder, ids, states, codes, reasons, commits)
		if err == nil {
			s.changed.Send()
		}
		return laneError(l.Environment, err)
	})
}

// Defer implements [queue.Lanes].
func (s *Store) Defer(ctx context.Context, l queue.Lease, d queue.Deferral) error {
	const postpone = `SELECT postpone($1, $2, $3, $4, $5, $6, $7, $8)`
	ids := append([]string{}, d.Updates...) // not null
	return s.call(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, postpone, s.moment(), l.Environment, l.Token, l.Holder, ids, d.Code, clean(d.Reason), stored(rounded(d.RetryAt)))
		if err == nil {
			s.changed.Send()
		}
		return laneError(l.Environment, err)
	})
}

// Wake implements [queue.Lanes].
func (s *Store) Wake(environment string) <-chan struct{} { return s.wakes.Channel(environment) }
