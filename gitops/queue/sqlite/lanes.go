package sqlite

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// lane is a row of the lanes table.
type lane struct {
	token   int64
	holder  string
	lease   string // see the table
	through int64
}

func (tx *tx) lane(environment string) (l lane, err error) {
	const lanes = `SELECT token, holder, lease, through FROM lanes WHERE environment = ?`
	l.lease = "free"
	_, err = tx.one(context.Background(), lanes, []any{environment}, func(r row) {
		l = lane{token: r.number(0), holder: r.text(1), lease: r.text(2), through: r.number(3)}
	})
	return l, err
}

// mine fails unless the lease is still its holder's.
func (tx *tx) mine(l queue.Lease) error {
	found, err := tx.lane(l.Environment)
	if err == nil && queue.Fences(found.lease == "held", found.token, l) {
		return errLeaseLost(l.Environment)
	}
	return err
}

// Claim implements [queue.Lanes].
func (s *Store) Claim(ctx context.Context, environment, holder string, ttl time.Duration) (queue.Lease, error) {
	var l queue.Lease
	err := s.writer.do(ctx, func(tx *tx) (err error) {
		l, err = tx.claim(environment, holder, ttl)
		return err
	})
	if err != nil {
		return queue.Lease{}, err
	}
	return l, nil
}

func (tx *tx) claim(environment, holder string, ttl time.Duration) (queue.Lease, error) {
	const newest = `SELECT max(sequence) FROM updates WHERE environment = ? AND state = 'pending'`
	const claim = `INSERT INTO lanes (environment, token, holder, lease, through) VALUES (?, ?, ?, 'held', ?)
		ON CONFLICT DO UPDATE SET token = excluded.token, holder = excluded.holder, lease = 'held', through = excluded.through`

	found, err := tx.lane(environment)
	if err != nil {
		return queue.Lease{}, err
	}
	if rest := tx.leaseEnd(environment).Sub(tx.now); found.lease == "held" && found.holder != holder && rest > 0 {
		e := gitops.Errorf(gitops.Conflict, "the lane of %s is held by %s", environment, found.holder)
		e.RetryAfter = rest
		return queue.Lease{}, e
	}
	if found.lease != "free" {
		// Nobody vouched for what the last holder pushed. Sequences only rise, so
		// through does, and what an earlier claim marked stays marked.
		_, err := tx.one(context.Background(), newest, []any{environment}, func(r row) {
			found.through = max(found.through, r.number(0))
		})
		if err != nil {
			return queue.Lease{}, err
		}
	}
	l := queue.Lease{Environment: environment, Holder: holder, Token: found.token + 1, ExpiresAt: tx.now.Add(ttl)}
	tx.leases[environment] = l.ExpiresAt
	return l, tx.exec(claim, environment, l.Token, holder, found.through)
}

// Extend implements [queue.Lanes]. It waits for the writer but not for the disk:
// a lease does not outlive the process.
func (s *Store) Extend(ctx context.Context, l queue.Lease, ttl time.Duration) (queue.Lease, error) {
	err := s.writer.do(ctx, func(tx *tx) error {
		if err := tx.mine(l); err != nil {
			return err
		}
		l.ExpiresAt = tx.now.Add(ttl)
		tx.leases[l.Environment] = l.ExpiresAt
		return nil
	})
	if err != nil {
		return queue.Lease{}, err
	}
	return l, nil
}

// Release implements [queue.Lanes].
func (s *Store) Release(ctx context.Context, l queue.Lease, clean bool) error {
	const release = `UPDATE lanes SET lease = ? WHERE environment = ? AND token = ? AND lease = 'held'`
	lease := "lost"
	if clean {
		lease = "free"
	}
	return s.writer.do(ctx, func(tx *tx) error { return tx.exec(release, lease, l.Environment, l.Token) })
}

