package sqlite

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// countedDigest is the digest under which the body of d counts once; NULL when it may
// come again.
func countedDigest(d gitops.Delivery) any {
	if !queue.CountsOnce(d) {
		return nil
	}
	return blob(d.BodyDigest)
}

// first returns the delivery that d is a duplicate of, if it is one.
func (tx *tx) first(d gitops.Delivery) (first gitops.Delivery, isKnown bool, err error) {
	const sameBody = `SELECT source, id FROM deliveries WHERE body_digest = ? AND body_digest IS NOT NULL AND outcome IN ('accepted', 'waiting')`
	const memory = `SELECT delivery, received_at FROM memories WHERE hash = ?`
	ctx := context.Background()
	first, err = readDelivery(ctx, tx.connection, d.Key(), tx.now)
	if gitops.CodeOf(err) != gitops.NotFound {
		return first, err == nil, err
	}
	hash, digest := queue.KeyHash(d.Key()), countedDigest(d)
	var receivedAt time.Time
	left, err := tx.one(ctx, memory, []any{hash[:]}, func(r row) { receivedAt = r.time(1) })
	if err != nil || left {
		return queue.Forgotten(d.Key(), receivedAt), left, err
	}
	var key gitops.DeliveryKey
	kept, err := tx.one(ctx, sameBody, []any{digest}, func(r row) { key = gitops.DeliveryKey{Source: r.text(0), ID: r.text(1)} })
	switch {
	case err != nil:
		return gitops.Delivery{}, false, err
	case kept:
		first, err = readDelivery(ctx, tx.connection, key, tx.now)
		return first, err == nil, err
	}
	var text string
	left, err = tx.one(ctx, memory, []any{digest}, func(r row) { text, receivedAt = r.text(0), r.time(1) })
	if err != nil || !left {
		return gitops.Delivery{}, false, err
	}
	err = key.UnmarshalText([]byte(text))
	return queue.Forgotten(key, receivedAt), err == nil, err
}

// remember keeps what a delivery that is pruned leaves.
func (tx *tx) remember(number int64) error {
	const delivery = `SELECT source, id, outcome, received_at, body_digest FROM deliveries WHERE number = ?`
	const keep = `INSERT INTO memories (hash, delivery, received_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
	var d gitops.Delivery
	found, err := tx.one(context.Background(), delivery, []any{number}, func(r row) {
		d = gitops.Delivery{Source: r.text(0), ID: r.text(1), Outcome: gitops.Outcome(r.text(2)), ReceivedAt: r.time(3), BodyDigest: r.blob(4)}
	})
	if err != nil || !found || d.Outcome != gitops.OutcomeAccepted || d.ReceivedAt.Before(tx.now.Add(-queue.MemoryFor)) {
		return err
	}
	tx.remembers = true
	hash := queue.KeyHash(d.Key())
	if err := tx.exec(keep, hash[:], "", d.ReceivedAt.UnixMicro()); err != nil {
		return err
	}
	if digest := countedDigest(d); digest != nil {
		return tx.exec(keep, digest, d.Key().String(), d.ReceivedAt.UnixMicro())
	}
	return nil
}
