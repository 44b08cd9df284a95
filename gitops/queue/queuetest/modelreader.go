package queuetest

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// delivery is the stored delivery with its updates as they stand now.
func (m *Model) delivery(key gitops.DeliveryKey) gitops.Delivery {
	kept := m.deliveries[key]
	d := kept.Delivery
	d.Body = slices.Clone(kept.Body)
	for _, id := range kept.updates {
		d.Updates = append(d.Updates, m.update(id))
	}
	return d
}

// update is the update as it stands now, without its steps.
func (m *Model) update(id string) gitops.Update {
	u := *m.updates[id]
	u.BlockedBy, u.MaybePushed, u.Steps, u.Rollout = m.blocking(&u), m.maybePushed(&u), nil, u.Rollout.Clone()
	return u
}

// story is the update as it stands now, with its steps.
func (m *Model) story(id string) gitops.Update {
	u := m.update(id)
	u.Steps = slices.Clone(m.updates[id].Steps)
	return u
}

// Delivery implements [queue.Reader].
func (m *Model) Delivery(ctx context.Context, key gitops.DeliveryKey) (gitops.Delivery, error) {
	if err := m.begin(ctx); err != nil {
		return gitops.Delivery{}, err
	}
	defer m.mu.Unlock()
	if _, ok := m.deliveries[key]; !ok {
		return gitops.Delivery{}, gitops.Errorf(gitops.NotFound, "there is no delivery %s", key)
	}
	return m.delivery(key), nil
}

// Update implements [queue.Reader].
func (m *Model) Update(ctx context.Context, id string) (gitops.Update, error) {
	if err := m.begin(ctx); err != nil {
		return gitops.Update{}, err
	}
	defer m.mu.Unlock()
	if _, ok := m.updates[id]; !ok {
		return gitops.Update{}, gitops.Errorf(gitops.NotFound, "there is no update %s", id)
	}
	return m.story(id), nil
}

// Head implements [queue.Reader].
func (m *Model) Head(ctx context.Context, environment, app string) (gitops.Head, error) {
	if err := m.begin(ctx); err != nil {
		return gitops.Head{}, err
	}
	defer m.mu.Unlock()
	return m.head(environment, app), nil
}

// Heads implements [queue.Reader].
func (m *Model) Heads(ctx context.Context, environment string, apps []string) (heads []gitops.Head, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	for _, app := range apps {
		heads = append(heads, m.head(environment, app))
	}
	return heads, nil
}

// Backlogs implements [queue.Reader].
func (m *Model) Backlogs(ctx context.Context) (all []queue.Backlog, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	for _, environment := range slices.Sorted(maps.Keys(m.lanes)) {
		if m.lanes[environment].used {
			all = append(all, m.backlog(environment))
		}
	}
	return all, nil
}

func (m *Model) backlog(environment string) queue.Backlog {
	lane := m.lanes[environment]
	b := queue.Backlog{
		Environment: environment, Held: make(map[gitops.BlockKind]int),
		LastProgress: lane.lastProgress, LastSuccess: lane.lastSuccess, Outage: lane.outage, OutageSince: lane.outageSince,
	}
	if l, ok := m.leases[environment]; ok && l.held && !l.dead {
		b.Holder = l.holder
	}
	for _, u := range m.open(environment) {
		switch {
		case u.State == gitops.Proposed:
			since := u.AcceptedAt
			if u.Proposal != nil && !u.Proposal.OpenedAt.IsZero() {
				since = u.Proposal.OpenedAt
			}
			if b.Proposed == 0 || since.Before(b.OldestProposed) {
				b.OldestProposed = since
			}
			b.Proposed++
		case len(u.BlockedBy) > 0:
			b.Held[u.BlockedBy[0].Kind]++
		default:
			if b.Pending == 0 {
				b.Oldest = u.AcceptedAt
			}
			b.Pending++
		}
	}
	return b
}

// position reads a cursor, which is a number; "" is otherwise.
func position(cursor string, otherwise int) (int, error) {
	if cursor == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(cursor)
	if err != nil || n < 0 || strconv.Itoa(n) != cursor {
		return 0, gitops.FieldErrorf("cursor", "is invalid")
	}
	return n, nil
}

