package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// updatesEach is how many sequences a delivery has for its updates; the updates
// table says why.
const updatesEach = 1 << 16

// Accept implements [queue.Inbox]. Times are kept in whole microseconds, and a
// delivery without a time of receipt was received now. Nothing of d is kept.
func (s *Store) Accept(ctx context.Context, d gitops.Delivery) (kept gitops.Delivery, duplicate bool, err error) {
	if len(d.Updates) > updatesEach {
		return gitops.Delivery{}, false, gitops.Errorf(gitops.TooLarge,
			"the delivery means %d updates; the store takes up to %d", len(d.Updates), updatesEach)
	}
	err = s.writer.do(ctx, func(tx *tx) (err error) {
		kept, duplicate, err = tx.accept(d)
		return err
	})
	if err != nil {
		return gitops.Delivery{}, false, err
	}
	return kept, duplicate, nil
}

func (tx *tx) accept(d gitops.Delivery) (kept gitops.Delivery, duplicate bool, err error) {
	const delivery = `INSERT INTO deliveries (number, source, id, received_at, event_time, actor, remote, credential, outcome, field, reason)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source, id) DO NOTHING`
	const body = `INSERT INTO bodies (delivery, body) VALUES (?, ?)`

	if d.ReceivedAt.IsZero() {
		d.ReceivedAt = tx.now
	}
	d.ReceivedAt, d.EventTime = rounded(d.ReceivedAt), rounded(d.EventTime)
	number := tx.latest.delivery + 1
	_, added, err := tx.insert(delivery, number, d.Source, d.ID, stored(d.ReceivedAt), stored(d.EventTime),
		d.Actor, d.Remote, d.Credential, string(d.Outcome), d.Field, d.Reason)
	if err != nil {
		return gitops.Delivery{}, false, err
	}
	if !added {
		kept, err = readDelivery(context.Background(), tx.connection, d.Key())
		return kept, true, err
	}
	tx.latest.delivery = number
	if d.Body == nil {
		d.Body = []byte{}
	}
	if err := tx.exec(body, number, d.Body); err != nil {
		return gitops.Delivery{}, false, err
	}
	planned := d.Updates
	d.Updates = make([]gitops.Update, len(planned))
	for i, u := range planned {
		u.Sequence = number*updatesEach + int64(i)
		if d.Updates[i], err = tx.enqueue(d, u); err != nil {
			return gitops.Delivery{}, false, err
		}
	}
	return d, false, nil
}

// enqueue stores one update of the delivery d.
func (tx *tx) enqueue(d gitops.Delivery, u gitops.Update) (gitops.Update, error) {
	const update = `INSERT INTO updates
		(sequence, id, environment, app, repository, tag, digest, state, reason, accepted_at, settled_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	u = gitops.Update{
		ID: u.ID, Environment: u.Environment, App: u.App, Repository: u.Repository, Tag: u.Tag, Digest: u.Digest,
		Delivery: d.Key(), Actor: d.Actor, State: gitops.Pending, AcceptedAt: rounded(tx.now), Sequence: u.Sequence,
	}
	if newest, late := tx.late(d, u); late {
		u.State, u.SettledAt = gitops.Superseded, u.AcceptedAt
		u.Reason = fmt.Sprintf("a release of %s in %s from %s was accepted before this one from %s",
			u.App, u.Environment, newest.Format(time.RFC3339), d.EventTime.Format(time.RFC3339))
	}
	if err := tx.use(u.Environment); err != nil {
		return gitops.Update{}, err
	}
	err := tx.exec(update, u.Sequence, u.ID, u.Environment, u.App, u.Repository, u.Tag, u.Digest,
		string(u.State), u.Reason, stored(u.AcceptedAt), stored(u.SettledAt))
	if err == nil && u.State == gitops.Pending {
		tx.woken[u.Environment] = true
		tx.waits[u.Environment]++
	}
	return u, err
}

// late reports whether the delivery's event is older than the newest accepted
// one for the update's app, which it returns, and otherwise remembers its time.
//
// An event without a time, or with one after its receipt, happened when it was
// received, and nothing is newer than that, also when the clock was set back
// since the newest was accepted. Within one second nothing is late: senders
// give no more than that, and receipts do.
func (tx *tx) late(d gitops.Delivery, u gitops.Update) (newest time.Time, late bool) {
	r := release{u.Environment, u.App}
	at := d.ReceivedAt
	past := !d.EventTime.IsZero() && d.EventTime.Before(at)
	if past {
		at = d.EventTime
	}
	known, ok := tx.newestOf(r)
	if past && ok && at.Unix() < time.UnixMicro(known).Unix() {
		return time.UnixMicro(known).UTC(), true
	}
	if !ok || at.UnixMicro() > known {
		tx.newest[r] = at.UnixMicro()
	}
	return time.Time{}, false
}

// use sees to it that the environment has a lane.
func (tx *tx) use(environment string) error {
	const lane = `INSERT INTO lanes (environment, used) VALUES (?, 1) ON CONFLICT DO UPDATE SET used = 1`
	if tx.w.known.used[environment] || tx.used[environment] {
		return nil
	}
	tx.used[environment] = true
	return tx.exec(lane, environment)
}
