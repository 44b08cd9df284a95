package queuetest

import (
	"context"
	"slices"
	"strconv"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// waiting are the arrivals of the deliveries that wait, oldest first.
func (m *Model) waiting() (found []happened) {
	for _, h := range m.log {
		if m.deliveries[h.delivery].Outcome == gitops.OutcomeWaiting {
			found = append(found, h)
		}
	}
	return found
}

// WaitingDeliveries implements [queue.Waiting].
func (m *Model) WaitingDeliveries(ctx context.Context, p queue.Page) (found []gitops.Delivery, next string, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, "", err
	}
	defer m.mu.Unlock()
	after, err := position(p.Cursor, 0)
	if err != nil {
		return nil, "", err
	}
	for _, h := range m.waiting() {
		if h.number <= after {
			continue
		}
		if len(found) == p.Limit {
			return found, strconv.Itoa(after), nil
		}
		found, after = append(found, m.delivery(h.delivery)), h.number
	}
	return found, "", nil
}

// WaitingCount implements [queue.Waiting].
func (m *Model) WaitingCount(ctx context.Context) (queue.WaitingCount, error) {
	if err := m.begin(ctx); err != nil {
		return queue.WaitingCount{}, err
	}
	defer m.mu.Unlock()
	w := queue.WaitingCount{Count: m.waits}
	if all := m.waiting(); len(all) > 0 {
		w.Oldest = m.deliveries[all[0].delivery].ReceivedAt
	}
	return w, nil
}

// Settle implements [queue.Waiting].
func (m *Model) Settle(ctx context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	d, err := queue.Settled(d)
	if err != nil {
		return gitops.Delivery{}, false, err
	}
	if err := checkUpdates(d); err != nil {
		return gitops.Delivery{}, false, err
	}
	if err := m.begin(ctx); err != nil {
		return gitops.Delivery{}, false, err
	}
	defer m.mu.Unlock()
	switch waits, known := m.deliveries[d.Key()]; {
	case !known:
		return gitops.Delivery{}, false, gitops.Errorf(gitops.NotFound, "there is no delivery %s", d.Key())
	case waits.Outcome != gitops.OutcomeWaiting:
		return m.delivery(d.Key()), false, nil
	}
	m.log = slices.DeleteFunc(m.log, func(h happened) bool { return h.delivery == d.Key() })
	m.waits--
	d.DecidedAt = m.now().UTC()
	m.take(d)
	stored := m.delivery(d.Key())
	if m.hooks.Accepted != nil {
		m.hooks.Accepted(stored, false)
	}
	return stored, true, nil
}
