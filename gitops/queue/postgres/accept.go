package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
)

// updatesEach is how many sequences a delivery has for its updates; the updates
// table says why.
const updatesEach = 1 << 16

// brought is a delivery as the function accept takes it.
type brought struct {
	Place      int            `json:"place"`
	Source     string         `json:"source"`
	ID         string         `json:"id"`
	ReceivedAt *time.Time     `json:"received_at"`
	EventTime  *time.Time     `json:"event_time"`
	Actor      string         `json:"actor"`
	Remote     string         `json:"remote"`
	Credential string         `json:"credential"`
	Outcome    gitops.Outcome `json:"outcome"`
	Field      string         `json:"field"`
	Reason     string         `json:"reason"`
}

// meant is an update as the function accept takes it.
type meant struct {
	Delivery    int    `json:"delivery"` // the place of its own
	Place       int    `json:"place"`
	ID          string `json:"id"`
	Environment string `json:"environment"`
	App         string `json:"app"`
	Repository  string `json:"repository"`
	Tag         string `json:"tag"`
	Digest      string `json:"digest"`
}

// prepared is d as the tables will hold it, sharing nothing with d but the body,
// which nobody writes to.
func prepared(d gitops.Delivery) gitops.Delivery {
	d.Source, d.ID, d.Actor, d.Remote, d.Credential = clean(d.Source), clean(d.ID), clean(d.Actor), clean(d.Remote), clean(d.Credential)
	d.Outcome, d.Field, d.Reason = clean(d.Outcome), clean(d.Field), clean(d.Reason)
	d.ReceivedAt, d.EventTime = rounded(d.ReceivedAt), rounded(d.EventTime)
	planned := d.Updates
	d.Updates = make([]gitops.Update, len(planned))
	for i, u := range planned {
		d.Updates[i] = gitops.Update{
			ID: clean(u.ID), Delivery: d.Key(), Actor: d.Actor, Environment: clean(u.Environment), App: clean(u.App),
			Repository: clean(u.Repository), Tag: clean(u.Tag), Digest: clean(u.Digest),
		}
	}
	// The caller may use its slice again while this is still on its way.
	d.Body = bytes.Clone(d.Body)
	if d.Body == nil {
		d.Body = []byte{}
	}
	return d
}

// accept brings a group to the server in one call, and fills in what it answers.
func (s *Store) accept(ctx context.Context, group []*request) error {
	const call = `SELECT delivery, accepted_at, sequence, coalesce(state, ''), coalesce(reason, '') FROM accept($1, $2, $3, $4)`
	deliveries, updates := make([]brought, len(group)), []meant{}
	bodies := make([][]byte, len(group))
	for i, r := range group {
		d := r.delivery
		deliveries[i] = brought{i + 1, d.Source, d.ID, stored(d.ReceivedAt), stored(d.EventTime), d.Actor, d.Remote, d.Credential, d.Outcome, d.Field, d.Reason}
		bodies[i] = d.Body
		for n, u := range d.Updates {
			updates = append(updates, meant{i + 1, n, u.ID, u.Environment, u.App, u.Repository, u.Tag, u.Digest})
		}
		r.known = true
	}
	brought, err := json.Marshal(deliveries)
	if err != nil {
		return err
	}
	meant, err := json.Marshal(updates)
	if err != nil {
		return err
	}
	rows, err := s.pool.Query(ctx, call, s.moment(), string(brought), string(meant), bodies)
	if err != nil {
		return err
	}
	var place int
	var acceptedAt time.Time
	var sequence *int64
	var state gitops.State
	var reason string
	woken := make(map[string]bool)
	_, err = pgx.ForEachRow(rows, []any{&place, &acceptedAt, &sequence, &state, &reason}, func() error {
		if place < 1 || place > len(group) {
			return errAnswer
		}
		r := group[place-1]
		r.known = false
		if r.delivery.ReceivedAt.IsZero() {
			r.delivery.ReceivedAt = acceptedAt.UTC()
		}
		if sequence == nil {
			return nil
		}
		n := int(*sequence % updatesEach)
		if n >= len(r.delivery.Updates) {
			return errAnswer
		}
		u := &r.delivery.Updates[n]
		u.AcceptedAt, u.Sequence, u.State, u.Reason = acceptedAt.UTC(), *sequence, state, reason
		if state == gitops.Pending {
			woken[u.Environment] = true
		} else {
			u.SettledAt = u.AcceptedAt
		}
		return nil
	})
	if err != nil {
		return err
	}
	for environment := range woken {
		s.wakes.Wake(environment)
	}
	s.changed.Send()
	return nil
}

// stored is t as the functions take it; nil is the zero time.
func stored(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// rounded is t as it comes back from the tables.
func rounded(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

// read is a time as it comes from the tables.
func read(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
