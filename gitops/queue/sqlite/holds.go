package sqlite

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/listing"
)

// holdColumns are what scanHold reads; h is a hold.
const holdColumns = `h.number, h.kind, h.environments, h.apps, h.tag, h.principal, h.actor, h.reason, h.rule, h.since, h.until,
	h.lifted_at, h.lifted_principal, h.lifted_actor, h.lifted_reason`

func scanHold(r row) (h gitops.Hold, err error) {
	h = gitops.Hold{
		ID: gitops.HoldID(r.number(0)), Kind: gitops.HoldKind(r.text(1)), Tag: r.text(4), Principal: r.text(5), Actor: r.text(6),
		Reason: r.text(7), Rule: r.text(8), Since: r.time(9), Until: r.time(10),
	}
	if r[11] != nil {
		h.Lifted = &gitops.Lift{At: r.time(11), Principal: r.text(12), Actor: r.text(13), Reason: r.text(14)}
	}
	if err = json.Unmarshal([]byte(r.text(2)), &h.Environments); err == nil {
		err = json.Unmarshal([]byte(r.text(3)), &h.Apps)
	}
	return h, err
}

// holdsOf returns the holds of a query that gives holdColumns.
func holdsOf(ctx context.Context, c *connection, text string, args ...any) (found []gitops.Hold, err error) {
	err = c.query(ctx, text, args, func(r row) error {
		h, err := scanHold(r)
		found = append(found, h)
		return err
	})
	return found, err
}

// inForce says of the hold h that it is in force at a time.
const inForce = `h.lifted_at IS NULL AND ifnull(h.until, 9223372036854775807) > ?`

// HoldsInForce implements [queue.Holds].
func (s *Store) HoldsInForce(ctx context.Context) (held queue.InForce, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) (err error) {
		held.At = rounded(s.now())
		if held.Holds, err = holdsInForce(ctx, c, held.At); err == nil {
			held.Revision, err = revision(ctx, c)
		}
		return err
	})
	if err != nil {
		return queue.InForce{}, err
	}
	return held, nil
}

// holdsInForce returns what is in force at a time, in the order of ids.
func holdsInForce(ctx context.Context, c *connection, at time.Time) ([]gitops.Hold, error) {
	const holds = `SELECT ` + holdColumns + ` FROM holds h INDEXED BY holds_in_force WHERE ` + inForce
	found, err := holdsOf(ctx, c, holds, at.UnixMicro())
	slices.SortFunc(found, byNumber)
	return found, err
}

// byNumber is the order of ids.
func byNumber(a, b gitops.Hold) int {
	first, _ := gitops.ParseHoldID(a.ID)
	second, _ := gitops.ParseHoldID(b.ID)
	return cmp.Compare(first, second)
}

// HoldsRevision implements [queue.Holds].
func (s *Store) HoldsRevision(ctx context.Context) (number int64, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		number, err = revision(ctx, c)
		return err
	})
	return number, err
}

func revision(ctx context.Context, c *connection) (number int64, err error) {
	_, err = c.one(ctx, `SELECT revision FROM hold_numbers`, nil, func(r row) { number = r.number(0) })
	return number, err
}

// holdsLook is how many holds a page looks at.
const holdsLook = 1000

// HoldsListed implements [queue.Holds]. Its cursor is the last hold's number.
func (s *Store) HoldsListed(ctx context.Context, f queue.HoldFilter, p queue.Page) (found []gitops.Hold, next string, err error) {
	before, err := listCursor(p.Cursor)
	if err != nil {
		return nil, "", err
	}
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		now := rounded(s.now())
		look := max(p.Limit+1, holdsLook)
		numbers, err := holdNumbers(ctx, c, f.Ended, now, before, look+1)
		if err != nil {
			return err
		}
		var listed listing.Part
		listed.Numbers = numbers
		numbers, next = listed.Cut(look)
		for _, number := range numbers {
			h, err := readHold(ctx, c, number)
			switch {
			case err != nil:
				return err
			case !f.Matches(h, now):
				continue
			case len(found) == p.Limit:
				last, _ := gitops.ParseHoldID(found[p.Limit-1].ID)
				next = listing.Cursor(last)
				return nil
			}
			found = append(found, h)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return found, next, nil
}

// holdNumbers returns the numbers of the newest holds before one, with those that have
// ended or without.
func holdNumbers(ctx context.Context, c *connection, ended bool, now time.Time, before int64, limit int) ([]int64, error) {
	const all = `SELECT number FROM holds WHERE number < ? ORDER BY number DESC LIMIT ?`
	const holding = `SELECT h.number FROM holds h INDEXED BY holds_in_force WHERE ` + inForce + ` AND h.number < ?`
	if ended {
		return numbersOf(ctx, c, all, before, limit)
	}
	numbers, err := numbersOf(ctx, c, holding, now.UnixMicro(), before)
	return newest(numbers, limit), err
}

func readHold(ctx context.Context, c *connection, number int64) (h gitops.Hold, err error) {
	const hold = `SELECT ` + holdColumns + ` FROM holds h WHERE h.number = ?`
	found, err := holdsOf(ctx, c, hold, number)
	if err == nil && len(found) == 0 {
		err = queue.ErrNoHold(gitops.HoldID(number))
	}
	if err != nil {
		return gitops.Hold{}, err
	}
	return found[0], nil
}
