package sqlite

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// sequencesEach is how many sequences a delivery has for its updates; the updates
// table says why.
const sequencesEach = 1 << 16

// Accept implements [queue.Inbox]. Times are kept in whole microseconds, and a
// delivery without a time of receipt was received now. It keeps nothing of d.
func (s *Store) Accept(ctx context.Context, d gitops.Delivery) (stored gitops.Delivery, duplicate bool, err error) {
	if err := checkUpdates(d.Updates); err != nil {
		return gitops.Delivery{}, false, err
	}
	err = s.writer.run(ctx, &request{updates: 1 + len(d.Updates), bytes: len(d.Body), work: func(tx *tx) (err error) {
		d.DecidedAt = time.Time{}
		stored, duplicate, err = tx.accept(d)
		return err
	}})
	if err != nil {
		return gitops.Delivery{}, false, err
	}
	return stored, duplicate, nil
}

// checkUpdates fails for updates that no delivery can have.
func checkUpdates(updates []gitops.Update) error {
	if len(updates) > queue.MaxUpdates {
		return gitops.Errorf(gitops.TooLarge, "the delivery has %d updates; the store accepts up to %d", len(updates), queue.MaxUpdates)
	}
	seen := make(map[headKey]bool, len(updates))
	for _, u := range updates {
		key := headKey{u.Environment, u.App}
		if seen[key] {
			return gitops.Errorf(gitops.Invalid, "the delivery names %s in %s twice", u.App, u.Environment)
		}
		seen[key] = true
	}
	return nil
}

func (tx *tx) accept(d gitops.Delivery) (accepted gitops.Delivery, duplicate bool, err error) {
	const body = `INSERT INTO bodies (delivery, body) VALUES (?, ?)`

	if err := tx.checkRoom(); err != nil {
		return tx.known(d.Key(), err)
	}
	if err := tx.checkWaiting(d); err != nil {
		return tx.known(d.Key(), err)
	}
	if d.ReceivedAt.IsZero() {
		d.ReceivedAt = tx.now
	}
	d = queue.WaitingSince(d, tx.now)
	d.ReceivedAt, d.EventTime = rounded(d.ReceivedAt), rounded(d.EventTime)
	number := tx.latest.delivery + 1
	sender, err := tx.sender(senderKey{d.Principal, d.Actor, d.Config})
	if err != nil {
		return gitops.Delivery{}, false, err
	}
	added, err := tx.addDelivery(number, sender, d)
	if err != nil {
		return gitops.Delivery{}, false, err
	}
	if !added {
		first, _, err := tx.first(d)
		return first, true, err
	}
	tx.latest.delivery = number
	if d.Outcome == gitops.OutcomeWaiting {
		tx.waiting++
	}
	if d.Body == nil {
		d.Body = []byte{}
	}
	if err := tx.exec(body, number, d.Body); err != nil {
		return gitops.Delivery{}, false, err
	}
	planned := d.Updates
	d.Updates = make([]gitops.Update, len(planned))
	for i, u := range planned {
		u.Sequence = number*sequencesEach + int64(i)
		if d.Updates[i], err = tx.acceptUpdate(d, sender, u); err != nil {
			return gitops.Delivery{}, false, err
		}
	}
	for _, image := range queue.ImagesOf(d) {
		if err := tx.recordImage(image); err != nil {
			return gitops.Delivery{}, false, err
		}
	}
	return d, false, nil
}

// known returns a delivery that is stored, as a duplicate, or else the error.
func (tx *tx) known(key gitops.DeliveryKey, otherwise error) (first gitops.Delivery, duplicate bool, err error) {
	first, err = readDelivery(context.Background(), tx.connection, key, tx.now)
	if gitops.CodeOf(err) == gitops.NotFound {
		err = otherwise
	}
	return first, err == nil, err
}

// addDelivery adds a row, unless the delivery is known. What is remembered of
// deliveries is searched only where there is something, and only for what the delivery
// has: most have no digest.
func (tx *tx) addDelivery(number, sender int64, d gitops.Delivery) (added bool, err error) {
	const nothing = insertDelivery + deliveryValues + ` ON CONFLICT DO NOTHING`
	const where = insertDelivery + `SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE `
	const byKey = where + ` NOT EXISTS (SELECT 1 FROM memories WHERE hash = ?) ON CONFLICT DO NOTHING`
	const byBody = where + `NOT EXISTS (SELECT 1 FROM memories WHERE hash = ?) AND NOT EXISTS (SELECT 1 FROM memories WHERE hash = ?) ON CONFLICT DO NOTHING`
	args := deliveryArgs(number, sender, d)
	text := nothing
	if tx.w.cache.remembers || tx.remembers {
		hash := queue.KeyHash(d.Key())
		text, args = byKey, append(args, hash[:])
		if digest := countedDigest(d); digest != nil {
			text, args = byBody, append(args, digest)
		}
	}
	rows, err := tx.change(text, args...)
	return rows > 0, err
}

