package sqlite

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/listing"
)

// A list is read in two steps. Each combination of what an index begins with is
// a range that lies in the list's order; the page's row numbers are the newest
// of all ranges that the filter means. Then those rows are read. So a page costs
// the same whether much, little or nothing matches.

// pageUpdates ends a page of deliveries, however few they are: their updates are
// what takes memory.
const pageUpdates = 2 * queue.MaxUpdates

// Deliveries implements [queue.Reader]. Its cursor is the last delivery's
// number.
func (s *Store) Deliveries(ctx context.Context, f queue.DeliveryFilter, p queue.Page) (found []gitops.Delivery, next string, err error) {
	const delivery = `SELECT ` + deliveryColumns + ` FROM deliveries` + ofSender + `WHERE d.number = ?`
	before, err := listCursor(p.Cursor)
	if err != nil {
		return nil, "", err
	}
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		listed, err := deliveryNumbers(ctx, c, f, before, p.Limit+1)
		if err != nil {
			return err
		}
		var numbers []int64
		numbers, next = listed.Cut(p.Limit)
		updates := 0
		for i, number := range numbers {
			if updates >= pageUpdates {
				next = listing.Cursor(numbers[i-1])
				break
			}
			var d gitops.Delivery
			_, err := c.one(ctx, delivery, []any{number}, func(r row) { d = scanDelivery(r) })
			if err == nil && !f.Matches(d) {
				continue // of a scope
			}
			if err == nil {
				d.Updates, err = updatesOf(ctx, c, number, s.now())
			}
			if err != nil {
				return err
			}
			found = append(found, d)
			updates += len(d.Updates)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return found, next, nil
}

// deliveryNumbers returns the numbers of the newest deliveries that f means and
// that are older than before.
func deliveryNumbers(ctx context.Context, c *connection, f queue.DeliveryFilter, before int64, limit int) (listing.Part, error) {
	if f.Within != nil {
		return numbersWithin(ctx, c, f.Within, before, limit)
	}
	found, err := deliveriesListed(ctx, c, f, before, limit)
	return listing.Part{Numbers: found}, err
}

// deliveriesListed is deliveryNumbers without a scope.
func deliveriesListed(ctx context.Context, c *connection, f queue.DeliveryFilter, before int64, limit int) (found []int64, err error) {
	const all = `SELECT number FROM deliveries WHERE number < ? ORDER BY number DESC LIMIT ?`
	const listed = `SELECT number FROM deliveries INDEXED BY deliveries_listed
		WHERE source = ? AND outcome = ? AND number < ? ORDER BY number DESC LIMIT ?`
	const nextSource = `SELECT min(source) FROM deliveries INDEXED BY deliveries_listed WHERE source > ?`
	const nextOutcome = `SELECT min(outcome) FROM deliveries INDEXED BY deliveries_listed WHERE source = ? AND outcome > ?`

	if f == (queue.DeliveryFilter{}) {
		return numbersOf(ctx, c, all, before, limit)
	}
	sources, err := valuesOrAll(f.Source, func() ([]string, error) { return distinct(ctx, c, nextSource) })
	if err != nil {
		return nil, err
	}
	for _, source := range sources {
		outcomes, err := valuesOrAll(string(f.Outcome), func() ([]string, error) { return distinct(ctx, c, nextOutcome, source) })
		if err != nil {
			return nil, err
		}
		for _, outcome := range outcomes {
			numbers, err := numbersOf(ctx, c, listed, source, outcome, before, limit)
			if err != nil {
				return nil, err
			}
			found = append(found, numbers...)
		}
	}
	return newest(found, limit), nil
}

// Updates implements [queue.Reader]. Its cursor is the last update's sequence.
func (s *Store) Updates(ctx context.Context, f queue.UpdateFilter, p queue.Page) (found []gitops.Update, next string, err error) {
	before, err := listCursor(p.Cursor)
	if err != nil {
		return nil, "", err
	}
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		listed, err := updateSequences(ctx, c, f, before, p.Limit+1)
		if err != nil {
			return err
		}
		var sequences []int64
		sequences, next = listed.Cut(p.Limit)
		for _, sequence := range sequences {
			u, err := readSequence(ctx, c, sequence, s.now())
			if err != nil {
				return err
			}
			found = append(found, u)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return found, next, nil
}

// updateSequences returns the sequences of the newest updates that f means and
// that are older than before.
func updateSequences(ctx context.Context, c *connection, f queue.UpdateFilter, before int64, limit int) (found listing.Part, err error) {
	const all = `SELECT sequence FROM updates WHERE sequence < ? ORDER BY sequence DESC LIMIT ?`
	if f == (queue.UpdateFilter{}) {
		found.Numbers, err = numbersOf(ctx, c, all, before, limit)
		return found, err
	}
	for _, area := range f.Within.Within(f.Environment, f.App) {
		sequences, err := sequencesIn(ctx, c, area, f.State, before, limit)
		if err != nil {
			return listing.Part{}, err
		}
		found.Numbers = append(found.Numbers, sequences...)
	}
	if sender := f.Within.Sender(); sender != "" {
		sent, err := sequencesSent(ctx, c, sender, f, before, limit)
		if err != nil {
			return listing.Part{}, err
		}
		found = found.And(sent)
	}
	return found, nil
}

// sequencesIn is updateSequences for an area. A partial index is used only where its
// own condition stands (sqlite.org/partialindex.html).
func sequencesIn(ctx context.Context, c *connection, a queue.Area, state gitops.State, before int64, limit int) (found []int64, err error) {
	const ready = `SELECT sequence FROM updates INDEXED BY updates_ready
		WHERE environment = ? AND state = 'pending' AND ready_at IS NULL AND sequence < ? ORDER BY sequence DESC LIMIT ?`
	const blocked = `SELECT sequence FROM updates INDEXED BY updates_blocked
		WHERE environment = ? AND state = 'pending' AND blocked_kind <> '' AND sequence < ? ORDER BY sequence DESC LIMIT ?`
	const others = `SELECT sequence FROM updates INDEXED BY updates_listed
		WHERE environment = ? AND state = ? AND state <> 'pending' AND sequence < ? ORDER BY sequence DESC LIMIT ?`
	const readyOfApp = `SELECT sequence FROM updates INDEXED BY updates_ready
		WHERE environment = ? AND app = ? AND state = 'pending' AND ready_at IS NULL AND sequence < ? ORDER BY sequence DESC LIMIT ?`
	const blockedOfApp = `SELECT sequence FROM updates INDEXED BY updates_blocked_app
		WHERE environment = ? AND app = ? AND state = 'pending' AND blocked_kind <> '' AND sequence < ? ORDER BY sequence DESC LIMIT ?`
	const othersOfApp = `SELECT sequence FROM updates INDEXED BY updates_app
		WHERE environment = ? AND app = ? AND state = ? AND state <> 'pending' AND sequence < ? ORDER BY sequence DESC LIMIT ?`

	environments, err := valuesOrAll(a.Environment, func() ([]string, error) { return usedEnvironments(ctx, c) })
	if err != nil {
		return nil, err
	}
	states := []gitops.State{state}
	if state == "" {
		states = gitops.States()
	}
	for _, environment := range environments {
		for _, state := range states {
			texts, args := []string{othersOfApp}, []any{environment, a.App, string(state)}
			switch {
			case a.App == "" && state == gitops.Pending:
				texts, args = []string{ready, blocked}, args[:1]
			case a.App == "":
				texts, args = []string{others}, []any{environment, string(state)}
			case state == gitops.Pending:
				texts, args = []string{readyOfApp, blockedOfApp}, args[:2]
			}
			for _, text := range texts {
				sequences, err := numbersOf(ctx, c, text, append(slices.Clone(args), before, limit)...)
				if err != nil {
					return nil, err
				}
				found = append(found, sequences...)
			}
		}
	}
	return newest(found, limit), nil
}

// usedEnvironments are those that have had an update.
func usedEnvironments(ctx context.Context, c *connection) (found []string, err error) {
	err = c.query(ctx, `SELECT environment FROM lanes WHERE used = 1`, nil, func(r row) error {
		found = append(found, r.text(0))
		return nil
	})
	return found, err
}

// valuesOrAll is the one value that a filter names, or all.
func valuesOrAll(value string, all func() ([]string, error)) ([]string, error) {
	if value != "" {
		return []string{value}, nil
	}
	return all()
}

// distinct returns the values of an index's column. The text finds the value
// after the last of its arguments, so that it costs one search for each value,
// not one step for each row.
func distinct(ctx context.Context, c *connection, text string, args ...any) (found []string, err error) {
	last := ""
	for {
		more := false
		_, err := c.one(ctx, text, append(slices.Clone(args), last), func(r row) { last, more = r.text(0), r[0] != nil })
		if err != nil || !more {
			return found, err
		}
		found = append(found, last)
	}
}

// numbersOf returns the one column of a query.
func numbersOf(ctx context.Context, c *connection, text string, args ...any) (found []int64, err error) {
	err = c.query(ctx, text, args, func(r row) error {
		found = append(found, r.number(0))
		return nil
	})
	return found, err
}

// newest returns the highest of the numbers, at most limit, highest first.
func newest(numbers []int64, limit int) []int64 {
	slices.SortFunc(numbers, func(a, b int64) int { return cmp.Compare(b, a) })
	return numbers[:min(limit, len(numbers))]
}

// listCursor is the number that a list's page begins behind.
func listCursor(cursor string) (before int64, err error) {
	if cursor == "" {
		return math.MaxInt64, nil
	}
	return parseNumber(cursor)
}

// parseNumber reads a number as a cursor has it: in the one form that we write.
func parseNumber(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, gitops.FieldErrorf("cursor", "is invalid")
	}
	return n, nil
}
