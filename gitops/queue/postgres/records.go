package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// updateColumns are what an updateRow reads; u is of update_records.
const updateColumns = `u.sequence, u.id, u.delivery_source, u.delivery_id, u.actor, u.environment, u.app, u.repository, u.tag, u.only_up, u.digest,
	u.state, u.blocked_by, u.code, u.reason, u.commit_id, u.attempts, u.accepted_at, u.finished_at, u.retried_at,
	u.cancel_actor, u.cancel_reason, u.recovered, u.event_time, u.maybe_pushed, u.read_at, u.rule, u.terms, u.principal,
	u.found_digest, u.found_at, u.found_named, u.revision, u.proposal, u.rollout`

// recordsOfPage follows rows named page that have sequences of updates. Its limit keeps
// the planner from joining tables as a whole.
const recordsOfPage = ` CROSS JOIN LATERAL (SELECT * FROM update_records WHERE sequence = page.sequence LIMIT 1) AS u`

// updateRow is a row of updateColumns.
type updateRow struct {
	gitops.Update
	blockedBy, terms                 []byte
	proposal, rollout                []byte
	finishedAt, retriedAt, eventTime *time.Time
	cancelActor, cancelReason        *string
	readAt                           time.Time

	foundDigest *string
	foundAt     *time.Time
	foundNamed  *bool
}

// into is where the row's columns go.
func (u *updateRow) into() []any {
	return []any{&u.Sequence, &u.ID, &u.Delivery.Source, &u.Delivery.ID, &u.Actor, &u.Environment, &u.App, &u.Repository, &u.Tag, &u.OnlyUp, &u.Digest,
		&u.State, &u.blockedBy, &u.Code, &u.Reason, &u.Commit, &u.Attempts, &u.AcceptedAt, &u.finishedAt, &u.retriedAt,
		&u.cancelActor, &u.cancelReason, &u.Recovered, &u.eventTime, &u.MaybePushed, &u.readAt, &u.Rule, &u.terms, &u.Principal,
		&u.foundDigest, &u.foundAt, &u.foundNamed, &u.Revision, &u.proposal, &u.rollout}
}

// update is what was read, with the blocks that have not lifted at the time.
func (u *updateRow) update(now time.Time) (gitops.Update, error) {
	u.AcceptedAt, u.FinishedAt, u.RetriedAt, u.EventTime = u.AcceptedAt.UTC(), read(u.finishedAt), read(u.retriedAt), read(u.eventTime)
	if u.cancelActor != nil && u.cancelReason != nil {
		u.CancelRequest = &gitops.CancelRequest{Actor: *u.cancelActor, Reason: *u.cancelReason}
	}
	if u.foundDigest != nil {
		u.Found = &gitops.Found{Digest: *u.foundDigest, At: read(u.foundAt), Named: u.foundNamed != nil && *u.foundNamed}
	}
	var err error
	if u.BlockedBy, err = readBlocks(u.blockedBy, now); err == nil {
		u.Terms, err = readTerms(u.terms)
	}
	if err == nil {
		u.Proposal, err = readProposal(u.proposal)
	}
	if err == nil {
		u.Rollout, err = readRollout(u.rollout)
	}
	return u.Update, err
}

// updates runs a query for updates.
func (s *Store) updates(ctx context.Context, on querier, text string, args ...any) ([]gitops.Update, error) {
	return rows(ctx, on, text, args, func(row pgx.CollectableRow) (gitops.Update, error) { return s.scanUpdate(row) })
}

// scanUpdate reads an update, and the columns behind it.
func (s *Store) scanUpdate(row pgx.CollectableRow, more ...any) (gitops.Update, error) {
	var u updateRow
	if err := row.Scan(append(u.into(), more...)...); err != nil {
		return gitops.Update{}, err
	}
	now := u.readAt
	if s.now != nil {
		now = s.now()
	}
	return u.update(now)
}