// Pending implements [queue.Lanes].
func (s *Store) Pending(ctx context.Context, l queue.Lease, limit int) (found []gitops.Update, err error) {
	const mine = `SELECT 1 FROM lanes WHERE environment = ? AND token = ? AND lease = 'held'`
	const pending = `SELECT ` + updateColumns + ` FROM updates` + joined +
		`WHERE u.environment = ? AND u.state = 'pending' ORDER BY u.sequence LIMIT ?`
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		held, err := c.one(ctx, mine, []any{l.Environment, l.Token}, func(row) {})
		if err == nil && !held {
			err = errLeaseLost(l.Environment)
		}
		if err != nil {
			return err
		}
		return c.query(ctx, pending, []any{l.Environment, max(limit, 0)}, func(r row) error {
			found = append(found, scanUpdate(r))
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Settle implements [queue.Lanes].
func (s *Store) Settle(ctx context.Context, l queue.Lease, settlements []gitops.Settlement) error {
	const settle = `UPDATE updates SET state = ?, code = ?, reason = ?, object = ?, settled_at = ?, attempts = attempts + 1
		WHERE id = ? AND environment = ? AND state = 'pending' RETURNING sequence`
	const succeeded = `UPDATE lanes SET last_success = ?, failing_since = NULL, retry_at = NULL, code = '', reason = '' WHERE environment = ?`
	for _, e := range settlements {
		if !e.State.Settled() || e.State == "" {
			return gitops.Errorf(gitops.Invalid, "update %s cannot be settled as %q", e.Update, e.State)
		}
	}
	return s.writer.do(ctx, func(tx *tx) error {
		if err := tx.mine(l); err != nil {
			return err
		}
		for _, e := range settlements {
			step := gitops.Step{Attempts: 1, State: e.State, Code: e.Code, Reason: e.Reason, Commit: e.Commit}
			err := tx.change(l.Environment, e.Update, step, settle, string(e.State), string(e.Code), e.Reason, e.Commit,
				tx.now.UnixMicro(), e.Update, l.Environment)
			if err != nil {
				return err
			}
		}
		if len(settlements) == 0 {
			return nil
		}
		return tx.exec(succeeded, tx.now.UnixMicro(), l.Environment)
	})
}

// Defer implements [queue.Lanes].
func (s *Store) Defer(ctx context.Context, l queue.Lease, d queue.Deferral) error {
	const attempt = `UPDATE updates SET reason = ?, attempts = attempts + 1
		WHERE id = ? AND environment = ? AND state = 'pending' RETURNING sequence`
	const failing = `UPDATE lanes SET failing_since = ifnull(failing_since, ?), retry_at = ?, code = ?, reason = ? WHERE environment = ?`
	return s.writer.do(ctx, func(tx *tx) error {
		if err := tx.mine(l); err != nil {
			return err
		}
		step := gitops.Step{Attempts: 1, State: gitops.Pending, Code: d.Code, Reason: d.Reason, RetryAt: d.RetryAt}
		for _, id := range d.Updates {
			if err := tx.change(l.Environment, id, step, attempt, d.Reason, id, l.Environment); err != nil {
				return err
			}
		}
		return tx.exec(failing, tx.now.UnixMicro(), stored(d.RetryAt), string(d.Code), d.Reason, l.Environment)
	})
}

// change runs an UPDATE of the pending update id, and records the step that it
// is. One that has ended stays as it is; one that is not in the lane is an error.
func (tx *tx) change(environment, id string, step gitops.Step, text string, args ...any) error {
	const update = `SELECT 1 FROM updates WHERE id = ? AND environment = ?`
	var sequence int64
	changed, err := tx.one(context.Background(), text, args, func(r row) { sequence = r.number(0) })
	if err != nil {
		return err
	}
	if changed {
		tx.writes++
		if step.State.Settled() {
			tx.waits[environment]--
		}
		return tx.step(sequence, step)
	}
	found, err := tx.one(context.Background(), update, []any{id, environment}, func(row) {})
	if err == nil && !found {
		err = gitops.Errorf(gitops.NotFound, "there is no update %s in the lane of %s", id, environment)
	}
	return err
}

// Wake implements [queue.Lanes].
func (s *Store) Wake(environment string) <-chan struct{} { return s.wakes.Channel(environment) }
