package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Lift implements [queue.Holds].
func (s *Store) Lift(ctx context.Context, l queue.Lifting) (lifted queue.Lifted, err error) {
	err = s.writer.do(ctx, func(tx *tx) error {
		lifted, err = tx.lift(l)
		return err
	})
	if err != nil {
		return queue.Lifted{}, err
	}
	return lifted, nil
}

func (tx *tx) lift(l queue.Lifting) (lifted queue.Lifted, err error) {
	for _, id := range l.IDs {
		number, ok := gitops.ParseHoldID(id)
		if !ok {
			return lifted, queue.ErrNoHold(id)
		}
		h, err := readHold(context.Background(), tx.connection, number)
		if err != nil {
			return lifted, err
		}
		lifted.Holds = append(lifted.Holds, h)
	}
	slices.SortFunc(lifted.Holds, byNumber)
	lifted.Holds = slices.CompactFunc(lifted.Holds, func(a, b gitops.Hold) bool { return a.ID == b.ID })
	if l.DryRun {
		lifted.Ready, err = tx.countHeld(lifted.Holds)
		return lifted, err
	}
	ended := false
	for i, h := range lifted.Holds {
		if !h.InForce(tx.now) {
			continue
		}
		var ready int
		if lifted.Holds[i], ready, err = tx.endHold(h, l); err != nil {
			return lifted, err
		}
		ended = true
		lifted.Ready += ready
	}
	if !ended {
		return lifted, nil
	}
	return lifted, tx.raiseRevision()
}

// endHold lifts one hold that is in force, and makes ready what it blocked.
func (tx *tx) endHold(h gitops.Hold, l queue.Lifting) (ended gitops.Hold, ready int, err error) {
	const end = `UPDATE holds SET lifted_at = ?, lifted_principal = ?, lifted_actor = ?, lifted_reason = ? WHERE number = ?`
	number, _ := gitops.ParseHoldID(h.ID)
	if err := tx.exec(end, tx.now.UnixMicro(), l.Principal, l.Actor, l.Reason, number); err != nil {
		return h, 0, err
	}
	if err := tx.holdChanged(number, true); err != nil {
		return h, 0, err
	}
	if err := tx.appendAll(l.LiftEntries(h)); err != nil {
		return h, 0, err
	}
	ready, err = tx.release(heldBy(h))
	h.Lifted = &gitops.Lift{At: rounded(tx.now), Principal: l.Principal, Actor: l.Actor, Reason: l.Reason}
	return h, ready, err
}

// held are updates that a kind of block keeps from being written. No environments, or no
// apps, means all; no tag means every tag.
type held struct {
	kind               gitops.BlockKind
	environments, apps []string
	tag                string
}

// heldBy are the updates that a hold may have blocked.
func heldBy(h gitops.Hold) held {
	by := held{kind: gitops.BlockKind(h.Kind), environments: h.Environments, apps: h.Apps}
	if h.Kind == gitops.HoldBad {
		by.tag = h.Tag
	}
	return by
}

// What is held, of an environment or of an app in it. Each statement reads what holds hold
// there, and nothing that is ready or blocked by something else.
const (
	heldIn = `environment = ?1 AND state = 'pending' AND blocked_kind IN ('pin', 'freeze', 'stop', 'bad')
		AND ready_at > ?2 AND (blocked_kind = ?3 OR EXISTS (SELECT 1 FROM json_each(blocked_by) WHERE value ->> 'kind' = ?3)) AND (?4 = '' OR tag = ?4)`
	heldOf = heldIn + ` AND app = ?5`

	// freed ends the blocks at a time, as if they had been until then.
	freed = `UPDATE updates INDEXED BY updates_held SET ready_at = ?2,
		blocked_by = (SELECT json_group_array(json_set(value, '$.until', ?6)) FROM json_each(blocked_by)) WHERE `
	// freedImages is the same for what waits for its image (gitops.Block.Ended).
	freedImages = `UPDATE updates INDEXED BY updates_images SET ready_at = ?2, blocked_by = (SELECT json_group_array(json_set(value, '$.until',
		CASE WHEN value ->> 'kind' = 'image' AND value ->> 'until' IS NULL THEN '1970-01-01T00:00:00Z' ELSE ?3 END)) FROM json_each(blocked_by))
		WHERE environment = ?1 AND state = 'pending' AND blocked_kind = 'image' AND ready_at > ?2`
	freeIn    = freed + heldIn
	freeOf    = freed + heldOf
	listHeld  = `SELECT sequence FROM updates INDEXED BY updates_held WHERE `
	listIn    = listHeld + heldIn
	listOf    = listHeld + heldOf
	blockTime = time.RFC3339Nano // of the blocks' JSON
)

// each calls in for each environment of what is held, or of for each of its apps, with the
// arguments of heldIn and heldOf.
func (h held) each(tx *tx, in, of func(args []any) error) error {
	environments := h.environments
	if len(environments) == 0 {
		var err error
		if environments, err = usedEnvironments(context.Background(), tx.connection); err != nil {
			return err
		}
	}
	for _, environment := range environments {
		args := []any{environment, tx.now.UnixMicro(), string(h.kind), h.tag, ""}
		if len(h.apps) == 0 {
			if err := in(args); err != nil {
				return err
			}
		}
		for _, args[4] = range h.apps {
			if err := of(args); err != nil {
				return err
			}
		}
	}
	return nil
}

// release makes ready what is held so, and returns how many that are. Their counts stay
// until something is reported of them.
func (tx *tx) release(h held) (ready int, err error) {
	free := func(text string) func([]any) error {
		return func(args []any) error {
			rows, err := tx.change(text, append(slices.Clone(args), rounded(tx.now).Format(blockTime))...)
			if rows > 0 {
				tx.woken[args[0].(string)] = true
			}
			ready += int(rows)
			return err
		}
	}
	err = h.each(tx, free(freeIn), free(freeOf))
	return ready, err
}

// countHeld counts what holds that are in force block, each update once.
func (tx *tx) countHeld(holds []gitops.Hold) (int, error) {
	found := make(map[int64]bool)
	list := func(text string) func([]any) error {
		return func(args []any) error {
			sequences, err := numbersOf(context.Background(), tx.connection, text, args...)
			for _, sequence := range sequences {
				found[sequence] = true
			}
			return err
		}
	}
	for _, h := range holds {
		if !h.InForce(tx.now) {
			continue
		}
		if err := heldBy(h).each(tx, list(listIn), list(listOf)); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}

// Rejudge implements [queue.Holds].
func (s *Store) Rejudge(ctx context.Context, kind gitops.BlockKind, environments []string) error {
	return s.writer.do(ctx, func(tx *tx) error {
		if kind == gitops.BlockImage {
			return tx.releaseImages(environments)
		}
		_, err := tx.release(held{kind: kind, environments: environments})
		return err
	})
}

// releaseImages makes ready what waits for its image; no environments means all.
func (tx *tx) releaseImages(environments []string) error {
	if len(environments) == 0 {
		var err error
		if environments, err = usedEnvironments(context.Background(), tx.connection); err != nil {
			return err
		}
	}
	for _, environment := range environments {
		rows, err := tx.change(freedImages, environment, tx.now.UnixMicro(), rounded(tx.now).Format(blockTime))
		if err != nil {
			return err
		}
		if rows > 0 {
			tx.woken[environment] = true
		}
	}
	return nil
}
