package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

var _ queue.Importer = (*Store)(nil)

// An import copies into each table as soon as it has so many rows, or bodies of
// so many bytes.
const (
	importTogether = 2000
	importBytes    = 16 << 20
)

// Import implements [queue.Importer]. It is one transaction, which has the
// turn: whoever else would begin to use the store waits, and then
// finds it in use.
func (s *Store) Import(ctx context.Context, entries iter.Seq2[queue.Entry, error]) (held queue.Counts, err error) {
	err = s.transfer(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		var number int64
		if err := tx.QueryRow(ctx, `SELECT next_numbers(0)`).Scan(&number); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `LOCK TABLE lanes, checkpoints, used_tokens, memories, proof_keys, suspects IN EXCLUSIVE MODE`); err != nil {
			return err
		}
		before, err := counted(ctx, tx)
		if err != nil {
			return err
		}
		if before != nothing {
			return errNotEmpty(before)
		}
		in := importing{ctx: ctx, tx: tx, number: number, sequences: make(map[string]int64)}
		var given queue.Counts
		for e, err := range entries {
			if err == nil {
				given.Add(e)
				err = in.add(e)
			}
			if err != nil {
				return err
			}
		}
		if err := in.flush(); err != nil {
			return err
		}
		if held, err = counted(ctx, tx); err != nil {
			return err
		}
		if held != given {
			return fmt.Errorf("given were %+v, and the tables hold %+v", given, held)
		}
		_, err = tx.Exec(ctx, `SELECT setval('counter', $1)`, in.number)
		return err
	})
	if err != nil {
		return queue.Counts{}, domainError(err)
	}
	// What the planner knows of tables that were empty a moment ago is wrong.
	_, _ = s.pool.Exec(ctx, `ANALYZE deliveries, bodies, updates, steps, heads, audit, memories`)
	return held, nil
}

// importing collects rows for the tables.
type importing struct {
	ctx       context.Context
	tx        pgx.Tx
	number    int64            // of the last delivery or step
	sequences map[string]int64 // by the update's id
	order     []sequencePair   // rising

	rows  map[string][][]any // by table
	bytes int
}

// sequencePair is an update's sequence in the other store and in this one.
type sequencePair struct{ theirs, ours int64 }

var importColumns = map[string][]string{
	"deliveries": {"number", "source", "id", "received_at", "event_time", "actor", "remote", "recovered", "credential", "outcome", "field", "reason",
		"principal", "config", "body_digest"},
	"bodies": {"delivery", "body"},
	"updates": {"sequence", "id", "environment", "app", "repository", "tag", "version", "only_up", "digest", "rule", "state", "blocked_by", "ready_at", "code", "reason", "commit_id",
		"attempts", "accepted_at", "finished_at", "retried_at", "cancel_actor", "cancel_reason"},
	"steps":       {"number", "sequence", "at", "until", "attempts", "state", "code", "reason", "commit_id", "retry_at", "actor"},
	"heads":       {"environment", "app", "newest_event", "newest_receipt", "order_event", "order_receipt", "pushed_version", "pushed_event", "written", "written_id", "written_tag", "written_version"},
	"lanes":       {"name", "token", "holder", "lease", "maybe_pushed_through", "last_progress", "outage_since", "outage_code", "outage_reason", "outage_retry_at"},
	"checkpoints": {"name", "value"},
	"used_tokens": {"credential", "source", "id", "until"},
	"audit": {"sequence", "at", "act", "principal", "actor", "credential", "remote", "asked", "rule", "environment", "app", "update_id", "delivery", "reason", "was",
		"became", "config"},
	"memories":   {"hash", "delivery", "received_at"},
	"proof_keys": {"id", "secret", "made_at"},
	"suspects":   {"object", "kind", "path", "holder", "at", "deaths"},
}

func (in *importing) row(table string, values ...any) error {
	if in.rows == nil {
		in.rows = make(map[string][][]any)
	}
	in.rows[table] = append(in.rows[table], values)
	if len(in.rows[table]) < importTogether && in.bytes < importBytes {
		return nil
	}
	return in.flush()
}

// flush copies what was collected.
func (in *importing) flush() error {
	for table, rows := range in.rows {
		if _, err := in.tx.CopyFrom(in.ctx, pgx.Identifier{table}, importColumns[table], pgx.CopyFromRows(rows)); err != nil {
			return err
		}
	}
	in.rows, in.bytes = nil, 0
	return nil
}

func (in *importing) add(e queue.Entry) error {
	switch {
	case e.Delivery != nil:
		return in.delivery(*e.Delivery)
	case e.Step != nil:
		return in.step(*e.Step)
	case e.Head != nil:
		return in.head(*e.Head)
	case e.Lane != nil:
		return in.lane(*e.Lane)
	case e.Checkpoint != nil:
		return in.row("checkpoints", clean(e.Checkpoint.Name), clean(e.Checkpoint.Value))
	case e.UsedToken != nil:
		by := cleanKey(e.UsedToken.By)
		return in.row("used_tokens", clean(e.UsedToken.Credential), by.Source, by.ID, e.UsedToken.Until)
	case e.Audit != nil:
		return in.audit(*e.Audit)
	case e.Memory != nil:
		return in.row("memories", e.Memory.Hash, clean(e.Memory.Delivery), e.Memory.ReceivedAt)
	case e.ProofKey != nil:
		return in.row("proof_keys", e.ProofKey.ID, e.ProofKey.Secret[:], e.ProofKey.MadeAt)
	case e.Suspect != nil:
		s := e.Suspect
		return in.row("suspects", clean(s.Object), string(s.Kind), clean(s.Path), clean(s.Holder), s.At, s.Deaths)
	}
	return nil
}

