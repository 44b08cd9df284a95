package simulation

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// What the store is asked for, and how it wakes its waiters.

func (m *memory) Wake(environment string) <-chan struct{} { return m.wakes.Channel(environment) }

func (m *memory) Delivery(ctx context.Context, key gitops.DeliveryKey) (gitops.Delivery, error) {
	if err := m.begin(ctx); err != nil {
		return gitops.Delivery{}, err
	}
	defer m.mu.Unlock()
	k, ok := m.deliveries[key]
	if !ok {
		return gitops.Delivery{}, gitops.Errorf(gitops.NotFound, "there is no delivery %s", key)
	}
	return m.delivery(k), nil
}

func (m *memory) delivery(k *kept) gitops.Delivery {
	d := k.Delivery
	d.ReceivedAt = d.ReceivedAt.UTC()
	for _, id := range k.updates {
		d.Updates = append(d.Updates, m.update(id))
	}
	return d
}

func (m *memory) update(id string) gitops.Update {
	u := *m.updates[id]
	u.MaybePushed = u.State == gitops.Pending && u.Sequence <= m.lane(u.Environment).through
	return u
}

func (m *memory) Update(ctx context.Context, id string) (gitops.Update, error) {
	if err := m.begin(ctx); err != nil {
		return gitops.Update{}, err
	}
	defer m.mu.Unlock()
	if _, ok := m.updates[id]; !ok {
		return gitops.Update{}, gitops.Errorf(gitops.NotFound, "there is no update %s", id)
	}
	return m.story(id), nil
}

func (m *memory) Backlogs(ctx context.Context) ([]queue.Backlog, error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var found []queue.Backlog
	for environment, l := range m.lanes {
		if !l.used {
			continue
		}
		b := l.waits
		b.Environment = environment
		if l.held {
			b.Holder = l.holder
		}
		if pending := m.pending(l); len(pending) > 0 {
			b.Pending, b.Oldest = len(pending), pending[0].AcceptedAt
		}
		found = append(found, b)
	}
	return found, nil
}

func (m *memory) Ping(ctx context.Context) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	m.mu.Unlock()
	return nil
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
