package postgres

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// digestArg is a hash as the server takes it in JSON; nil for none.
func digestArg(digest []byte) *string {
	if digest == nil {
		return nil
	}
	text := `\x` + hex.EncodeToString(digest)
	return &text
}

// keyArg is a key's hash as the server takes it in JSON.
func keyArg(key gitops.DeliveryKey) string {
	hash := queue.KeyHash(key)
	return *digestArg(hash[:])
}

// first returns the delivery that d is a duplicate of.
func (s *Store) first(ctx context.Context, d gitops.Delivery) (gitops.Delivery, error) {
	const memory = `SELECT delivery, received_at FROM memories WHERE hash = $1`
	const sameBody = `SELECT source, id FROM deliveries WHERE body_digest = $1 AND outcome IN ('accepted', 'waiting')`
	first, err := s.Delivery(ctx, d.Key())
	if gitops.CodeOf(err) != gitops.NotFound {
		return first, err
	}
	var forgotten bool
	var text string
	var receivedAt time.Time
	key, hash := d.Key(), queue.KeyHash(d.Key())
	err = s.read(ctx, func(ctx context.Context) (err error) {
		if forgotten, err = one(ctx, s.pool, memory, []any{hash[:]}, &text, &receivedAt); err != nil || forgotten {
			return err
		}
		if kept, err := one(ctx, s.pool, sameBody, []any{d.BodyDigest}, &key.Source, &key.ID); err != nil || kept {
			return err
		}
		forgotten, err = one(ctx, s.pool, memory, []any{d.BodyDigest}, &text, &receivedAt)
		if err == nil && forgotten {
			err = key.UnmarshalText([]byte(text))
		}
		return err
	})
	if err != nil {
		return gitops.Delivery{}, err
	}
	if forgotten {
		return queue.Forgotten(key, receivedAt.UTC()), nil
	}
	return s.Delivery(ctx, key)
}
