package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// updateColumns are what scanUpdate reads; u is an update, d its delivery, l its lane
// and sent its sender.
const updateColumns = `u.id, d.source, d.id, sent.actor, u.environment, u.app, u.repository, u.tag, u.digest, u.state,
	u.code, u.reason, u.object, u.attempts, u.accepted_at, u.finished_at, u.sequence,
	u.state IN ('pending', 'proposed') AND u.sequence <= l.maybe_pushed_through,
	ifnull(d.decided_at, d.received_at), d.event_time, d.recovered OR d.decided_at IS NOT NULL, u.retried_at, u.cancel_actor, u.cancel_reason, u.blocked_by, u.only_up, u.rule,
	u.terms, sent.principal, u.found_digest, u.found_at, u.found_named, u.revision, u.proposal, u.rollout`

// joins are the tables of updateColumns beside the updates. CROSS keeps the order
// of the joins, which is the one that reads the fewest rows
// (sqlite.org/optoverview.html#crossjoin).
const joins = ` CROSS JOIN deliveries d ON d.number = u.sequence / 65536 CROSS JOIN lanes l ON l.environment = u.environment
	CROSS JOIN senders sent ON sent.number = u.sender `

// joined are they behind the table's name.
const joined = ` u` + joins

// asStored is the time for a reader that wants blocks that have lifted, too.
var asStored time.Time

// scanUpdate reads an update as it stands at a time: without blocks that have
// lifted.
func scanUpdate(r row, at time.Time) (gitops.Update, error) {
	u := gitops.Update{
		ID:       r.id(0),
		Delivery: gitops.DeliveryKey{Source: r.text(1), ID: r.text(2)}, Actor: r.text(3),
		Environment: r.text(4), App: r.text(5), Repository: r.text(6), Tag: r.text(7), Digest: r.text(8),
		State: gitops.State(r.text(9)), Code: gitops.Code(r.text(10)), Reason: r.text(11), Commit: r.text(12),
		Attempts: int(r.number(13)), AcceptedAt: r.time(14), FinishedAt: r.time(15),
		Sequence: r.number(16), MaybePushed: r.number(17) != 0, Recovered: r.number(20) != 0, RetriedAt: r.time(21),
		OnlyUp: r.number(25) != 0, Rule: r.text(26), Principal: r.text(28), Revision: r.text(32),
	}
	if m := (gitops.EventMoment{Event: r.time(19), Receipt: receipt(r.time(18), u.AcceptedAt)}); m.Dated() {
		u.EventTime = m.Event
	}
	if r[23] != nil {
		u.CancelRequest = &gitops.CancelRequest{Actor: r.text(22), Reason: r.text(23)}
	}
	if r[29] != nil {
		u.Found = &gitops.Found{Digest: r.text(29), At: r.time(30), Named: r.number(31) != 0}
	}
	blocks, err := parseBlocks(r.text(24))
	if err != nil {
		return u, err
	}
	u.BlockedBy = blocking(blocks, at)
	if u.Terms, err = parseTerms(r.text(27)); err == nil {
		u.Proposal, err = parseProposal(r.text(33))
	}
	if err == nil {
		u.Rollout, err = parseRollout(r.text(34))
	}
	return u, err
}

// keptTerms are the terms as they come back from the table, sharing nothing with t.
func keptTerms(t *gitops.Terms) *gitops.Terms {
	kept := t.Clone()
	if kept != nil {
		kept.PinUntil = rounded(kept.PinUntil)
	}
	return kept
}

// formatTerms are the terms as the table has them: NULL for none.
func formatTerms(t *gitops.Terms) (any, error) {
	if t == nil {
		return nil, nil
	}
	text, err := json.Marshal(keptTerms(t))
	return string(text), err
}

func parseTerms(text string) (t *gitops.Terms, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &t)
	}
	return t, err
}

// blocking are those of the blocks that have not lifted at a time.
func blocking(blocks []gitops.Block, at time.Time) (left []gitops.Block) {
	for _, b := range blocks {
		if b.Until.IsZero() || b.Until.After(at) {
			left = append(left, b)
		}
	}
	return left
}

// parseBlocks reads a list of blocks as the table has it.
func parseBlocks(text string) (blocks []gitops.Block, err error) {
	if text == "" {
		return nil, nil
	}
	err = json.Unmarshal([]byte(text), &blocks)
	return blocks, err
}

// formatBlocks is the list as the table has it.
func formatBlocks(blocks []gitops.Block) (string, error) {
	if len(blocks) == 0 {
		return "", nil
	}
	text, err := json.Marshal(blocks)
	return string(text), err
}

// ofSender follows the table of the delivery d.
const ofSender = ` d CROSS JOIN senders sent ON sent.number = d.sender `

// deliveryColumns are what scanDelivery reads, so many as deliveryWidth; d is a
// delivery, and sent its sender.
const deliveryColumns = `d.number, d.source, d.id, d.received_at, d.event_time, sent.actor, d.remote, d.recovered, d.credential, d.outcome, d.field, d.reason,
	sent.principal, sent.config, d.body_digest, d.environment, d.app, d.event, d.decided_at`

const deliveryWidth = 19

