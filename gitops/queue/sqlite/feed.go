package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// feedPosition is how far somebody who follows the changes has come: the numbers
// of the last delivery, or change of a hold, and the last step. Its text is a cursor.
type feedPosition struct{ delivery, step int64 }

func (p feedPosition) cursor() string { return fmt.Sprintf("%d.%d", p.delivery, p.step) }

func parsePosition(cursor string) (p feedPosition, err error) {
	if cursor == "" {
		return feedPosition{}, nil
	}
	delivery, step, _ := strings.Cut(cursor, ".")
	if p.delivery, err = parseNumber(delivery); err == nil {
		p.step, err = parseNumber(step)
	}
	return p, err
}

// change is a [queue.Change] and what puts it in its order.
type change struct {
	queue.Change
	number        int64 // of the delivery, the change of a hold or the step
	afterDelivery int64 // a step's: the newest delivery's number when it happened
}

// Changes implements [queue.ChangeFeed]. Deliveries, with the changes of holds, and steps
// are two streams; a step comes after the delivery that was the newest when it happened,
// and before the next. Numbers are given in the order of the transactions, so
// nothing can appear before what is there.
func (s *Store) Changes(ctx context.Context, after string, limit int) (found []queue.Change, err error) {
	from, err := parsePosition(after)
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		latest, err := latestPosition(ctx, c)
		if err != nil {
			return err
		}
		if from.delivery > latest.delivery || from.step > latest.step {
			return gitops.FieldErrorf("cursor", "is invalid: the store lost its newest changes since, or is another")
		}
		deliveries, err := deliveriesAfter(ctx, c, from.delivery, limit)
		if err != nil {
			return err
		}
		holds, err := holdChangesAfter(ctx, c, from.delivery, limit)
		if err != nil {
			return err
		}
		deliveries = append(deliveries, holds...)
		slices.SortFunc(deliveries, func(a, b change) int { return cmp.Compare(a.number, b.number) })
		steps, err := stepsAfter(ctx, c, from.step, limit)
		if err != nil {
			return err
		}
		at, updates := from, 0
		for len(found) < limit && updates < pageUpdates && len(deliveries)+len(steps) > 0 {
			var next queue.Change
			if len(steps) > 0 && (len(deliveries) == 0 || steps[0].afterDelivery < deliveries[0].number) {
				next, at.step, steps = steps[0].Change, steps[0].number, steps[1:]
			} else {
				next, at.delivery, deliveries = deliveries[0].Change, deliveries[0].number, deliveries[1:]
				if next.Delivery != nil {
					if next.Delivery.Updates, err = updatesOf(ctx, c, at.delivery, s.now()); err != nil {
						return err
					}
					updates += len(next.Delivery.Updates)
				}
			}
			next.Cursor = at.cursor()
			found = append(found, next)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// deliveriesAfter are the changes that deliveries are, still without updates.
func deliveriesAfter(ctx context.Context, c *connection, number int64, limit int) (found []change, err error) {
	const deliveries = `SELECT ` + deliveryColumns + ` FROM deliveries` + ofSender + `WHERE d.number > ? ORDER BY d.number LIMIT ?`
	err = c.query(ctx, deliveries, []any{number, limit}, func(r row) error {
		d := scanDelivery(r)
		found = append(found, change{Change: queue.Change{At: d.PlannedAt(), Delivery: &d}, number: r.number(0)})
		return nil
	})
	return found, err
}

// holdChangesAfter are the changes of holds. One that was lifted later is as it was placed.
func holdChangesAfter(ctx context.Context, c *connection, number int64, limit int) (found []change, err error) {
	const changes = `SELECT hc.number, hc.lifted, ` + holdColumns + ` FROM hold_changes hc CROSS JOIN holds h ON h.number = hc.hold
		WHERE hc.number > ? ORDER BY hc.number LIMIT ?`
	err = c.query(ctx, changes, []any{number, limit}, func(r row) error {
		h, err := scanHold(r[2:])
		at := h.Since
		if r.number(1) == 0 {
			h.Lifted = nil
		} else {
			at = h.Lifted.At
		}
		found = append(found, change{Change: queue.Change{At: at, Hold: &h}, number: r.number(0)})
		return err
	})
	return found, err
}

// stepsAfter are the changes that steps are. The update is as the step left it:
// what later ones did is taken back.
func stepsAfter(ctx context.Context, c *connection, number int64, limit int) (found []change, err error) {
	const steps = `SELECT s.number, s.after_delivery, ` + stepColumns + `,
		(SELECT ifnull(sum(later.attempts), 0) FROM steps later WHERE later.sequence = s.sequence AND later.number > s.number), ` + updateColumns + `
		FROM steps s CROSS JOIN updates u ON u.sequence = s.sequence` + joins + `WHERE s.number > ? ORDER BY s.number LIMIT ?`
	err = c.query(ctx, steps, []any{number, limit}, func(r row) error {
		step := scanStep(r[2:])
		u, err := scanUpdate(r[2+stepWidth+1:], asStored)
		u = u.AsOf(step, int(r.number(2+stepWidth)))
		found = append(found, change{Change: queue.Change{At: step.At, Update: &u, Rollout: step.Rollout != ""}, number: r.number(0), afterDelivery: r.number(1)})
		return err
	})
	return found, err
}

// Latest implements [queue.ChangeFeed].
func (s *Store) Latest(ctx context.Context) (cursor string, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		p, err := latestPosition(ctx, c)
		cursor = p.cursor()
		return err
	})
	if err != nil {
		return "", err
	}
	return cursor, nil
}

// latestPosition returns the highest numbers that were ever given.
func latestPosition(ctx context.Context, c *connection) (p feedPosition, err error) {
	const highest = `SELECT
		max(ifnull((SELECT max(number) FROM deliveries), 0), ifnull((SELECT max(sequence) / 65536 FROM audit), 0), ifnull((SELECT max(number) FROM hold_changes), 0), ifnull((SELECT highest FROM numbers WHERE name = 'deliveries'), 0)),
		max(ifnull((SELECT max(number) FROM steps), 0), ifnull((SELECT highest FROM numbers WHERE name = 'steps'), 0))`
	_, err = c.one(ctx, highest, nil, func(r row) { p = feedPosition{r.number(0), r.number(1)} })
	return p, err
}

// Changed implements [queue.ChangeFeed].
func (s *Store) Changed() <-chan struct{} { return s.changed.Next() }
