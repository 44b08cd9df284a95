package sqlite

import (
	"context"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/listing"
)

// pendingLook is how many pending updates of an environment a page looks at for those
// of a sender: they have no index by sender, which accepting would pay for.
const pendingLook = 1000

// numbersWithin returns the newest deliveries of a scope that are older than before:
// those of its sender, and those of the updates in its areas.
func numbersWithin(ctx context.Context, c *connection, within *queue.Scope, before int64, limit int) (found listing.Part, err error) {
	const others = `SELECT number FROM deliveries INDEXED BY deliveries_sent
		WHERE sender = ? AND outcome <> 'accepted' AND number < ? ORDER BY number DESC LIMIT ?`
	areas := queue.UpdateFilter{Within: &queue.Scope{Areas: within.Areas}}
	inAreas, err := updateSequences(ctx, c, areas, firstSequence(before), limit)
	if err != nil {
		return listing.Part{}, err
	}
	found = deliveriesOf(listing.Range(newest(inAreas.Numbers, limit), limit))
	rejected, err := rejectedIn(ctx, c, within.Areas, before, limit)
	if err != nil {
		return listing.Part{}, err
	}
	found = found.And(rejected)
	if within.Sender() == "" {
		return found, nil
	}
	sent, err := sequencesSent(ctx, c, within.Sender(), queue.UpdateFilter{}, firstSequence(before), limit)
	if err != nil {
		return listing.Part{}, err
	}
	found = found.And(deliveriesOf(sent))
	senders, err := sendersOf(ctx, c, within.Sender())
	if err != nil {
		return listing.Part{}, err
	}
	for _, sender := range senders {
		numbers, err := numbersOf(ctx, c, others, sender, before, limit)
		if err != nil {
			return listing.Part{}, err
		}
		found = found.And(listing.Range(numbers, limit))
	}
	return found, nil
}

// rejectedIn are the rejected orders that were for an area.
func rejectedIn(ctx context.Context, c *connection, areas []queue.Area, before int64, limit int) (found listing.Part, err error) {
	const inEnvironment = `SELECT number FROM deliveries INDEXED BY deliveries_in_environment
		WHERE environment = ? AND environment <> '' AND number < ? ORDER BY number DESC LIMIT ?`
	const ofApp = `SELECT number FROM deliveries INDEXED BY deliveries_of_app
		WHERE environment = ? AND environment <> '' AND app = ? AND number < ? ORDER BY number DESC LIMIT ?`
	const nextEnvironment = `SELECT min(environment) FROM deliveries INDEXED BY deliveries_in_environment WHERE environment > ? AND environment <> ''`
	for _, area := range areas {
		environments, err := valuesOrAll(area.Environment, func() ([]string, error) { return distinct(ctx, c, nextEnvironment) })
		if err != nil {
			return listing.Part{}, err
		}
		for _, environment := range environments {
			text, args := inEnvironment, []any{environment, before, limit}
			if area.App != "" {
				text, args = ofApp, []any{environment, area.App, before, limit}
			}
			numbers, err := numbersOf(ctx, c, text, args...)
			if err != nil {
				return listing.Part{}, err
			}
			found = found.And(listing.Range(numbers, limit))
		}
	}
	return found, nil
}

// deliveriesOf are the deliveries of updates.
func deliveriesOf(updates listing.Part) listing.Part {
	for i := range updates.Numbers {
		updates.Numbers[i] /= sequencesEach
	}
	updates.Floor /= sequencesEach
	return updates
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
func sequencesSent(ctx context.Context, c *connection, principal string, f queue.UpdateFilter, before int64, limit int) (found listing.Part, err error) {
	const ended = `SELECT sequence, environment, app, state, sender FROM updates INDEXED BY updates_sent
		WHERE sender = ? AND state <> 'pending' AND sequence < ? ORDER BY sequence DESC LIMIT ?`
	const ready = `SELECT sequence, environment, app, state, sender FROM updates INDEXED BY updates_ready
		WHERE environment = ? AND state = 'pending' AND ready_at IS NULL AND sequence < ? ORDER BY sequence DESC LIMIT ?`
	const blocked = `SELECT sequence, environment, app, state, sender FROM updates INDEXED BY updates_blocked
		WHERE environment = ? AND state = 'pending' AND blocked_kind <> '' AND sequence < ? ORDER BY sequence DESC LIMIT ?`
	senders, err := sendersOf(ctx, c, principal)
	if err != nil {
		return listing.Part{}, err
	}
	look := func(text string, of any, limit int) error {
		var looked []int64
		err := c.query(ctx, text, []any{of, before, limit}, func(r row) error {
			looked = append(looked, r.number(0))
			u := gitops.Update{Environment: r.text(1), App: r.text(2), State: gitops.State(r.text(3))}
			if f.Matches(u) && slices.Contains(senders, r.number(4)) {
				found.Numbers = append(found.Numbers, r.number(0))
			}
			return nil
		})
		found.Floor = max(found.Floor, listing.Range(looked, limit).Floor)
		return err
	}
	for _, sender := range senders {
		if err := look(ended, sender, limit); err != nil {
			return listing.Part{}, err
		}
	}
	environments, err := valuesOrAll(f.Environment, func() ([]string, error) { return usedEnvironments(ctx, c) })
	if err != nil {
		return listing.Part{}, err
	}
	for _, environment := range environments {
		for _, text := range []string{ready, blocked} {
			if err := look(text, environment, max(limit, pendingLook)); err != nil {
				return listing.Part{}, err
			}
		}
	}
	return found, nil
}
