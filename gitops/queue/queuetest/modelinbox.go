package queuetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Accept implements [queue.Inbox].
func (m *Model) Accept(ctx context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	if err := checkUpdates(d); err != nil {
		return gitops.Delivery{}, false, err
	}
	if err := m.begin(ctx); err != nil {
		return gitops.Delivery{}, false, err
	}
	defer m.mu.Unlock()
	stored, duplicate := m.known(d)
	if !duplicate && d.Outcome == gitops.OutcomeWaiting && m.waits >= queue.MaxWaiting {
		return gitops.Delivery{}, false, queue.ErrTooManyWait()
	}
	if !duplicate {
		d.DecidedAt = time.Time{}
		m.take(d)
		stored = m.delivery(d.Key())
	}
	if m.hooks.Accepted != nil {
		m.hooks.Accepted(stored, duplicate)
	}
	return stored, duplicate, nil
}

// checkUpdates reports what makes a delivery too large or ambiguous.
func checkUpdates(d gitops.Delivery) error {
	if len(d.Updates) > queue.MaxUpdates {
		return gitops.Errorf(gitops.TooLarge, "the delivery means %d updates; at most %d are accepted", len(d.Updates), queue.MaxUpdates)
	}
	named := make(map[target]bool)
	for _, u := range d.Updates {
		t := target{u.Environment, u.App}
		if named[t] {
			return gitops.Errorf(gitops.Invalid, "the delivery names %s in %s twice", u.App, u.Environment)
		}
		named[t] = true
	}
	return nil
}

// take stores a delivery whose key is new.
func (m *Model) take(d gitops.Delivery) {
	now, key := m.now().UTC(), d.Key()
	d = queue.WaitingSince(d, now)
	receipt := d.PlannedAt()
	if now.Before(receipt) {
		receipt = now
	}
	kept := delivery{Delivery: d}
	kept.ReceivedAt, kept.Body, kept.Updates = d.ReceivedAt.UTC(), slices.Clone(d.Body), nil
	kept.BodyDigest, kept.Event = slices.Clone(d.BodyDigest), slices.Clone(d.Event)
	for _, u := range d.Updates {
		m.sequence++
		u = gitops.Update{
			ID: gitops.UpdateID(key, u.Environment, u.App), Delivery: key, Actor: d.Actor, Principal: d.Principal, Environment: u.Environment, App: u.App,
			Repository: u.Repository, Tag: u.Tag, Digest: u.Digest, Rule: u.Rule, OnlyUp: u.OnlyUp, Revision: u.Revision, Terms: u.Terms.Clone(), State: gitops.Pending, AcceptedAt: now,
			EventTime: d.EventTime.UTC(), Recovered: d.Recovered || !d.DecidedAt.IsZero(), Sequence: m.sequence,
		}
		moment := u.Moment(receipt)
		if !moment.Dated() {
			u.EventTime = time.Time{}
		}
		kept.updates = append(kept.updates, u.ID)
		m.enter(u, moment)
		m.record(queue.OrderEntry(d, u))
	}
	for _, image := range queue.ImagesOf(d) {
		m.see(image)
	}
	if d.Outcome == gitops.OutcomeWaiting {
		m.waits++
	}
	m.deliveries[key] = kept
	m.happened(happened{delivery: key})
}

// enter puts a new update into its lane, unless its event is late or it would lower
// the version.
func (m *Model) enter(u gitops.Update, moment gitops.EventMoment) {
	lane, head := m.lane(u.Environment), m.head(u.Environment, u.App)
	lane.used = true
	newest, late := head.Late(moment)
	lower := m.lowerThan(u)
	m.heads[target{u.Environment, u.App}] = head.AcceptSuperseded(moment)
	switch {
	case late:
		u.State, u.FinishedAt = gitops.Superseded, u.AcceptedAt
		u.Reason = head.LateBehind(u, newest)
	case lower != "":
		u.State, u.FinishedAt, u.Reason = gitops.Superseded, u.AcceptedAt, lower
	default:
		m.heads[target{u.Environment, u.App}] = head.Accept(moment)
		lane.open = append(lane.open, u.ID)
		m.notifier.Wake(u.Environment)
	}
	m.updates[u.ID] = &u
}

// lowerThan is why an update that only goes up would lower the version of its app, or
// "" when it would not. A tag that is marked as bad counts for nothing.
func (m *Model) lowerThan(u gitops.Update) string {
	if !u.OnlyUp {
		return ""
	}
	if head := m.head(u.Environment, u.App); gitops.LowerVersion(u.Tag, head.WrittenTag) && !m.isBad(u, head.WrittenTag) {
		return gitops.LowerThan(u, head.WrittenTag, fmt.Sprintf("is on the branch (update %s)", head.WrittenID))
	}
	for _, open := range m.open(u.Environment) {
		if open.App == u.App && gitops.LowerVersion(u.Tag, open.Tag) && !m.isBad(u, open.Tag) {
			return gitops.LowerThan(u, open.Tag, fmt.Sprintf("is %s (update %s)", open.State, open.ID))
		}
	}
	return ""
}

// isBad reports whether a tag of the update's app is marked as bad.
func (m *Model) isBad(u gitops.Update, tag string) bool {
	return slices.ContainsFunc(m.inForce(), func(h gitops.Hold) bool {
		return h.Kind == gitops.HoldBad && h.Tag == tag && h.Covers(u.Environment, u.App)
	})
}

// ExistingIDs implements [queue.Inbox].
func (m *Model) ExistingIDs(ctx context.Context, source string, ids []string) (existing []string, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	for _, id := range ids {
		if _, ok := m.deliveries[gitops.DeliveryKey{Source: source, ID: id}]; ok {
			existing = append(existing, id)
		}
	}
	return existing, nil
}

// head is what is known of an app.
func (m *Model) head(environment, app string) gitops.Head {
	if h, ok := m.heads[target{environment, app}]; ok {
		return h
	}
	return gitops.Head{Environment: environment, App: app}
}
