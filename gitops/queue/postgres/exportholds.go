package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// What happened to holds in a range of numbers.
const (
	placedHolds = `SELECT h.number, h.request, hold_json(h) FROM holds h WHERE h.number > $1 AND h.number <= $2 ORDER BY h.number`
	liftedHolds = `SELECT l.number, l.hold, l.at, l.principal, l.actor, l.reason FROM lifts l WHERE l.number > $1 AND l.number <= $2 ORDER BY l.number`
)

func scanHoldEntry(row pgx.CollectableRow) (n numbered, err error) {
	var h queue.HoldEntry
	var text []byte
	if err := row.Scan(&n.number, &h.Request, &text); err != nil {
		return n, err
	}
	h.Hold, err = readHold(text)
	h.Lifted = nil // an entry of its own
	n.entry.Hold = &h
	return n, err
}

func scanLiftEntry(row pgx.CollectableRow) (n numbered, err error) {
	var l queue.LiftEntry
	var hold int64
	err = row.Scan(&n.number, &hold, &l.At, &l.Principal, &l.Actor, &l.Reason)
	l.Hold, l.At = gitops.HoldID(hold), l.At.UTC()
	n.entry.Lift = &l
	return n, err
}

func (e *export) holdsState() error {
	return e.each(`SELECT last, revision FROM holds_state`, func(row pgx.CollectableRow) (queue.Entry, error) {
		var s queue.HoldsState
		err := row.Scan(&s.Last, &s.Revision)
		return queue.Entry{Holds: &s}, err
	})
}
