package postgres

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Changes implements [queue.ChangeFeed]. Its cursor is the number of the last
// delivery, step or change of a hold. All come from the counter, in the order in which they were
// committed, so nothing can appear before what is there.
func (s *Store) Changes(ctx context.Context, after string, limit int) (found []queue.Change, err error) {
	const deliveries = `SELECT ` + deliveryColumns + ` FROM deliveries d WHERE d.number > $1 ORDER BY d.number LIMIT $2`
	const steps = `SELECT page.number, ` + stepColumns + `,
		(SELECT coalesce(sum(later.attempts), 0) FROM steps later WHERE later.sequence = page.sequence AND later.number + 0 > page.number), ` + updateColumns + `
		FROM (SELECT * FROM steps WHERE number > $1 ORDER BY number LIMIT $2) AS page` + recordsOfPage + ` ORDER BY page.number`
	number := int64(0)
	if after != "" {
		if number, err = position(after); err != nil {
			return nil, err
		}
	}
	err = s.view(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var highest int64
		if err := tx.QueryRow(ctx, `SELECT last_value FROM counter`).Scan(&highest); err != nil {
			return err
		}
		if number > highest {
			// A standby that took over had not heard of it: what comes next has numbers below.
			return gitops.FieldErrorf("cursor", "is invalid: it is newer than all changes")
		}
		arrived, err := rows(ctx, tx, deliveries, []any{number, limit}, scanDelivery)
		if err != nil {
			return err
		}
		changes, err := rows(ctx, tx, steps, []any{number, limit}, scanStepChange)
		if err != nil {
			return err
		}
		held, err := rows(ctx, tx, holdChanges+` ORDER BY c.number LIMIT $2`, []any{number, limit}, scanHoldChange)
		if err != nil {
			return err
		}
		changes = append(changes, held...)
		slices.SortFunc(changes, func(a, b numberedChange) int { return cmp.Compare(a.number, b.number) })
		if bounded := boundedPage(arrived); len(bounded) < len(arrived) {
			arrived = bounded
			last := arrived[len(arrived)-1].number
			changes = slices.DeleteFunc(changes, func(c numberedChange) bool { return c.number > last })
		}
		found, err = s.inOneOrder(ctx, tx, arrived, changes, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// numberedChange is a step, or a change of a hold, and its place among all that happened.
type numberedChange struct {
	number int64
	queue.Change
}

// scanStepChange reads a step. The update is as the step left it: what later ones did is
// taken back.
func scanStepChange(row pgx.CollectableRow) (c numberedChange, err error) {
	var step stepRow
	var u updateRow
	var later int
	into := append([]any{&c.number}, step.into()...)
	if err := row.Scan(append(append(into, &later), u.into()...)...); err != nil {
		return c, err
	}
	left, err := u.update(u.readAt)
	if err != nil {
		return c, err
	}
	st := step.step()
	left = left.AsOf(st, later)
	c.Change = queue.Change{At: st.At, Update: &left, Rollout: st.Rollout != ""}
	return c, nil
}

// holdChanges are the numbers of what happened to holds since one, each with the hold as
// it was placed, or with its lift.
const holdChanges = `SELECT c.number, c.lift, hold_json(h) FROM (
		(SELECT number, id AS hold, false AS lift FROM holds WHERE number > $1 ORDER BY number LIMIT $2)
		UNION ALL (SELECT number, hold, true FROM lifts WHERE number > $1 ORDER BY number LIMIT $2)
	) AS c CROSS JOIN LATERAL (SELECT * FROM holds WHERE id = c.hold LIMIT 1) AS h`

func scanHoldChange(row pgx.CollectableRow) (c numberedChange, err error) {
	var lift bool
	var text []byte
	if err := row.Scan(&c.number, &lift, &text); err != nil {
		return c, err
	}
	h, err := readHold(text)
	if err != nil {
		return c, err
	}
	c.At, c.Hold = h.Since, &h
	if lift {
		c.At = h.Lifted.At
	} else {
		h.Lifted = nil // as the change left it
	}
	return c, nil
}

// inOneOrder puts deliveries and what else happened in their one order.
func (s *Store) inOneOrder(ctx context.Context, on querier, arrived []deliveryRow, others []numberedChange, limit int) (found []queue.Change, err error) {
	deliveries, err := s.withUpdates(ctx, on, arrived)
	if err != nil {
		return nil, err
	}
	for len(found) < limit && len(deliveries)+len(others) > 0 {
		var number int64
		var next queue.Change
		if len(deliveries) == 0 || len(others) > 0 && others[0].number < arrived[0].number {
			number, next, others = others[0].number, others[0].Change, others[1:]
		} else {
			number, next = arrived[0].number, queue.Change{At: deliveries[0].PlannedAt(), Delivery: &deliveries[0]}
			arrived, deliveries = arrived[1:], deliveries[1:]
		}
		next.Cursor = strconv.FormatInt(number, 10)
		found = append(found, next)
	}
	return found, nil
}

// Latest implements [queue.ChangeFeed]. It does not ask the counter, which has given
// out numbers that are not committed yet.
func (s *Store) Latest(ctx context.Context) (cursor string, err error) {
	const latest = `SELECT coalesce(greatest((SELECT max(number) FROM deliveries), (SELECT max(number) FROM steps), (SELECT max(number) FROM holds), (SELECT max(number) FROM lifts)), 0)`
	var number int64
	err = s.read(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, latest).Scan(&number)
	})
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(number, 10), nil
}

// Changed implements [queue.ChangeFeed].
func (s *Store) Changed() <-chan struct{} { return s.hints.changed.Next() }
