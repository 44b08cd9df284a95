package missed

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/githubapp"
	"github.com/tallyman-dev/tallyman/server/lease"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// Sweep makes one sweep, unless another replica is at one. An error means that it
// was not complete; the next goes on from there.
func (s *Sweeper) Sweep(ctx context.Context) error {
	var ok bool
	if s.Destination, ok = s.GitHub(); !ok {
		return nil
	}
	held, err := lease.Claim(ctx, s.Store, s.Holder, s.Job, leaseTime, s.Now)
	if err != nil || held == nil {
		return err
	}
	defer held.Release(ctx)
	began := s.Now()
	since, err := s.since(ctx, began)
	if err != nil {
		return err
	}
	events, err := s.list(ctx, held, since)
	if err != nil {
		return err
	}
	missing, err := s.missing(ctx, events)
	if err != nil {
		return err
	}
	reached := began
	err = s.recoverAll(ctx, held, missing)
	var partial *PartialSweepError
	if errors.As(err, &partial) {
		reached = partial.From
	}
	if err := errors.Join(err, s.Store.SetCheckpoint(ctx, s.Job, reached.Format(time.RFC3339))); err != nil {
		return err
	}
	s.Recorder.Swept(s.Now())
	return nil
}

// since is how far back a sweep looks: to where the last complete one began. On
// the first it is when a delivery of GitHub's was last received. Where there never
// was one, nothing can have been missed: what the App was sent before tallyman was
// there was not for it.
func (s *Sweeper) since(ctx context.Context, now time.Time) (time.Time, error) {
	checkpoint, err := s.Store.Checkpoint(ctx, s.Job)
	if err != nil {
		return now, err
	}
	since, err := time.Parse(time.RFC3339, checkpoint)
	if err != nil {
		newest, _, err := s.Store.Deliveries(ctx, queue.DeliveryFilter{Source: s.Receiver.Source()}, queue.Page{Limit: 1})
		if err != nil || len(newest) == 0 {
			return now, err
		}
		since = newest[0].ReceivedAt
	}
	if oldest := now.Add(-retention); since.Before(oldest) {
		since = oldest
	}
	return since.Add(-overlap), nil
}

// event is one event and GitHub's attempts to deliver it.
type event struct {
	guid  string
	first time.Time // when GitHub first tried
	id    int64     // of the newest attempt
}

// list collects the events with an attempt since a time, in the order in which
// they are to be taken in.
func (s *Sweeper) list(ctx context.Context, held *lease.Lease, since time.Time) ([]event, error) {
	byGUID := make(map[string]*event)
	for cursor := ""; ; {
		page, next, err := s.App.Deliveries(ctx, cursor)
		if err != nil {
			return nil, err
		}
		for _, d := range page {
			if d.GUID == "" || d.DeliveredAt.Before(since) || s.Receiver.IsHint(d.Event) {
				continue
			}
			if byGUID[d.GUID] == nil {
				byGUID[d.GUID] = &event{guid: d.GUID, first: d.DeliveredAt, id: d.ID}
			}
			e := byGUID[d.GUID]
			e.id = max(e.id, d.ID)
			if d.DeliveredAt.Before(e.first) {
				e.first = d.DeliveredAt
			}
		}
		if next == "" || len(page) == 0 || page[len(page)-1].DeliveredAt.Before(since) {
			break
		}
		cursor = next
		if err := extend(ctx, held); err != nil {
			return nil, err
		}
	}
	var events []event
	skip := make(map[string]event)
	for guid, e := range byGUID {
		if before, seen := s.skip[guid]; seen && e.id <= before.id {
			skip[guid] = before
			continue
		} else if seen && before.first.Before(e.first) {
			e.first = before.first
		}
		events = append(events, *e)
	}
	s.skip = skip
	slices.SortFunc(events, order)
	return events, nil
}

// order puts the newest event first. Events of the same second cannot be late
// against each other ([gitops.Head.Late]): there the order of acceptance counts, so
// they come in that in which they happened.
func order(a, b event) int {
	return cmp.Or(cmp.Compare(b.first.Unix(), a.first.Unix()), cmp.Compare(a.id, b.id))
}

// missing are the events that never arrived.
func (s *Sweeper) missing(ctx context.Context, events []event) (missing []event, err error) {
	for part := range slices.Chunk(events, atOnce) {
		ids := make([]string, len(part))
		for i, e := range part {
			ids[i] = e.guid
		}
		existing, err := s.Store.ExistingIDs(ctx, s.Receiver.Source(), ids)
		if err != nil {
			return nil, err
		}
		for _, e := range part {
			if !slices.Contains(existing, e.guid) {
				missing = append(missing, e)
			}
		}
	}
	return missing, nil
}