// rows collects what each makes of a query's rows.
func rows[T any](ctx context.Context, on querier, text string, args []any, each pgx.RowToFunc[T]) ([]T, error) {
	found, err := on.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, each)
}

// deliveryColumns are what a deliveryRow reads; d is a delivery.
const deliveryColumns = `d.number, d.source, d.id, d.received_at, d.event_time, d.actor, d.remote, d.recovered, d.credential, d.outcome, d.field, d.reason,
	d.environment, d.app, d.principal, d.config, d.body_digest, d.event, d.decided_at, (SELECT count(*) FROM updates u WHERE u.sequence BETWEEN d.number * 65536 AND d.number * 65536 + 65535)`

// deliveryRow is a row of deliveryColumns.
type deliveryRow struct {
	number int64
	gitops.Delivery
	eventTime, decidedAt *time.Time
	updates              int
}

func (d *deliveryRow) into() []any {
	return []any{&d.number, &d.Source, &d.ID, &d.ReceivedAt, &d.eventTime, &d.Actor, &d.Remote, &d.Recovered, &d.Credential, &d.Outcome, &d.Field, &d.Reason,
		&d.Environment, &d.App, &d.Principal, &d.Config, &d.BodyDigest, &d.Event, &d.decidedAt, &d.updates}
}

func (d *deliveryRow) delivery() gitops.Delivery {
	d.ReceivedAt, d.EventTime, d.DecidedAt = d.ReceivedAt.UTC(), read(d.eventTime), read(d.decidedAt)
	return d.Delivery
}

func scanDelivery(row pgx.CollectableRow) (d deliveryRow, err error) { return d, row.Scan(d.into()...) }

// pageUpdates ends a page of deliveries, however few they are: their updates are what
// takes memory and time.
const pageUpdates = 2 * queue.MaxUpdates

// boundedPage are the first of the deliveries, as many as one page may have.
func boundedPage(page []deliveryRow) []deliveryRow {
	updates := 0
	for i := range page {
		if updates += page[i].updates; updates >= pageUpdates {
			return page[:i+1]
		}
	}
	return page
}

// withUpdates are the deliveries with their updates.
func (s *Store) withUpdates(ctx context.Context, on querier, page []deliveryRow) ([]gitops.Delivery, error) {
	const text = `SELECT ` + updateColumns + ` FROM unnest($1::bigint[]) AS n CROSS JOIN LATERAL (
		SELECT sequence FROM updates WHERE sequence BETWEEN n * 65536 AND n * 65536 + 65535 ORDER BY sequence LIMIT 65536) AS page` + recordsOfPage + ` ORDER BY u.sequence`
	numbers, places := make([]int64, len(page)), make(map[int64]int, len(page))
	found := make([]gitops.Delivery, len(page))
	for i := range page {
		numbers[i], places[page[i].number] = page[i].number, i
		found[i] = page[i].delivery()
		found[i].Updates = []gitops.Update{}
	}
	updates, err := s.updates(ctx, on, text, numbers)
	if err != nil {
		return nil, err
	}
	for _, u := range updates {
		d := &found[places[u.Sequence/updatesEach]]
		d.Updates = append(d.Updates, u)
	}
	return found, nil
}

// stepColumns are what a stepRow reads; page has steps.
const stepColumns = `page.at, page.until, page.attempts, page.state, page.code, page.reason, page.commit_id, page.retry_at, page.actor, page.rollout`

// stepRow is a row of stepColumns.
type stepRow struct {
	gitops.Step
	until, retryAt *time.Time
}

func (s *stepRow) into() []any {
	return []any{&s.At, &s.until, &s.Attempts, &s.State, &s.Code, &s.Reason, &s.Commit, &s.retryAt, &s.Actor, &s.Rollout}
}

func (s *stepRow) step() gitops.Step {
	s.At, s.Until, s.RetryAt = s.At.UTC(), read(s.until), read(s.retryAt)
	return s.Step
}
