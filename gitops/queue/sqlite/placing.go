package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Place implements [queue.Holds].
func (s *Store) Place(ctx context.Context, p queue.Placement) (placed queue.Placed, err error) {
	size := &request{updates: 1 + len(p.Holds)}
	if p.Order != nil {
		if err := checkUpdates(p.Order.Updates); err != nil {
			return queue.Placed{}, err
		}
		size.updates, size.bytes = size.updates+len(p.Order.Updates), len(p.Order.Body)
	}
	size.work = func(tx *tx) (err error) {
		placed, err = tx.place(p)
		return err
	}
	if err := s.writer.run(ctx, size); err != nil {
		return queue.Placed{}, err
	}
	return placed, nil
}

// place does all that can refuse the placement before it changes anything: what fails
// later is undone with all others of its transaction.
func (tx *tx) place(p queue.Placement) (placed queue.Placed, err error) {
	if placed, err = tx.placedBefore(p); err != nil || placed.Duplicate {
		return placed, err
	}
	if err := p.Check(tx.now); err != nil {
		return placed, err
	}
	if p.Written != "" {
		u := p.Order.Updates[0]
		if err := p.CheckWritten(tx.head(u.Environment, u.App)); err != nil {
			return placed, err
		}
	}
	if p.Order != nil {
		if err := tx.checkRoom(); err != nil {
			return placed, err
		}
	}
	if len(p.Holds) > 0 {
		if err := tx.placeHolds(p, &placed); err != nil {
			return placed, err
		}
	}
	if p.Order != nil {
		d := *p.Order
		d.DecidedAt = time.Time{}
		stored, _, err := tx.accept(d)
		if err != nil {
			return placed, err
		}
		placed.Order = &stored
	}
	return placed, tx.appendAll(p.Entries)
}

// placedBefore is what an earlier request with the same key led to, if there was one.
func (tx *tx) placedBefore(p queue.Placement) (placed queue.Placed, err error) {
	request := p.Request()
	if p.Order != nil {
		first, known, err := tx.first(*p.Order)
		if err != nil || !known {
			return placed, err
		}
		placed.Order, placed.Duplicate, request = &first, true, queue.OrderRequest(first.Key())
	}
	if placed.Holds, err = tx.holdsOfRequest(request); err != nil {
		return placed, err
	}
	placed.Duplicate = placed.Duplicate || len(placed.Holds) > 0
	return placed, nil
}

func (tx *tx) holdsOfRequest(request string) ([]gitops.Hold, error) {
	const holds = `SELECT ` + holdColumns + ` FROM holds h INDEXED BY holds_requests WHERE h.request = ? AND h.request <> '' ORDER BY h.number`
	if request == "" {
		return nil, nil
	}
	return holdsOf(context.Background(), tx.connection, holds, request)
}

// placeHolds adds the holds of a placement, each in the place of those that it replaces.
func (tx *tx) placeHolds(p queue.Placement, placed *queue.Placed) error {
	standing, err := holdsInForce(context.Background(), tx.connection, tx.now)
	if err != nil {
		return err
	}
	replaced := make([][]gitops.Hold, len(p.Holds))
	count := len(standing) + len(p.Holds)
	for i, h := range p.Holds {
		for _, other := range standing {
			if h.Replaces(other) {
				replaced[i] = append(replaced[i], other)
				count--
			}
		}
	}
	if count > queue.MaxHolds {
		return queue.ErrTooManyHolds()
	}
	for i, h := range p.Holds {
		if h, err = tx.addHold(h, p.Request()); err != nil {
			return err
		}
		for _, other := range replaced[i] {
			ended, _, err := tx.endHold(other, p.Replacing(h))
			if err != nil {
				return err
			}
			placed.Replaced = append(placed.Replaced, ended)
		}
		if err := tx.appendAll(p.HoldEntries(h, replaced[i])); err != nil {
			return err
		}
		placed.Holds = append(placed.Holds, h)
	}
	return tx.raiseRevision()
}

// addHold adds a hold to the table, and to the changes.
func (tx *tx) addHold(h gitops.Hold, request string) (gitops.Hold, error) {
	const next = `UPDATE hold_numbers SET highest = highest + 1`
	const given = `SELECT highest FROM hold_numbers`
	if err := tx.exec(next); err != nil {
		return h, err
	}
	var number int64
	if _, err := tx.one(context.Background(), given, nil, func(r row) { number = r.number(0) }); err != nil {
		return h, err
	}
	h.ID, h.Since, h.Until, h.Lifted = gitops.HoldID(number), rounded(tx.now), rounded(h.Until), nil
	args, err := holdArgs(number, h, request)
	if err == nil {
		err = tx.exec(insertHold, args...)
	}
	if err == nil {
		err = tx.holdChanged(number, false)
	}
	return h, err
}

const insertHold = `INSERT INTO holds (number, kind, environments, apps, tag, principal, actor, reason, rule, since, until,
	lifted_at, lifted_principal, lifted_actor, lifted_reason, request) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// holdArgs are what insertHold takes.
func holdArgs(number int64, h gitops.Hold, request string) ([]any, error) {
	environments, err := formatNames(h.Environments)
	if err != nil {
		return nil, err
	}
	apps, err := formatNames(h.Apps)
	if err != nil {
		return nil, err
	}
	var at, principal, actor, reason any
	if l := h.Lifted; l != nil {
		at, principal, actor, reason = stored(l.At), l.Principal, l.Actor, l.Reason
	}
	return []any{number, string(h.Kind), environments, apps, h.Tag, h.Principal, h.Actor, h.Reason, h.Rule, stored(h.Since), stored(h.Until),
		at, principal, actor, reason, request}, nil
}

// formatNames are names as the table has them: a list, also of none.
func formatNames(names []string) (string, error) {
	if len(names) == 0 {
		return "[]", nil
	}
	text, err := json.Marshal(names)
	return string(text), err
}

// holdChanged adds to the changes under the next delivery's number, which no delivery
// gets then.
func (tx *tx) holdChanged(number int64, lifted bool) error {
	const add = `INSERT INTO hold_changes (number, hold, lifted) VALUES (?, ?, ?)`
	tx.latest.delivery++
	return tx.exec(add, tx.latest.delivery, number, lifted)
}

// raiseRevision gives the holds a revision by the clock, so that a file that was put back
// to an earlier state, and goes on from there, gives none again.
func (tx *tx) raiseRevision() error {
	return tx.exec(`UPDATE hold_numbers SET revision = max(revision + 1, ?)`, tx.now.UnixMicro())
}

func (tx *tx) appendAll(entries []gitops.AuditEntry) error {
	for _, e := range entries {
		if err := tx.appendAudit(e); err != nil {
			return err
		}
	}
	return nil
}