const insertDelivery = `INSERT INTO deliveries (number, prefix, source, id, received_at, event_time, sender, credential, remote, recovered, outcome, field, reason, environment, app, body_digest, event, decided_at) `

const deliveryValues = `VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// deliveryArgs are the values for insertDelivery, with room for two more.
func deliveryArgs(number, sender int64, d gitops.Delivery) []any {
	return append(make([]any, 0, 20), number, prefixOf(d.Key()), d.Source, d.ID, stored(d.ReceivedAt), stored(d.EventTime), sender, d.Credential, d.Remote,
		d.Recovered, string(d.Outcome), d.Field, d.Reason, d.Environment, d.App, blob(d.BodyDigest), blob(d.Event), stored(d.DecidedAt))
}

// acceptUpdate stores one update of the delivery d.
func (tx *tx) acceptUpdate(d gitops.Delivery, sender int64, u gitops.Update) (gitops.Update, error) {
	const update = `INSERT INTO updates
		(sequence, id, sender, environment, app, repository, tag, version, only_up, digest, rule, revision, terms, state, reason, accepted_at, finished_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	u = gitops.Update{
		ID:          gitops.UpdateID(d.Key(), u.Environment, u.App),
		Environment: u.Environment, App: u.App, Repository: u.Repository, Tag: u.Tag, Digest: u.Digest, OnlyUp: u.OnlyUp, Rule: u.Rule, Revision: u.Revision,
		Terms: keptTerms(u.Terms), Delivery: d.Key(), Actor: d.Actor, Principal: d.Principal, State: gitops.Pending, AcceptedAt: rounded(tx.now), Sequence: u.Sequence,
		Recovered: d.Recovered || !d.DecidedAt.IsZero(),
	}
	u.EventTime = d.EventTime
	m := u.Moment(receipt(d.PlannedAt(), u.AcceptedAt))
	if !m.Dated() {
		u.EventTime = time.Time{}
	}
	reason, err := tx.whySuperseded(u, m)
	if err != nil {
		return gitops.Update{}, err
	}
	if reason != "" {
		u.State, u.FinishedAt, u.Reason = gitops.Superseded, u.AcceptedAt, reason
		if head := tx.head(u.Environment, u.App); head.AcceptedVersion < m.Version {
			tx.setHead(head.AcceptSuperseded(m))
		}
	} else {
		tx.setHead(tx.head(u.Environment, u.App).Accept(m))
	}
	if err := tx.ensureLane(u.Environment); err != nil {
		return gitops.Update{}, err
	}
	terms, err := formatTerms(u.Terms)
	if err != nil {
		return gitops.Update{}, err
	}
	err = tx.exec(update, u.Sequence, packID(u.ID), sender, u.Environment, u.App, u.Repository, u.Tag, gitops.VersionKey(u.Tag), u.OnlyUp, u.Digest, u.Rule, u.Revision,
		terms, string(u.State), u.Reason, stored(u.AcceptedAt), stored(u.FinishedAt))
	if err == nil && u.State == gitops.Pending {
		tx.woken[u.Environment] = true
		tx.waits[waiting{environment: u.Environment}]++
	}
	return u, err
}

// whySuperseded is why an update is superseded at its acceptance, or "" when it is
// not.
func (tx *tx) whySuperseded(u gitops.Update, m gitops.EventMoment) (string, error) {
	head := tx.head(u.Environment, u.App)
	if newest, late := head.Late(m); late {
		return head.LateBehind(u, newest), nil
	}
	return tx.lowerThan(u)
}

// receipt is when a delivery was received that was accepted at a time, which its receipt
// is not after.
func receipt(received, accepted time.Time) time.Time {
	if accepted.Before(received) {
		return accepted
	}
	return received
}

// ExistingIDs implements [queue.Inbox].
func (s *Store) ExistingIDs(ctx context.Context, source string, ids []string) (existing []string, err error) {
	const delivery = `SELECT 1 FROM deliveries WHERE prefix = ? AND source = ? AND id = ?`
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		for _, id := range ids {
			key := gitops.DeliveryKey{Source: source, ID: id}
			found, err := c.one(ctx, delivery, []any{prefixOf(key), source, id}, func(row) {})
			if err != nil {
				return err
			}
			if found {
				existing = append(existing, id)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return existing, nil
}
