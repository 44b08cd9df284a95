package postgres

import (
	"context"
	"math"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// A list is read from the ranges of an index that lie in the list's order: one for
// each combination of what the index begins with. So a page costs the same whether
// much, little or nothing matches.

// Deliveries implements [queue.Reader]. Its cursor is the last delivery's
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
				SELECT d.number FROM deliveries d WHERE d.source = s.source AND d.outcome = o AND d.number + 0 < $1 ORDER BY d.number + 0 DESC LIMIT $2
			) AS ranged ORDER BY ranged.number DESC LIMIT $2
		) AS page CROSS JOIN LATERAL (SELECT * FROM deliveries WHERE number = page.number LIMIT 1) AS d ORDER BY d.number DESC`
	before, err := listCursor(p.Cursor)
	if err != nil {
		return nil, "", err
	}
	text, args := all, []any{before, p.Limit + 1}
	if f != (queue.DeliveryFilter{}) {
		outcomes := []gitops.Outcome{f.Outcome}
		if f.Outcome == "" {
			outcomes = gitops.Outcomes()
		}
		text, args = listed, append(args, clean(f.Source), texts(outcomes))
	}
	err = s.view(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if f.Within != nil {
			page, more, err := s.deliveriesWithin(ctx, tx, f, before, p.Limit)
			if err == nil {
				next = more
				found, err = s.withUpdates(ctx, tx, page)
			}
			return err
		}
		page, err := rows(ctx, tx, text, args, scanDelivery)
		if err != nil {
			return err
		}
		bounded := boundedPage(page[:min(p.Limit, len(page))])
		if len(bounded) < len(page) {
			next = strconv.FormatInt(bounded[len(bounded)-1].number, 10)
		}
		found, err = s.withUpdates(ctx, tx, bounded)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return found, next, nil
}

// Updates implements [queue.Reader]. Its cursor is the last update's sequence.
func (s *Store) Updates(ctx context.Context, f queue.UpdateFilter, p queue.Page) (found []gitops.Update, next string, err error) {
	const all = `(SELECT sequence FROM updates WHERE sequence < $1 ORDER BY sequence DESC LIMIT $2) AS page`
	const environments = `(SELECT ranged.sequence FROM environments($3) AS e (environment) CROSS JOIN unnest($4::text[]) AS o CROSS JOIN LATERAL (`
	const newest = `) AS ranged ORDER BY ranged.sequence DESC LIMIT $2) AS page`
	const inOrder = `AND u.sequence + 0 < $1 ORDER BY u.sequence + 0 DESC LIMIT $2`
	const listed = environments + `SELECT u.sequence FROM updates u WHERE u.environment = e.environment AND u.state = o ` + inOrder + newest
	const listedApp = environments + `SELECT u.sequence FROM updates u WHERE u.environment = e.environment AND u.app = $5 AND u.state = o ` + inOrder + newest
	before, err := listCursor(p.Cursor)
	if err != nil {
		return nil, "", err
	}
	if f.Within != nil {
		return s.updatesWithin(ctx, f, p, before)
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
		found, err = s.updates(ctx, s.pool, `SELECT `+updateColumns+` FROM `+text+recordsOfPage+` ORDER BY u.sequence DESC`, args...)
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
		return 0, gitops.FieldErrorf("cursor", "is invalid")
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