// scanDelivery reads a delivery without its body and updates.
func scanDelivery(r row) gitops.Delivery {
	return gitops.Delivery{
		Source: r.text(1), ID: r.text(2), ReceivedAt: r.time(3), EventTime: r.time(4), Actor: r.text(5), Remote: r.text(6),
		Recovered: r.number(7) != 0, Credential: r.text(8), Outcome: gitops.Outcome(r.text(9)), Field: r.text(10), Reason: r.text(11),
		Principal: r.text(12), Config: r.text(13), BodyDigest: r.blob(14), Environment: r.text(15), App: r.text(16),
		Event: r.blob(17), DecidedAt: r.time(18),
	}
}

// Delivery implements [queue.Reader].
func (s *Store) Delivery(ctx context.Context, key gitops.DeliveryKey) (d gitops.Delivery, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		d, err = readDelivery(ctx, c, key, s.now())
		return err
	})
	return d, err
}

func readDelivery(ctx context.Context, c *connection, key gitops.DeliveryKey, at time.Time) (d gitops.Delivery, err error) {
	const delivery = `SELECT ` + deliveryColumns + `, b.body
		FROM deliveries` + ofSender + `CROSS JOIN bodies b ON b.delivery = d.number WHERE d.prefix = ? AND d.source = ? AND d.id = ?`
	var number int64
	found, err := c.one(ctx, delivery, []any{prefixOf(key), key.Source, key.ID}, func(r row) {
		number, d = r.number(0), scanDelivery(r)
		d.Body = r.bytes(deliveryWidth)
	})
	if err == nil && !found {
		err = gitops.Errorf(gitops.NotFound, "there is no delivery %s", key)
	}
	if err == nil {
		d.Updates, err = updatesOf(ctx, c, number, at)
	}
	if err != nil {
		return gitops.Delivery{}, err
	}
	return d, nil
}

// updatesOf returns the updates of the delivery with this number, as they were
// planned.
func updatesOf(ctx context.Context, c *connection, number int64, at time.Time) ([]gitops.Update, error) {
	const updates = `SELECT ` + updateColumns + ` FROM updates` + joined + `WHERE u.sequence BETWEEN ? AND ? ORDER BY u.sequence`
	found := []gitops.Update{}
	err := c.query(ctx, updates, []any{number * sequencesEach, number*sequencesEach + sequencesEach - 1}, func(r row) error {
		u, err := scanUpdate(r, at)
		found = append(found, u)
		return err
	})
	return found, err
}

// Update implements [queue.Reader].
func (s *Store) Update(ctx context.Context, id string) (u gitops.Update, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		u, err = readUpdate(ctx, c, id, s.now())
		return err
	})
	return u, err
}

// readUpdate returns an update with its steps.
func readUpdate(ctx context.Context, c *connection, id string, at time.Time) (gitops.Update, error) {
	u, err := readRow(ctx, c, id, at)
	if err == nil {
		u.Steps, err = stepsOf(ctx, c, u.Sequence)
	}
	if err != nil {
		return gitops.Update{}, err
	}
	return u, nil
}

// Backlogs implements [queue.Reader].
func (s *Store) Backlogs(ctx context.Context) (found []queue.Backlog, err error) {
	const backlogs = `SELECT l.environment, (SELECT u.accepted_at FROM updates u WHERE u.sequence =
			(SELECT min(sequence) FROM updates WHERE environment = l.environment AND state = 'pending' AND ready_at IS NULL)),
		(SELECT ifnull(opened_at, accepted_at) FROM updates INDEXED BY updates_proposed
			WHERE environment = l.environment AND state = 'proposed' ORDER BY ifnull(opened_at, accepted_at) LIMIT 1),
		(SELECT holder FROM leases WHERE name = l.environment AND state = 'held'), ` + laneColumns + ` FROM lanes l WHERE l.used = 1`
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		counted := s.counts.now()
		return c.query(ctx, backlogs, nil, func(r row) error {
			b := scanLane(r[4:])
			b.Environment, b.Oldest, b.OldestProposed, b.Holder = r.text(0), r.time(1), r.time(2), r.text(3)
			b.Pending, b.Proposed = int(counted[waiting{environment: b.Environment}]), int(counted[waiting{b.Environment, proposed}])
			// A count and its time were looked up a moment apart; of a lane that was or
			// became empty between, both say so.
			if b.Pending == 0 || b.Oldest.IsZero() {
				b.Pending, b.Oldest = 0, time.Time{}
			}
			if b.Proposed == 0 || b.OldestProposed.IsZero() {
				b.Proposed, b.OldestProposed = 0, time.Time{}
			}
			for _, kind := range gitops.BlockKinds() {
				if n := counted[waiting{b.Environment, kind}]; n > 0 {
					if b.Held == nil {
						b.Held = make(map[gitops.BlockKind]int)
					}
					b.Held[kind] = int(n)
				}
			}
			found = append(found, b)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// laneColumns are what scanLane reads; l is a lane.
const laneColumns = `l.last_progress, l.last_success, l.outage_since, l.outage_retry_at, l.outage_code, l.outage_reason, l.outage_repository`

// scanLane reads what a lane's row says of its backlog.
func scanLane(r row) queue.Backlog {
	b := queue.Backlog{LastProgress: r.time(0), LastSuccess: r.time(1), OutageSince: r.time(2)}
	if !b.OutageSince.IsZero() {
		b.Outage = &queue.Outage{RetryAt: r.time(3), Code: gitops.Code(r.text(4)), Reason: r.text(5), Repository: r.text(6)}
	}
	return b
}
