package sqlite

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Retry implements [queue.Upkeep].
func (s *Store) Retry(ctx context.Context, id, actor string) (u gitops.Update, err error) {
	err = s.writer.do(ctx, func(tx *tx) (err error) {
		u, err = tx.retry(id, actor)
		return err
	})
	if err != nil {
		return gitops.Update{}, err
	}
	return u, nil
}

func (tx *tx) retry(id, actor string) (gitops.Update, error) {
	const again = `UPDATE updates SET state = 'pending', code = '', reason = '', object = '', settled_at = NULL WHERE sequence = ?`
	u, err := readUpdate(context.Background(), tx.connection, id)
	if err != nil {
		return gitops.Update{}, err
	}
	if u.State != gitops.Failed {
		return gitops.Update{}, gitops.Errorf(gitops.Conflict, "update %s is %s: only one that failed can be tried again", id, u.State)
	}
	later, err := tx.later(u)
	switch {
	case err != nil:
		return gitops.Update{}, err
	case later != "":
		return gitops.Update{}, gitops.Errorf(gitops.Conflict,
			"update %s of %s in %s was accepted after this one: an old release does not overwrite a newer one", later, u.App, u.Environment)
	}
	if err := tx.exec(again, u.Sequence); err != nil {
		return gitops.Update{}, err
	}
	if err := tx.step(u.Sequence, gitops.Step{State: gitops.Pending, Actor: actor}); err != nil {
		return gitops.Update{}, err
	}
	tx.woken[u.Environment] = true
	tx.waits[u.Environment]++
	return readUpdate(context.Background(), tx.connection, id)
}

// later returns the id of an update of the same app that was accepted after u,
// and that is or will be on the branch; "" when there is none.
func (tx *tx) later(u gitops.Update) (id string, err error) {
	const written = `SELECT id FROM updates INDEXED BY updates_ended_app
		WHERE app = ? AND environment = ? AND state IN ('committed', 'unchanged') AND state <> 'pending' AND sequence > ? LIMIT 1`
	const waiting = `SELECT id FROM updates INDEXED BY updates_pending
		WHERE app = ? AND environment = ? AND state = 'pending' AND sequence > ? LIMIT 1`
	for _, text := range []string{written, waiting} {
		found, err := tx.one(context.Background(), text, []any{u.App, u.Environment, u.Sequence}, func(r row) { id = r.text(0) })
		if err != nil || found {
			return id, err
		}
	}
	return "", nil
}

// Known implements [queue.Upkeep].
func (s *Store) Known(ctx context.Context, source string, ids []string) (known []string, err error) {
	const delivery = `SELECT 1 FROM deliveries WHERE source = ? AND id = ?`
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		for _, id := range ids {
			found, err := c.one(ctx, delivery, []any{source, id}, func(row) {})
			if err != nil {
				return err
			}
			if found {
				known = append(known, id)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return known, nil
}

// Mark implements [queue.Upkeep].
func (s *Store) Mark(ctx context.Context, name string) (value string, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		_, err := c.one(ctx, `SELECT value FROM marks WHERE name = ?`, []any{name}, func(r row) { value = r.text(0) })
		return err
	})
	return value, err
}

// SetMark implements [queue.Upkeep].
func (s *Store) SetMark(ctx context.Context, name, value string) error {
	const set = `INSERT INTO marks (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`
	return s.writer.do(ctx, func(tx *tx) error { return tx.exec(set, name, value) })
}

// Spend implements [queue.Upkeep].
func (s *Store) Spend(ctx context.Context, credential string, by gitops.DeliveryKey, until time.Time) error {
	const spend = `INSERT INTO spent (credential, source, id, until) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`
	const spender = `SELECT source, id FROM spent WHERE credential = ?`
	return s.writer.do(ctx, func(tx *tx) error {
		_, added, err := tx.insert(spend, credential, by.Source, by.ID, until.UnixMicro())
		if err != nil || added {
			return err
		}
		var first gitops.DeliveryKey
		_, err = tx.one(context.Background(), spender, []any{credential}, func(r row) {
			first = gitops.DeliveryKey{Source: r.text(0), ID: r.text(1)}
		})
		if err == nil && first != by {
			err = gitops.Errorf(gitops.Conflict, "the credential counts once, and was used for another delivery")
		}
		return err
	})
}
