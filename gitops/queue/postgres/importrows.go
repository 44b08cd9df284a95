package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// An import copies into each table as soon as one has so many rows, or bodies of so many
// bytes.
const (
	importTogether = 2000
	importBytes    = 4 << 20
)

// importing collects rows for the tables. It keeps nothing of what it has copied: an
// update is found again by its id, in the table.
type importing struct {
	ctx    context.Context
	tx     pgx.Tx
	number int64 // of the last delivery or step

	rows  map[string][][]any // by table
	steps []numberedStep
	bytes int

	imagesOf string // the repository and tag of the last image
	images   int    // so many of that tag were given
}

// numberedStep is a step whose update is searched for when it is copied.
type numberedStep struct {
	number int64
	queue.StepEntry
}

var importColumns = map[string][]string{
	"deliveries": {"number", "source", "id", "received_at", "event_time", "actor", "remote", "recovered", "credential", "outcome", "field", "reason",
		"environment", "app", "principal", "config", "body_digest", "event", "decided_at"},
	"bodies": {"delivery", "body"},
	"updates": {"sequence", "id", "environment", "app", "repository", "tag", "version", "only_up", "digest", "rule", "revision", "terms", "state", "blocked_by", "ready_at", "code", "reason", "commit_id",
		"attempts", "accepted_at", "finished_at", "retried_at", "cancel_actor", "cancel_reason", "found_digest", "found_at", "found_named",
		"proposal", "opened_at", "rollout", "rolling"},
	"steps": {"number", "sequence", "at", "until", "attempts", "state", "code", "reason", "commit_id", "retry_at", "actor", "rollout"},
	"heads": {"environment", "app", "newest_event", "newest_receipt", "order_event", "order_receipt", "pushed_version", "pushed_event", "written", "written_id", "written_tag", "written_version", "word", "accepted_version",
		"healthy", "healthy_id", "healthy_tag"},
	"lanes":       {"name", "token", "holder", "lease", "maybe_pushed_through", "last_progress", "last_success", "outage_since", "outage_code", "outage_reason", "outage_retry_at", "outage_repository"},
	"checkpoints": {"name", "value"},
	"used_tokens": {"credential", "source", "id", "until"},
	"audit": {"sequence", "at", "act", "principal", "actor", "credential", "remote", "asked", "rule", "environment", "app", "update_id", "delivery", "reason", "was",
		"became", "config"},
	"memories":   {"hash", "delivery", "received_at"},
	"proof_keys": {"id", "secret", "made_at"},
	"suspects":   {"object", "kind", "path", "holder", "at", "deaths"},
	"holds":      {"id", "number", "kind", "environments", "apps", "tag", "principal", "actor", "reason", "rule", "since", "until", "ends_at", "request"},
	"images":     {"repository", "tag", "place", "digest", "seen_at", "source", "delivery", "named"},
	"lifts":      {"hold", "number", "at", "principal", "actor", "reason"},
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
	return in.flushSteps()
}

// flushSteps copies the steps; their updates are in the table.
func (in *importing) flushSteps() error {
	if len(in.steps) == 0 {
		return nil
	}
	ids := make([]string, len(in.steps))
	for i, s := range in.steps {
		ids[i] = clean(s.Update)
	}
	sequences, err := in.sequencesOf(ids)
	if err != nil {
		return err
	}
	rows := make([][]any, len(in.steps))
	for i, s := range in.steps {
		rows[i] = []any{s.number, sequences[ids[i]], s.At, stored(s.Until), s.Attempts, string(s.State), string(s.Code), clean(s.Reason),
			clean(s.Commit), stored(s.RetryAt), clean(s.Actor), string(s.Rollout)}
	}
	in.steps = nil
	_, err = in.tx.CopyFrom(in.ctx, pgx.Identifier{"steps"}, importColumns["steps"], pgx.CopyFromRows(rows))
	return err
}

// sequencesOf returns the sequences here of updates that were given.
func (in *importing) sequencesOf(ids []string) (map[string]int64, error) {
	found := make(map[string]int64, len(ids))
	var id string
	var sequence int64
	asked, err := in.tx.Query(in.ctx, `SELECT id, sequence FROM updates WHERE id = ANY ($1)`, ids)
	if err != nil {
		return nil, err
	}
	_, err = pgx.ForEachRow(asked, []any{&id, &sequence}, func() error {
		found[id] = sequence
		return nil
	})
	for _, id := range ids {
		if _, ok := found[id]; !ok && err == nil {
			err = gitops.Errorf(gitops.Invalid, "update %s is named, of which no delivery was given", id)
		}
	}
	return found, err
}

