package sqlite

import (
	"cmp"
	"context"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// listed are numbers that belong on a list's next pages, in any order, from the newest
// down to a floor. Below it, what there is was not looked at; 0 is the list's end.
type listed struct {
	numbers []int64
	floor   int64
}

// and is both, down to where both were looked at.
func (l listed) and(other listed) listed {
	return listed{append(l.numbers, other.numbers...), max(l.floor, other.floor)}
}

// cut makes a page of at most limit numbers, highest first, and the cursor of the next
// one where there is more.
func (l listed) cut(limit int) (page []int64, next string) {
	slices.SortFunc(l.numbers, func(a, b int64) int { return cmp.Compare(b, a) })
	page = slices.Compact(l.numbers)
	if n, found := slices.BinarySearchFunc(page, l.floor, func(number, floor int64) int { return cmp.Compare(floor, number) }); found {
		page = page[:n+1]
	} else {
		page = page[:n]
	}
	switch {
	case len(page) > limit:
		return page[:limit], cursorOf(page[limit-1])
	case l.floor > 0:
		return page, cursorOf(l.floor)
	}
	return page, ""
}

// floorOf is the floor of a range of numbers, highest first, that ends at a limit.
func floorOf(numbers []int64, limit int) int64 {
	if len(numbers) < limit {
		return 0
	}
	return numbers[len(numbers)-1]
}

// numbersWithin returns the newest deliveries of a scope that are older than before:
// those of its sender, and those of the updates in its areas.
func numbersWithin(ctx context.Context, c *connection, within *queue.Scope, before int64, limit int) (found listed, err error) {
	const sent = `SELECT number FROM deliveries INDEXED BY deliveries_sent WHERE principal = ? AND number < ? ORDER BY number DESC LIMIT ?`
	if sender := within.Sender(); sender != "" {
		numbers, err := numbersOf(ctx, c, sent, sender, before, limit)
		if err != nil {
			return listed{}, err
		}
		found = listed{numbers, floorOf(numbers, limit)}
	}
	areas := queue.UpdateFilter{Within: &queue.Scope{Areas: within.Areas}}
	sequences, err := updateSequences(ctx, c, areas, firstSequence(before), limit)
	if err != nil {
		return listed{}, err
	}
	numbers := newest(sequences.numbers, limit)
	for i := range numbers {
		numbers[i] /= sequencesEach
	}
	return found.and(listed{numbers, floorOf(numbers, limit)}), nil
}

// firstSequence is what all sequences of the deliveries before one are below.
func firstSequence(delivery int64) int64 {
	if delivery > maxDelivery {
		return maxDelivery * sequencesEach
	}
	return delivery * sequencesEach
}

// maxDelivery is more than any delivery's number, and its sequences are numbers, too.
const maxDelivery = 1 << 46

// sequencesSent returns those of the sender's newest updates that f means.
func sequencesSent(ctx context.Context, c *connection, sender string, f queue.UpdateFilter, before int64, limit int) (found listed, err error) {
	const sent = `SELECT u.sequence, u.environment, u.app, u.state FROM deliveries d INDEXED BY deliveries_sent
		CROSS JOIN updates u ON ` + itsUpdates + `
		WHERE d.principal = ? AND d.number <= ? AND u.sequence < ? ORDER BY d.number DESC, u.sequence DESC LIMIT ?`
	var looked []int64
	err = c.query(ctx, sent, []any{sender, before / sequencesEach, before, limit}, func(r row) error {
		looked = append(looked, r.number(0))
		if f.Matches(gitops.Update{Environment: r.text(1), App: r.text(2), State: gitops.State(r.text(3))}) {
			found.numbers = append(found.numbers, r.number(0))
		}
		return nil
	})
	found.floor = floorOf(looked, limit)
	return found, err
}
