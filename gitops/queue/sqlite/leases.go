package sqlite

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// The states of a lease, as the table has them.
const (
	leaseHeld     = "held"
	leaseReleased = "released" // its holder vouched for what it pushed
	leaseExpired  = "expired"  // given back or lost without that
)

// leaseRow is a row of the leases table; the zero value when there is none.
type leaseRow struct {
	token         int64
	holder, state string
}

func (tx *tx) lease(name string) (l leaseRow, err error) {
	const lease = `SELECT token, holder, state FROM leases WHERE name = ?`
	_, err = tx.one(context.Background(), lease, []any{name}, func(r row) {
		l = leaseRow{token: r.number(0), holder: r.text(1), state: r.text(2)}
	})
	return l, err
}

// checkLease fails unless the lease is still its holder's.
func checkLease(ctx context.Context, c *connection, l queue.Lease) error {
	const lease = `SELECT 1 FROM leases WHERE name = ? AND token = ? AND holder = ? AND state = 'held'`
	held, err := c.one(ctx, lease, []any{l.Name, l.Token, l.Holder}, func(row) {})
	if err == nil && !held {
		err = errLeaseLost(l.Name)
	}
	return err
}

// Claim implements [queue.Leases].
func (s *Store) Claim(ctx context.Context, holder string, names []string, ttl time.Duration) (claimed []queue.Lease, err error) {
	err = s.writer.do(ctx, func(tx *tx) error {
		claimed = nil
		for _, name := range names {
			l, ok, err := tx.claim(holder, name, ttl)
			if err != nil {
				return err
			}
			if ok {
				claimed = append(claimed, l)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// claim takes one lease, unless somebody else holds it.
func (tx *tx) claim(holder, name string, ttl time.Duration) (l queue.Lease, ok bool, err error) {
	const claim = `INSERT INTO leases (name, token, holder, state) VALUES (?, ?, ?, 'held')
		ON CONFLICT DO UPDATE SET token = excluded.token, holder = excluded.holder, state = 'held'`
	found, err := tx.lease(name)
	if err != nil {
		return queue.Lease{}, false, err
	}
	if found.state == leaseHeld && found.holder != holder && tx.leaseEnd(name).After(tx.now) {
		return queue.Lease{}, false, nil
	}
	if found.state == leaseHeld || found.state == leaseExpired {
		if err := tx.markMaybePushed(name); err != nil {
			return queue.Lease{}, false, err
		}
	}
	l = queue.Lease{Name: name, Holder: holder, Token: found.token + 1, ExpiresAt: tx.now.Add(ttl)}
	tx.leases[name] = l.ExpiresAt
	return l, true, tx.exec(claim, name, l.Token, holder)
}

// markMaybePushed marks what is open in the lane, because the last holder did not
// vouch for what it pushed. What an earlier claim marked stays marked.
func (tx *tx) markMaybePushed(environment string) error {
	const mark = `UPDATE lanes SET maybe_pushed_through = max(maybe_pushed_through,
		ifnull((SELECT max(sequence) FROM updates WHERE environment = ?1 AND state = 'pending' AND ready_at IS NULL), 0),
		ifnull((SELECT max(sequence) FROM updates INDEXED BY updates_blocked WHERE environment = ?1 AND state = 'pending' AND blocked_kind <> ''), 0),
		ifnull((SELECT max(sequence) FROM updates WHERE environment = ?1 AND state = 'proposed' AND state <> 'pending'), 0)) WHERE environment = ?1`
	return tx.exec(mark, environment)
}

// Extend implements [queue.Leases]. It waits for the writer but not for the disk:
// a lease does not outlive the process.
func (s *Store) Extend(ctx context.Context, leases []queue.Lease, ttl time.Duration) (kept []queue.Lease, err error) {
	err = s.writer.do(ctx, func(tx *tx) error {
		kept = nil
		for _, l := range leases {
			err := checkLease(context.Background(), tx.connection, l)
			if gitops.CodeOf(err) == gitops.Conflict {
				continue
			}
			if err != nil {
				return err
			}
			l.ExpiresAt = tx.now.Add(ttl)
			tx.leases[l.Name] = l.ExpiresAt
			kept = append(kept, l)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return kept, nil
}

// Release implements [queue.Leases].
func (s *Store) Release(ctx context.Context, l queue.Lease, clean bool) error {
	const release = `UPDATE leases SET state = ? WHERE name = ? AND token = ? AND holder = ? AND state = 'held'`
	state := leaseExpired
	if clean {
		state = leaseReleased
	}
	return s.writer.do(ctx, func(tx *tx) error {
		_, err := tx.change(release, state, l.Name, l.Token, l.Holder)
		return err
	})
}