// sequenceOf returns the sequence here of an update that was given; 0 for the id "".
func (in *importing) sequenceOf(id string) (int64, error) {
	if id == "" {
		return 0, nil
	}
	if err := in.flush(); err != nil {
		return 0, err
	}
	found, err := in.sequencesOf([]string{clean(id)})
	return found[clean(id)], err
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
	case e.Hold != nil:
		return in.hold(*e.Hold)
	case e.Lift != nil:
		return in.lift(*e.Lift)
	case e.Image != nil:
		return in.image(*e.Image)
	case e.Holds != nil:
		_, err := in.tx.Exec(in.ctx, `UPDATE holds_state SET last = $1, revision = $2`, e.Holds.Last, e.Holds.Revision)
		return err
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
		if err := in.update(in.number*updatesEach+int64(i), u); err != nil {
			return err
		}
	}
	if err := in.row("bodies", in.number, d.Body); err != nil {
		return err
	}
	return in.row("deliveries", in.number, clean(d.Source), clean(d.ID), d.ReceivedAt, stored(d.EventTime), clean(d.Actor), clean(d.Remote),
		d.Recovered, clean(d.Credential), string(d.Outcome), clean(d.Field), clean(d.Reason), clean(d.Environment), clean(d.App), clean(d.Principal), clean(d.Config), d.BodyDigest,
		d.Event, stored(d.DecidedAt))
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
	terms, err := termsArg(u.Terms)
	if err != nil {
		return err
	}
	var cancelActor, cancelReason *string
	if c := u.CancelRequest; c != nil {
		actor, reason := clean(c.Actor), clean(c.Reason)
		cancelActor, cancelReason = &actor, &reason
	}
	var digest *string
	var at *time.Time
	var named *bool
	if f := u.Found; f != nil {
		kept := clean(f.Digest)
		digest, at, named = &kept, &f.At, &f.Named
	}
	proposal, openedAt, err := proposalColumns(u.Proposal)
	if err != nil {
		return err
	}
	rollout, rolling, err := rolloutColumns(u.Rollout)
	if err != nil {
		return err
	}
	return in.row("updates", sequence, clean(u.ID), clean(u.Environment), clean(u.App), clean(u.Repository), clean(u.Tag), gitops.VersionKey(u.Tag), u.OnlyUp,
		clean(u.Digest), clean(u.Rule), clean(u.Revision), terms, string(u.State), string(blocks), readyAt(u.BlockedBy), string(u.Code), clean(u.Reason), clean(u.Commit), u.Attempts, u.AcceptedAt,
		stored(u.FinishedAt), stored(u.RetriedAt), cancelActor, cancelReason, digest, at, named, proposal, openedAt, rollout, rolling)
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

// head brings in what is known of an app. Its environment has had an update, though
// perhaps none that is kept.
func (in *importing) head(h queue.HeadEntry) error {
	after, err := in.sequenceOf(h.After)
	if err != nil {
		return err
	}
	healthyAfter, err := in.sequenceOf(h.HealthyAfter)
	if err != nil {
		return err
	}
	if _, err := in.tx.Exec(in.ctx, `SELECT tally(ARRAY[$1::text], ARRAY[NULL::text], ARRAY[0::bigint])`, clean(h.Environment)); err != nil {
		return err
	}
	return in.row("heads", clean(h.Environment), clean(h.App), stored(h.NewestEvent), stored(h.NewestReceipt), stored(h.OrderEvent), stored(h.OrderReceipt), h.PushedVersion, stored(h.PushedEvent),
		h.WrittenHere(after), clean(h.WrittenID), clean(h.WrittenTag), gitops.VersionKey(h.WrittenTag), stored(h.Word), h.AcceptedVersion,
		h.HealthyHere(healthyAfter), clean(h.HealthyID), clean(h.HealthyTag))
}

func (in *importing) step(s queue.StepEntry) error {
	in.number++
	in.steps = append(in.steps, numberedStep{in.number, s})
	if len(in.steps) < importTogether {
		return nil
	}
	return in.flush()
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
	through, err := in.sequenceOf(l.Through)
	if err != nil {
		return err
	}
	return in.row("lanes", clean(l.Environment), l.Token, clean(l.Holder), lease, through, stored(l.Backlog.LastProgress), stored(l.Backlog.LastSuccess),
		stored(l.Backlog.OutageSince), string(o.Code), clean(o.Reason), stored(o.RetryAt), clean(o.Repository))
}