// numbered is an entry of a list, and the number that its cursor is.
type numbered[E any] struct {
	number int
	entry  E
}

// page cuts one page out of a list.
func page[E any](m *Model, ctx context.Context, p queue.Page, list func() []numbered[E]) (found []E, next string, err error) {
	before, err := position(p.Cursor, 1<<62)
	if err != nil {
		return nil, "", err
	}
	if err := m.begin(ctx); err != nil {
		return nil, "", err
	}
	defer m.mu.Unlock()
	last := 0
	for _, n := range list() {
		if n.number >= before {
			continue
		}
		if len(found) == p.Limit {
			return found, strconv.Itoa(last), nil
		}
		found, last = append(found, n.entry), n.number
	}
	return found, "", nil
}

// Deliveries implements [queue.Reader].
func (m *Model) Deliveries(ctx context.Context, f queue.DeliveryFilter, p queue.Page) ([]gitops.Delivery, string, error) {
	return page(m, ctx, p, func() (all []numbered[gitops.Delivery]) {
		for _, h := range slices.Backward(m.log) {
			if h.delivery == (gitops.DeliveryKey{}) {
				continue
			}
			d := m.delivery(h.delivery)
			d.Body = nil
			if (f.Source == "" || f.Source == d.Source) && (f.Outcome == "" || f.Outcome == d.Outcome) && deliveryInScope(f.Within, d) {
				all = append(all, numbered[gitops.Delivery]{h.number, d})
			}
		}
		return all
	})
}

// Updates implements [queue.Reader].
func (m *Model) Updates(ctx context.Context, f queue.UpdateFilter, p queue.Page) ([]gitops.Update, string, error) {
	return page(m, ctx, p, func() (all []numbered[gitops.Update]) {
		for _, h := range slices.Backward(m.log) {
			if h.delivery == (gitops.DeliveryKey{}) {
				continue
			}
			for _, id := range slices.Backward(m.deliveries[h.delivery].updates) {
				u := m.update(id)
				if inScope(f.Within, m.deliveries[h.delivery].Principal, u.Environment, u.App) && (f.Environment == "" || f.Environment == u.Environment) && (f.App == "" || f.App == u.App) && (f.State == "" || f.State == u.State) {
					all = append(all, numbered[gitops.Update]{int(u.Sequence), u})
				}
			}
		}
		return all
	})
}

// Changes implements [queue.ChangeFeed].
func (m *Model) Changes(ctx context.Context, after string, limit int) (found []queue.Change, err error) {
	from, err := position(after, 0)
	if err != nil {
		return nil, err
	}
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if from > m.happenings {
		return nil, gitops.FieldErrorf("cursor", "is invalid: it is newer than all changes")
	}
	for _, h := range m.log {
		if h.number > from && len(found) < limit {
			found = append(found, m.changeOf(h))
		}
	}
	return found, nil
}

// changeOf is what the feed says of a change. Of an update, what later steps did is
// taken back.
func (m *Model) changeOf(h happened) queue.Change {
	cursor := strconv.Itoa(h.number)
	switch {
	case h.hold != nil && h.hold.Lifted != nil:
		return queue.Change{Cursor: cursor, At: h.hold.Lifted.At, Hold: h.hold}
	case h.hold != nil:
		return queue.Change{Cursor: cursor, At: h.hold.Since, Hold: h.hold}
	case h.update == "":
		d := m.delivery(h.delivery)
		d.Body = nil
		return queue.Change{Cursor: cursor, At: d.PlannedAt(), Delivery: &d}
	}
	u := m.story(h.update)
	step, later := u.Steps[h.step], 0
	for _, l := range u.Steps[h.step+1:] {
		later += l.Attempts
	}
	u = u.AsOf(step, later)
	return queue.Change{Cursor: cursor, At: step.At, Update: &u, Rollout: step.Rollout != ""}
}

// Latest implements [queue.ChangeFeed].
func (m *Model) Latest(ctx context.Context) (string, error) {
	if err := m.begin(ctx); err != nil {
		return "", err
	}
	defer m.mu.Unlock()
	return strconv.Itoa(m.happenings), nil
}

// Changed implements [queue.ChangeFeed].
func (m *Model) Changed() <-chan struct{} { return m.changed.Next() }
