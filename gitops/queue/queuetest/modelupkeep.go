package queuetest

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Checkpoint implements [queue.Checkpoints].
func (m *Model) Checkpoint(ctx context.Context, name string) (string, error) {
	if err := m.begin(ctx); err != nil {
		return "", err
	}
	defer m.mu.Unlock()
	return m.checkpoints[name], nil
}

// SetCheckpoint implements [queue.Checkpoints].
func (m *Model) SetCheckpoint(ctx context.Context, name, value string) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	m.checkpoints[name] = value
	return nil
}

// UseOnce implements [queue.ReplayGuard].
func (m *Model) UseOnce(ctx context.Context, credential string, by gitops.DeliveryKey, until time.Time) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if first, ok := m.used[credential]; ok && first.by != by {
		return gitops.Errorf(gitops.Conflict, "the credential was used for another delivery")
	}
	m.used[credential] = usedToken{by, until}
	return nil
}

// ProofKeys implements [queue.ProofKeys]. The first key is a function of the clock, so
// that what is played again from a seed makes the same commits.
func (m *Model) ProofKeys(ctx context.Context) ([]gitops.ProofKey, error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if len(m.proofKeys) == 0 {
		now := m.now()
		m.proofKeys = []gitops.ProofKey{gitops.ProofKeyOf(sha256.Sum256([]byte(now.String())), now)}
	}
	return slices.Clone(m.proofKeys), nil
}

// Usage implements [queue.Meter]. A store in memory takes no room.
func (m *Model) Usage(ctx context.Context) (queue.Usage, error) {
	if err := m.begin(ctx); err != nil {
		return queue.Usage{}, err
	}
	m.mu.Unlock()
	return queue.Usage{}, nil
}

// Prune implements [queue.Pruner].
func (m *Model) Prune(ctx context.Context, before time.Time, limit int) (pruned int, err error) {
	if err := m.begin(ctx); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	for credential, u := range m.used {
		if !m.now().Before(u.until) {
			delete(m.used, credential)
		}
	}
	for _, h := range m.log {
		if pruned < limit && h.delivery != (gitops.DeliveryKey{}) && m.over(m.deliveries[h.delivery], before) {
			m.remember(m.deliveries[h.delivery].Delivery)
			for _, id := range m.deliveries[h.delivery].updates {
				delete(m.updates, id)
			}
			delete(m.deliveries, h.delivery)
			pruned++
		}
	}
	m.pruneHolds()
	m.log = slices.DeleteFunc(m.log, func(h happened) bool {
		_, update := m.updates[h.update]
		_, delivery := m.deliveries[h.delivery]
		return !update && !delivery && !m.keepsHold(h.hold)
	})
	m.pruneMemory()
	return pruned, nil
}

// over reports whether the delivery arrived, and all of its updates were final,
// before a time; or whether it was rejected or ignored long ago. What waits is not over.
func (m *Model) over(d delivery, before time.Time) bool {
	if unaccepted := m.now().Add(-queue.UnacceptedFor); d.Outcome != gitops.OutcomeAccepted && unaccepted.After(before) {
		before = unaccepted
	}
	return d.Outcome != gitops.OutcomeWaiting && d.ReceivedAt.Before(before) && d.DecidedAt.Before(before) && !slices.ContainsFunc(d.updates, func(id string) bool {
		u := m.updates[id]
		return !u.State.Final() || !u.FinishedAt.Before(before)
	})
}