func (in *importing) delivery(d gitops.Delivery) error {
	in.number++
	in.bytes += len(d.Body)
	if d.Body == nil {
		d.Body = []byte{}
	}
	for i, u := range d.Updates {
		sequence := in.number*updatesEach + int64(i)
		in.sequences[u.ID] = sequence
		in.order = append(in.order, sequencePair{u.Sequence, sequence})
		if err := in.update(sequence, u); err != nil {
			return err
		}
	}
	if err := in.row("bodies", in.number, d.Body); err != nil {
		return err
	}
	return in.row("deliveries", in.number, clean(d.Source), clean(d.ID), d.ReceivedAt, stored(d.EventTime), clean(d.Actor), clean(d.Remote),
		d.Recovered, clean(d.Credential), string(d.Outcome), clean(d.Field), clean(d.Reason), clean(d.Principal), clean(d.Config), d.BodyDigest)
}

// audit brings in an entry, under a number that no delivery has.
func (in *importing) audit(e gitops.AuditEntry) error {
	in.number++
	return in.row("audit", in.number*updatesEach, e.At, string(e.Act), clean(e.Principal), clean(e.Actor), clean(e.Credential), clean(e.Remote), string(e.Right),
		clean(e.Rule), clean(e.Environment), clean(e.App), clean(e.Update), clean(e.Delivery), clean(e.Reason), clean(e.Before), clean(e.After), clean(e.Config))
}

func (in *importing) update(sequence int64, u gitops.Update) error {
	blocks, err := json.Marshal(storedBlocks(u.BlockedBy))
	if err != nil {
		return err
	}
	var cancelActor, cancelReason *string
	if c := u.CancelRequest; c != nil {
		actor, reason := clean(c.Actor), clean(c.Reason)
		cancelActor, cancelReason = &actor, &reason
	}
	return in.row("updates", sequence, clean(u.ID), clean(u.Environment), clean(u.App), clean(u.Repository), clean(u.Tag), gitops.VersionKey(u.Tag), u.OnlyUp,
		clean(u.Digest), clean(u.Rule), string(u.State), string(blocks), readyAt(u.BlockedBy), string(u.Code), clean(u.Reason), clean(u.Commit), u.Attempts, u.AcceptedAt,
		stored(u.FinishedAt), stored(u.RetriedAt), cancelActor, cancelReason)
}

// readyAt is when stored blocks lift: null where there are none.
func readyAt(blocks []gitops.Block) any {
	until, byItself := gitops.BlockedUntil(blocks)
	switch {
	case len(blocks) == 0:
		return nil
	case !byItself:
		return pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}
	}
	return rounded(until)
}

// head brings in what is known of an app.
func (in *importing) head(h gitops.Head) error {
	return in.row("heads", clean(h.Environment), clean(h.App), stored(h.NewestEvent), stored(h.NewestReceipt), stored(h.OrderEvent), stored(h.OrderReceipt), h.PushedVersion, stored(h.PushedEvent),
		in.written(h), clean(h.WrittenID), clean(h.WrittenTag), gitops.VersionKey(h.WrittenTag))
}

// written is the head's sequence among those given here. Where its update was pruned
// it is one between those of the updates before and after.
func (in *importing) written(h gitops.Head) int64 {
	if sequence, ok := in.sequences[h.WrittenID]; ok || h.Written == 0 {
		return sequence
	}
	after, _ := slices.BinarySearchFunc(in.order, h.Written, func(p sequencePair, written int64) int { return cmp.Compare(p.theirs, written) })
	if after == 0 {
		return 1
	}
	return in.order[after-1].ours + 1 // beyond its delivery: deliveries are pruned whole
}

func (in *importing) step(s queue.StepEntry) error {
	sequence, known := in.sequences[s.Update]
	if !known {
		return fmt.Errorf("a step of update %s, of which no delivery was given", s.Update)
	}
	in.number++
	return in.row("steps", in.number, sequence, s.At, stored(s.Until), s.Attempts, string(s.State), string(s.Code), clean(s.Reason),
		clean(s.Commit), stored(s.RetryAt), clean(s.Actor))
}

// lane brings in a lane; its lease is released.
func (in *importing) lane(l queue.LaneState) error {
	lease := "lost"
	if l.Clean {
		lease = "free"
	}
	var o queue.Outage
	if l.Backlog.Outage != nil {
		o = *l.Backlog.Outage
	}
	return in.row("lanes", clean(l.Environment), l.Token, clean(l.Holder), lease, in.sequences[l.Through], stored(l.Backlog.LastProgress),
		stored(l.Backlog.OutageSince), string(o.Code), clean(o.Reason), stored(o.RetryAt))
}
