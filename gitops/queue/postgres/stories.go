package postgres

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// A list is read from the ranges of an index that lie in the list's order: one for
// each combination of what the index begins with. So a page costs the same whether
// much, little or nothing matches.

// Deliveries implements [queue.Stories]. Its cursor is the last delivery's
// number.
func (s *Store) Deliveries(ctx context.Context, f queue.DeliveryFilter, p queue.Page) (found []gitops.Delivery, next string, err error) {
	const all = `SELECT ` + deliveryColumns + ` FROM deliveries d WHERE d.number < $1 ORDER BY d.number DESC LIMIT $2`
	// The sources that there are: each is found behind the one before, which costs a
	// search for each, not a step for each delivery.
	const listed = `WITH RECURSIVE sources AS (
			SELECT CASE $3 WHEN '' THEN (SELECT min(source) FROM deliveries) ELSE $3 END AS source
			UNION ALL
			SELECT (SELECT min(d.source) FROM deliveries d WHERE d.source > s.source) FROM sources s WHERE s.source IS NOT NULL AND $3 = ''
		)
		SELECT ` + deliveryColumns + ` FROM (
			SELECT ranged.number FROM sources s CROSS JOIN unnest($4::text[]) AS o CROSS JOIN LATERAL (
				SELECT d.number FROM deliveries d WHERE d.source = s.source AND d.outcome = o AND d.number < $1 ORDER BY d.number DESC LIMIT $2
			) AS ranged ORDER BY ranged.number DESC LIMIT $2
		) AS page JOIN deliveries d ON d.number = page.number ORDER BY d.number DESC`
	before, err := listCursor(p.Cursor)
	if err != nil {
		return nil, "", err
	}
	text, args := all, []any{before, p.Limit + 1}
	if f != (queue.DeliveryFilter{}) {
		outcomes := []gitops.Outcome{f.Outcome}
		if f.Outcome == "" {
			outcomes = []gitops.Outcome{gitops.OutcomeAccepted, gitops.OutcomeIgnored, gitops.OutcomeRejected}
		}
		text, args = listed, append(args, clean(f.Source), texts(outcomes))
	}
	err = s.view(ctx, func(ctx context.Context, tx pgx.Tx) error {
		page, err := rows(ctx, tx, text, args, func(row pgx.CollectableRow) (d deliveryRow, err error) { return d, row.Scan(d.into()...) })
		if err != nil {
			return err
		}
		if len(page) > p.Limit {
			page = page[:p.Limit]
			next = strconv.FormatInt(page[p.Limit-1].number, 10)
		}
		found, err = withUpdates(ctx, tx, page)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return found, next, nil
}

// withUpdates are the deliveries with their updates.
func withUpdates(ctx context.Context, on asker, page []deliveryRow) ([]gitops.Delivery, error) {
	numbers := make([]int64, len(page))
	for i := range page {
		numbers[i] = page[i].number
	}
	byDelivery, err := updatesOf(ctx, on, numbers)
	if err != nil {
		return nil, err
	}
	found := make([]gitops.Delivery, len(page))
	for i := range page {
		found[i] = page[i].delivery()
		found[i].Updates = byDelivery[page[i].number]
	}
	return found, nil
}

// Updates implements [queue.Stories]. Its cursor is the last update's sequence.
func (s *Store) Updates(ctx context.Context, f queue.UpdateFilter, p queue.Page) (found []gitops.Update, next string, err error) {
	const columns = `SELECT ` + updateColumns + ` FROM `
	const all = columns + `updates u` + joins + `WHERE u.sequence < $1 ORDER BY u.sequence DESC LIMIT $2`
	const environments = ` FROM (SELECT b.environment FROM backlogs b WHERE $3 = '' OR b.environment = $3) AS e CROSS JOIN unnest($4::text[]) AS wanted
		CROSS JOIN LATERAL (SELECT u.sequence FROM updates u WHERE u.environment = e.environment AND u.state = wanted `
	const page = `AND u.sequence < $1 ORDER BY u.sequence DESC LIMIT $2) AS ranged ORDER BY ranged.sequence DESC LIMIT $2
		) AS page JOIN updates u ON u.sequence = page.sequence` + joins + `ORDER BY u.sequence DESC`
	const listed = columns + `(SELECT ranged.sequence` + environments + page
	const listedApp = columns + `(SELECT ranged.sequence` + environments + `AND u.app = $5 ` + page
	before, err := listCursor(p.Cursor)
	if err != nil {
		return nil, "", err
	}
	text, args := all, []any{before, p.Limit + 1}
	if f != (queue.UpdateFilter{}) {
		states := []gitops.State{f.State}
		if f.State == "" {
			states = gitops.States()
		}
		text, args = listed, append(args, clean(f.Environment), texts(states))
	}
	if f.App != "" {
		text, args = listedApp, append(args, clean(f.App))
	}
	err = s.read(ctx, func(ctx context.Context) error {
		found, err = updates(ctx, s.pool, text, args...)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	if len(found) > p.Limit {
		found = found[:p.Limit]
		next = strconv.FormatInt(found[p.Limit-1].Sequence, 10)
	}
	return found, next, nil
}

// Changes implements [queue.Stories]. Its cursor is the number of the last
// delivery or step. Both come from the counter, in the order in which they were
// committed, so nothing can appear before what is there.
func (s *Store) Changes(ctx context.Context, after string, limit int) (found []queue.Change, err error) {
	const deliveries = `SELECT ` + deliveryColumns + ` FROM deliveries d WHERE d.number > $1 ORDER BY d.number LIMIT $2`
	const steps = `SELECT s.number, ` + stepColumns + `,
		(SELECT coalesce(sum(later.attempts), 0) FROM steps later WHERE later.sequence = s.sequence AND later.number > s.number), ` + updateColumns + `
		FROM steps s JOIN updates u ON u.sequence = s.sequence` + joins + `WHERE s.number > $1 ORDER BY s.number LIMIT $2`
	number := int64(0)
	if after != "" {
		if number, err = position(after); err != nil {
			return nil, err
		}
	}
	err = s.view(ctx, func(ctx context.Context, tx pgx.Tx) error {
		arrived, err := rows(ctx, tx, deliveries, []any{number, limit}, func(row pgx.CollectableRow) (d deliveryRow, err error) { return d, row.Scan(d.into()...) })
		if err != nil {
			return err
		}
		went, err := rows(ctx, tx, steps, []any{number, limit}, scanWent)
		if err != nil {
			return err
		}
		found, err = merged(ctx, tx, arrived, went, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// went is a step as a change.
type went struct {
	number int64
	queue.Change
}

// scanWent reads a step. The update is as the step left it: what later ones did is
// taken back.
func scanWent(row pgx.CollectableRow) (w went, err error) {
	var step stepRow
	var u updateRow
	var later int
	into := append([]any{&w.number}, step.into()...)
	if err := row.Scan(append(append(into, &later), u.into()...)...); err != nil {
		return w, err
	}
	s, left := step.step(), u.update()
	left.State, left.Code, left.Reason, left.Commit = s.State, s.Code, s.Reason, s.Commit
	left.Attempts -= later
	left.SettledAt, left.MaybePushed = s.At, false
	if !left.State.Settled() {
		left.SettledAt = time.Time{}
	}
	w.Change = queue.Change{At: s.At, Update: &left}
	return w, nil
}

// merged puts deliveries and steps in their one order.
func merged(ctx context.Context, on asker, arrived []deliveryRow, steps []went, limit int) (found []queue.Change, err error) {
	deliveries, err := withUpdates(ctx, on, arrived)
	if err != nil {
		return nil, err
	}
	for len(found) < limit && len(deliveries)+len(steps) > 0 {
		var number int64
		var next queue.Change
		if len(deliveries) == 0 || len(steps) > 0 && steps[0].number < arrived[0].number {
			number, next, steps = steps[0].number, steps[0].Change, steps[1:]
		} else {
			number, next = arrived[0].number, queue.Change{At: deliveries[0].ReceivedAt, Delivery: &deliveries[0]}
			arrived, deliveries = arrived[1:], deliveries[1:]
		}
		next.Cursor = strconv.FormatInt(number, 10)
		found = append(found, next)
	}
	return found, nil
}

// Latest implements [queue.Stories].
func (s *Store) Latest(ctx context.Context) (cursor string, err error) {
	var number int64
	err = s.call(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, `SELECT number FROM counter`).Scan(&number)
	})
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(number, 10), nil
}

// Changed implements [queue.Stories].
func (s *Store) Changed() <-chan struct{} { return s.changed.Next() }

// listCursor is the number that a list's page begins behind.
func listCursor(cursor string) (before int64, err error) {
	if cursor == "" {
		return math.MaxInt64, nil
	}
	return position(cursor)
}

// position reads a number as a cursor has it: in the one form that we write.
func position(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, gitops.FieldErrorf("cursor", "is none that was given out")
	}
	return n, nil
}

// texts are values of a closed set as the server takes them.
func texts[T ~string](values []T) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = clean(string(v))
	}
	return all
}