// PartialSweepError is why a sweep was not complete.
type PartialSweepError struct {
	Err  error     // of the first event that was left
	From time.Time // when the oldest event that was left happened
}

func (e *PartialSweepError) Error() string { return e.Err.Error() }

func (e *PartialSweepError) Unwrap() error { return e.Err }

// leave notes an event that was left.
func (e *PartialSweepError) leave(left event) {
	if left.first.Before(e.From) {
		e.From = left.first
	}
}

// patience is how many events in one sweep GitHub or the store may fail to answer
// for before it is given up.
const patience = 3

func (s *Sweeper) recoverAll(ctx context.Context, held *lease.Lease, missing []event) error {
	if len(missing) == 0 {
		s.failed = nil
		return nil
	}
	s.Logger.Warn("missed deliveries found, fetching from GitHub", slog.Int("deliveries", len(missing)), slog.Time("oldest", missing[len(missing)-1].first))
	// What failed the last time comes last: a few that GitHub never answers for
	// must not keep all others out.
	slices.SortStableFunc(missing, func(a, b event) int { return cmp.Compare(s.failed[a.guid], s.failed[b.guid]) })
	failed := make(map[string]int)
	var partial *PartialSweepError
	for i, e := range missing {
		err := s.recoverOne(ctx, e)
		if err == nil {
			err = extend(ctx, held)
		}
		if err == nil {
			continue
		}
		failed[e.guid] = s.failed[e.guid] + 1
		if partial == nil {
			partial = &PartialSweepError{err, e.first}
		}
		partial.leave(e)
		if len(failed) == patience || ctx.Err() != nil || gitops.CodeOf(err) != gitops.Unavailable {
			for _, e := range missing[i+1:] {
				partial.leave(e)
				failed[e.guid] = s.failed[e.guid]
			}
			break
		}
	}
	s.failed = failed
	if partial == nil {
		return nil
	}
	return partial
}

// duplicate is an event whose body was accepted before under another id, which alone
// the store has. It arrived, or makes no difference: it was not missed.
const duplicate Outcome = "duplicate"

// recoverOne takes one event in, counts it and logs the result; the intake logs
// that of what it accepted.
func (s *Sweeper) recoverOne(ctx context.Context, e event) error {
	outcome, err := s.fetch(ctx, e)
	if err != nil {
		return err
	}
	if outcome != Recovered {
		s.skip[e.guid] = e
	}
	if outcome == duplicate {
		return nil
	}
	s.Recorder.Missed(outcome)
	if outcome != Recovered {
		key := gitops.DeliveryKey{Source: s.Receiver.Source(), ID: e.guid}
		s.Logger.Warn("missed delivery not recovered", slog.String("delivery", key.String()), slog.String("outcome", string(outcome)))
	}
	return nil
}

// fetch takes one event in. An error says that it may be possible later.
func (s *Sweeper) fetch(ctx context.Context, e event) (Outcome, error) {
	request, err := s.App.DeliveryRequest(ctx, e.id)
	if err != nil && gitops.CodeOf(err) == gitops.NotFound {
		if err = s.App.Redeliver(ctx, e.id); err == nil {
			return Redelivered, nil
		}
	}
	switch gitops.CodeOf(err) {
	case gitops.NotFound, gitops.Rejected, gitops.Invalid:
		return Unreadable, nil // GitHub will not answer otherwise later
	}
	if err != nil {
		return "", err
	}
	event, err := s.decode(e, request)
	if err != nil {
		return Unreadable, nil
	}
	event.Time = e.first
	d, _, err := s.Intake.Accept(ctx, webhook.Inbound{Event: event, Body: request.Body, Credential: "GitHub App's list of deliveries", Recovered: true})
	switch {
	case err != nil && gitops.CodeOf(err) != gitops.Rejected: // a rejection is the event's end
		return "", err
	case err == nil && d.Key() != event.Delivery:
		return duplicate, nil
	case len(d.Updates) == 0 && d.Outcome != gitops.OutcomeWaiting: // what waits is kept, and may be lost with the store
		s.skip[e.guid] = e // the intake may not have kept it, and would be given it again
	}
	return Recovered, nil
}

// decode reads what GitHub sent. The payload is always told as JSON, whatever the
// webhook's content type.
func (s *Sweeper) decode(e event, request githubapp.DeliveryRequest) (gitops.Event, error) {
	header := request.Header.Clone()
	header.Set("Content-Type", "application/json")
	event, err := s.Receiver.Decode(header, request.Body)
	if err == nil && event.Delivery.ID != e.guid {
		err = gitops.Errorf(gitops.Invalid, "GitHub tells of delivery %s and sent %s", e.guid, event.Delivery.ID)
	}
	return event, err
}
