package queuetest

import (
	"context"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// memory is what is left of a delivery that was pruned.
type memory struct {
	key        gitops.DeliveryKey // of a digest; a key's own hash has none
	receivedAt time.Time
}

// known returns the delivery that d is a duplicate of.
func (m *Model) known(d gitops.Delivery) (first gitops.Delivery, known bool) {
	if _, ok := m.deliveries[d.Key()]; ok {
		return m.delivery(d.Key()), true
	}
	hash := queue.KeyHash(d.Key())
	if left, ok := m.memories[string(hash[:])]; ok {
		return queue.Forgotten(d.Key(), left.receivedAt), true
	}
	if !queue.CountsOnce(d) {
		return gitops.Delivery{}, false
	}
	for key, other := range m.deliveries {
		if queue.CountsOnce(other.Delivery) && slices.Equal(other.BodyDigest, d.BodyDigest) {
			return m.delivery(key), true
		}
	}
	left, ok := m.memories[string(d.BodyDigest)]
	return queue.Forgotten(left.key, left.receivedAt), ok
}

// remember keeps what a delivery that is pruned leaves.
func (m *Model) remember(d gitops.Delivery) {
	if d.Outcome != gitops.OutcomeAccepted || d.ReceivedAt.Before(m.now().Add(-queue.MemoryFor)) {
		return
	}
	hash := queue.KeyHash(d.Key())
	m.memories[string(hash[:])] = memory{receivedAt: d.ReceivedAt}
	if d.Outcome == gitops.OutcomeAccepted && d.BodyDigest != nil {
		m.memories[string(d.BodyDigest)] = memory{d.Key(), d.ReceivedAt}
	}
}

// record adds an entry to the audit.
func (m *Model) record(e gitops.AuditEntry) {
	if e.At.IsZero() {
		e.At = m.now()
	}
	m.audited++
	e.Sequence, e.At = m.audited, e.At.UTC()
	m.audit = append(m.audit, e)
}

// AppendAudit implements [queue.Audit].
func (m *Model) AppendAudit(ctx context.Context, entries []gitops.AuditEntry) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for _, e := range entries {
		m.record(e)
	}
	return nil
}

// AuditEntries implements [queue.Audit].
func (m *Model) AuditEntries(ctx context.Context, f queue.AuditFilter, p queue.Page) ([]gitops.AuditEntry, string, error) {
	return page(m, ctx, p, func() (all []numbered[gitops.AuditEntry]) {
		for _, e := range slices.Backward(m.audit) {
			if f.Matches(e) && inScope(f.Within, e.Principal, e.Environment, e.App) {
				all = append(all, numbered[gitops.AuditEntry]{int(e.Sequence), e})
			}
		}
		return all
	})
}

// pruneMemory forgets what was remembered for long enough.
func (m *Model) pruneMemory() {
	before := m.now().Add(-queue.MemoryFor)
	for hash, left := range m.memories {
		if left.receivedAt.Before(before) {
			delete(m.memories, hash)
		}
	}
	m.audit = slices.DeleteFunc(m.audit, func(e gitops.AuditEntry) bool {
		_, kept := m.updates[e.Update]
		return e.At.Before(before) && (e.Act != gitops.ActOrder || !kept)
	})
}

// inScope reports whether a reader of the scope sees what the principal sent for the
// app in the environment.
func inScope(s *queue.Scope, principal, environment, app string) bool {
	return s == nil || s.Principal != "" && s.Principal == principal || slices.ContainsFunc(s.Areas, func(a queue.Area) bool {
		return (a.Environment == "" || a.Environment == environment) && (a.App == "" || a.App == app) && environment != ""
	})
}

// deliveryInScope reports whether a reader of the scope sees the delivery.
func deliveryInScope(s *queue.Scope, d gitops.Delivery) bool {
	return inScope(s, d.Principal, d.Environment, d.App) || slices.ContainsFunc(d.Updates, func(u gitops.Update) bool {
		return inScope(s, d.Principal, u.Environment, u.App)
	})
}
