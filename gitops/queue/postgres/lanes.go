package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Ready implements [queue.Lanes].
func (s *Store) Ready(ctx context.Context, environments []string) (found []string, err error) {
	const lanes = `SELECT e.place FROM unnest($2::text[]) WITH ORDINALITY AS e (name, place)
		WHERE EXISTS (SELECT FROM ready(e.name, coalesce($1, clock_timestamp()), 1))
		OR EXISTS (SELECT FROM updates u WHERE u.environment = e.name AND u.cancel_actor IS NOT NULL) ORDER BY e.place`
	err = s.read(ctx, func(ctx context.Context) error {
		places, err := rows(ctx, s.pool, lanes, []any{s.nowArg(), texts(environments)}, pgx.RowTo[int])
		for _, place := range places {
			found = append(found, environments[place-1])
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Take implements [queue.Lanes].
func (s *Store) Take(ctx context.Context, l queue.Lease, o queue.TakeOptions) (taken []gitops.Update, err error) {
	const take = `SELECT ` + updateColumns + `, CASE WHEN u.was_held AND u.ready_at <= coalesce($1, clock_timestamp()) THEN u.ready_at END,
		CASE WHEN u.blocked_by->0->>'kind' = 'image' THEN u.blocked_by END, coalesce((SELECT h.written_tag FROM heads h WHERE h.environment = u.environment AND h.app = u.app), ''),
		CASE WHEN u.state = 'pending' AND NOT starts_with(u.principal, 'token:') THEN closed_before(u.environment, u.app, u.tag, u.retried_at) END
		FROM take($1, $2, $3, $4, $5, $6, $7, $8, $9) AS u`
	args := []any{s.nowArg(), clean(l.Name), l.Token, clean(l.Holder), max(o.Limit, 0), o.NewestOnly, o.NewestHeld, texts(o.Unresolved), texts(o.Except)}
	err = s.call(ctx, func(ctx context.Context) error {
		taken, err = rows(ctx, s.pool, take, args, func(row pgx.CollectableRow) (gitops.Update, error) {
			var heldUntil *time.Time
			var images []gitops.Block
			var written string
			var closed *closedRow
			u, err := s.scanUpdate(row, &heldUntil, &images, &written, &closed)
			u.HeldUntil, u.ImageSince, u.WrittenTag, u.ClosedBefore = read(heldUntil), gitops.ImageSince(images).UTC(), written, closed.closedBefore()
			return u, err
		})
		return leaseError(l.Name, err)
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// transitionArg is a transition as the function report takes it.
type transitionArg struct {
	Update string        `json:"update"`
	Action gitops.Action `json:"action"`
	Code   gitops.Code   `json:"code"`
	Reason string        `json:"reason"`
	Commit string        `json:"commit"`
	Actor  string        `json:"actor"`
	Found  *foundArg     `json:"found"`
}

// foundArg is what was found of an update's image, as the function report takes it.
type foundArg struct {
	Digest string    `json:"digest"`
	At     time.Time `json:"at"`
	Named  bool      `json:"named"`
}

func foundArgOf(f *gitops.Found) *foundArg {
	if f == nil {
		return nil
	}
	return &foundArg{clean(f.Digest), rounded(f.At), f.Named}
}

// blockedArg is a blocked update as the function report takes it.
type blockedArg struct {
	Update string         `json:"update"`
	Blocks []gitops.Block `json:"blocks"`

	Revisions []int64 `json:"revisions"` // of the holds by which they were judged
}

// outageArg is an outage as the function report takes it.
type outageArg struct {
	Code    gitops.Code `json:"code"`
	Reason  string      `json:"reason"`
	RetryAt *time.Time  `json:"retry_at"`

	Repository string `json:"repository"`
}

// Report implements [queue.Lanes].
func (s *Store) Report(ctx context.Context, l queue.Lease, r queue.Report) (superseded []gitops.Update, err error) {
	transitions, blocks := make([]transitionArg, len(r.Transitions)), make([]blockedArg, len(r.Blocks))
	for i, t := range r.Transitions {
		transitions[i] = transitionArg{clean(t.Update), clean(t.Action), clean(t.Code), clean(t.Reason), clean(t.Commit), clean(t.Actor), foundArgOf(t.Found)}
	}
	unblocked := false
	for i, b := range r.Blocks {
		blocks[i] = blockedArg{clean(b.Update), storedBlocks(b.BlockedBy), revisionsOf(b.BlockedBy)}
		unblocked = unblocked || len(b.BlockedBy) == 0
	}
	var outage *outageArg
	if o := r.Outage; o != nil {
		outage = &outageArg{clean(o.Code), clean(o.Reason), stored(rounded(o.RetryAt)), clean(o.Repository)}
	}
	var args [4]string
	for i, value := range []any{transitions, blocks, proposalArgs(r.Proposals), outage} {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, domainError(err)
		}
		args[i] = string(text)
	}
	return s.report(ctx, l, args, unblocked)
}

func revisionsOf(blocks []gitops.Block) []int64 {
	revisions := []int64{}
	for _, b := range blocks {
		if b.Revision != 0 {
			revisions = append(revisions, b.Revision)
		}
	}
	return revisions
}

// report calls the function report; its arguments are in the form of JSON, and null for
// no outage.
func (s *Store) report(ctx context.Context, l queue.Lease, args [4]string, unblocked bool) (superseded []gitops.Update, err error) {
	const report = `SELECT ` + updateColumns + ` FROM report($1, $2, $3, $4, $5, $6, $7, nullif($8::jsonb, 'null')) AS u`
	err = s.call(ctx, func(ctx context.Context) error {
		superseded, err = s.updates(ctx, s.pool, report, s.nowArg(), clean(l.Name), l.Token, clean(l.Holder), args[0], args[1], args[2], args[3])
		if err != nil {
			return leaseError(l.Name, err)
		}
		if unblocked {
			s.hints.send(l.Name)
		} else {
			s.hints.send()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return superseded, nil
}

// Wake implements [queue.Lanes].
func (s *Store) Wake(environment string) <-chan struct{} {
	return s.hints.notifier.Channel(environment)
}

// Nudge implements [queue.Lanes]. The other replicas are told afterwards, as of a change.
func (s *Store) Nudge(ctx context.Context, environments []string) error {
	if s.closed.Load() {
		return errClosed()
	}
	if err := ctx.Err(); err != nil {
		return domainError(err)
	}
	s.hints.wake(texts(environments))
	return nil
}
