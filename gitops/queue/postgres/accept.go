package postgres

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/group"
)

// updatesEach is how many sequences a delivery has for its updates; the updates
// table says why. It is more than [queue.MaxUpdates].
const updatesEach = 1 << 16

// A group is bounded so that the first of it does not wait long for the last, and
// so that others do not wait long for their turn.
const (
	groupDeliveries = 512
	groupUpdates    = queue.MaxUpdates
	groupBytes      = 4 << 20 // of bodies
)

// acceptance is a delivery on its way in. When its group is committed it is as
// stored, unless it existed.
type acceptance struct {
	delivery gitops.Delivery
	existed  bool
	decided  bool // it waited until now
}

func (s *Store) groups() group.Config[*acceptance] {
	return group.Config[*acceptance]{
		Commit: s.commit,
		Divisible: func(err error) bool {
			return !broken(err) || sqlState(err) == canceled || errors.Is(err, context.DeadlineExceeded)
		},
		Items: groupDeliveries, Updates: groupUpdates, Bytes: groupBytes,
		Size: func(a *acceptance) (updates, bytes int) { return len(a.delivery.Updates), len(a.delivery.Body) },
	}
}

// Accept implements [queue.Inbox]. Times are kept in whole microseconds, and a
// delivery without a time of receipt was received now. Nothing of d is kept.
func (s *Store) Accept(ctx context.Context, d gitops.Delivery) (stored gitops.Delivery, duplicate bool, err error) {
	a, err := newAcceptance(d)
	if err != nil {
		return gitops.Delivery{}, false, err
	}
	if err := s.accepts.Do(ctx, a); err != nil {
		return gitops.Delivery{}, false, domainError(err)
	}
	if a.existed {
		stored, err = s.first(ctx, a.delivery)
		if gitops.CodeOf(err) == gitops.NotFound && d.Outcome == gitops.OutcomeWaiting {
			err = queue.ErrTooManyWait()
		}
		return stored, err == nil, err
	}
	return a.delivery, false, nil
}

// newAcceptance is d on its way in, or says why it cannot be stored.
func newAcceptance(d gitops.Delivery) (*acceptance, error) {
	if len(d.Updates) > queue.MaxUpdates {
		return nil, gitops.Errorf(gitops.TooLarge, "the delivery means %d updates; the store takes up to %d", len(d.Updates), queue.MaxUpdates)
	}
	for _, at := range []time.Time{d.ReceivedAt, d.EventTime} {
		// JSON has no other years, and one delivery must not spoil its group.
		if year := at.UTC().Year(); year < 1 || year > 9999 {
			return nil, gitops.Errorf(gitops.Invalid, "the delivery is of the year %d", year)
		}
	}
	d.DecidedAt = time.Time{}
	a := &acceptance{delivery: prepared(d)}
	return a, checkDistinct(a.delivery.Updates)
}

// checkDistinct fails when two updates are of one app in one environment, as the
// tables name them: they would have one id.
func checkDistinct(updates []gitops.Update) error {
	named := make(map[string]bool, len(updates))
	for _, u := range updates {
		if named[u.ID] {
			return gitops.Errorf(gitops.Invalid, "the delivery names %s in %s twice", u.App, u.Environment)
		}
		named[u.ID] = true
	}
	return nil
}

// prepared is d as the tables will hold it, sharing nothing with d.
func prepared(d gitops.Delivery) gitops.Delivery {
	d.Source, d.ID, d.Actor, d.Remote, d.Credential = clean(d.Source), clean(d.ID), clean(d.Actor), clean(d.Remote), clean(d.Credential)
	d.Outcome, d.Field, d.Reason, d.Principal, d.Config = clean(d.Outcome), clean(d.Field), clean(d.Reason), clean(d.Principal), clean(d.Config)
	d.Environment, d.App = clean(d.Environment), clean(d.App)
	d.ReceivedAt, d.EventTime = rounded(d.ReceivedAt), rounded(d.EventTime)
	planned := d.Updates
	d.Updates = make([]gitops.Update, len(planned))
	for i, u := range planned {
		environment, app := clean(u.Environment), clean(u.App)
		d.Updates[i] = gitops.Update{
			ID: gitops.UpdateID(d.Key(), environment, app), Delivery: d.Key(), Actor: d.Actor, Recovered: d.Recovered,
			Environment: environment, App: app, Repository: clean(u.Repository), Tag: clean(u.Tag), OnlyUp: u.OnlyUp, Digest: clean(u.Digest),
			Rule: clean(u.Rule), Revision: clean(u.Revision), Terms: storedTerms(u.Terms), Principal: d.Principal,
		}
	}
	// The caller may use its slice again while this is still on its way.
	d.Body, d.BodyDigest, d.Event = bytes.Clone(d.Body), bytes.Clone(d.BodyDigest), bytes.Clone(d.Event)
	if d.Body == nil {
		d.Body = []byte{}
	}
	return d
}

