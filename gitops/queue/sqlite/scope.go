package sqlite

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/listing"
)

// numbersWithin returns the newest deliveries of a scope that are older than before:
// those of its sender, and those of the updates in its areas.
func numbersWithin(ctx context.Context, c *connection, within *queue.Scope, before int64, limit int) (found listing.Part, err error) {
	const sent = `SELECT number FROM deliveries INDEXED BY deliveries_sent WHERE principal = ? AND number < ? ORDER BY number DESC LIMIT ?`
	if sender := within.Sender(); sender != "" {
		numbers, err := numbersOf(ctx, c, sent, sender, before, limit)
		if err != nil {
			return listing.Part{}, err
		}
		found = listing.Range(numbers, limit)
	}
	areas := queue.UpdateFilter{Within: &queue.Scope{Areas: within.Areas}}
	sequences, err := updateSequences(ctx, c, areas, firstSequence(before), limit)
	if err != nil {
		return listing.Part{}, err
	}
	numbers := newest(sequences.Numbers, limit)
	for i := range numbers {
		numbers[i] /= sequencesEach
	}
	return found.And(listing.Range(numbers, limit)), nil
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
func sequencesSent(ctx context.Context, c *connection, sender string, f queue.UpdateFilter, before int64, limit int) (found listing.Part, err error) {
	const sent = `SELECT u.sequence, u.environment, u.app, u.state FROM deliveries d INDEXED BY deliveries_sent
		CROSS JOIN updates u ON ` + itsUpdates + `
		WHERE d.principal = ? AND d.number <= ? AND u.sequence < ? ORDER BY d.number DESC, u.sequence DESC LIMIT ?`
	var looked []int64
	err = c.query(ctx, sent, []any{sender, before / sequencesEach, before, limit}, func(r row) error {
		looked = append(looked, r.number(0))
		if f.Matches(gitops.Update{Environment: r.text(1), App: r.text(2), State: gitops.State(r.text(3))}) {
			found.Numbers = append(found.Numbers, r.number(0))
		}
		return nil
	})
	found.Floor = listing.Range(looked, limit).Floor
	return found, err
}