// commit brings a group to the server. It is called by the committer's goroutine.
func (s *Store) commit(group []*acceptance) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), acceptTime)
	defer cancel()
	err := s.accept(ctx, group)
	s.recorder.Answered(queue.Writing, !away(err))
	switch {
	case err == nil:
		s.recorder.Committed(len(group), time.Since(began))
		if s.failing {
			s.failing = false
			s.log.Info("store accepts deliveries again")
		}
	case broken(err):
		if !s.failing {
			s.failing = true
			s.log.Error("store accepts no deliveries", slog.String("error", err.Error()))
		}
	case len(group) == 1:
		s.log.Error("store rejected a delivery", slog.String("delivery", group[0].delivery.Key().String()), slog.String("error", err.Error()))
	}
	return err
}

// accept brings a group to the server in one call, and fills in what it answers.
func (s *Store) accept(ctx context.Context, group []*acceptance) error {
	const call = `SELECT delivery, accepted_at, sequence, coalesce(state, ''), coalesce(reason, '') FROM accept($1, $2, $3, $4, $5, $6)`
	bodies := make([][]byte, len(group))
	for i, a := range group {
		bodies[i] = a.delivery.Body
	}
	deliveries, updates, images, err := acceptArgs(group)
	if err != nil {
		return err
	}
	answer, err := s.pool.Query(ctx, call, s.nowArg(), deliveries, updates, bodies, queue.MaxWaiting, images)
	if err != nil {
		return err
	}
	return s.fill(group, answer)
}

// fill fills in what the server answered of a group, and tells whoever waits for it.
func (s *Store) fill(group []*acceptance, answer pgx.Rows) error {
	var ready []string // environments
	var row acceptRow
	_, err := pgx.ForEachRow(answer, row.into(), func() error {
		if row.place < 1 || row.place > len(group) {
			return errAnswer
		}
		u, err := row.fill(group[row.place-1])
		if u != nil && u.State == gitops.Pending {
			ready = append(ready, u.Environment)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.hints.send(ready...)
	return nil
}

// acceptRow is a row that the function accept answers with.
type acceptRow struct {
	place      int
	acceptedAt time.Time
	sequence   *int64 // nil: the delivery is new and has no updates
	state      gitops.State
	reason     string
}

func (r *acceptRow) into() []any {
	return []any{&r.place, &r.acceptedAt, &r.sequence, &r.state, &r.reason}
}

var errAnswer = errors.New("the store's server answered for a delivery that it was not asked about")

// fill completes a delivery that was stored, and the update of the row, if any, which
// it returns.
func (r *acceptRow) fill(a *acceptance) (*gitops.Update, error) {
	d := &a.delivery
	a.existed = false
	if d.ReceivedAt.IsZero() {
		d.ReceivedAt = r.acceptedAt.UTC()
	}
	*d = queue.WaitingSince(*d, r.acceptedAt.UTC())
	if a.decided {
		d.DecidedAt = r.acceptedAt.UTC()
	}
	if r.sequence == nil {
		return nil, nil
	}
	n := int(*r.sequence % updatesEach)
	if n >= len(d.Updates) {
		return nil, errAnswer
	}
	u := &d.Updates[n]
	u.AcceptedAt, u.Sequence, u.State, u.Reason = r.acceptedAt.UTC(), *r.sequence, r.state, r.reason
	u.Recovered = d.Recovered || a.decided
	if u.State.Final() {
		u.FinishedAt = u.AcceptedAt
	}
	receipt := d.PlannedAt()
	if u.AcceptedAt.Before(receipt) {
		receipt = u.AcceptedAt
	}
	if (gitops.EventMoment{Event: d.EventTime, Receipt: receipt}).Dated() {
		u.EventTime = d.EventTime
	}
	return u, nil
}
