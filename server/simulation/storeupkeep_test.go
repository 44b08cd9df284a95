package simulation

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// spending is a credential that was used.
type spending struct {
	by    gitops.DeliveryKey
	until time.Time
}

// Retry implements [queue.Upkeep].
func (m *memory) Retry(ctx context.Context, id, actor string) (gitops.Update, error) {
	if err := m.begin(ctx); err != nil {
		return gitops.Update{}, err
	}
	defer m.mu.Unlock()
	u, ok := m.updates[id]
	if !ok {
		return gitops.Update{}, gitops.Errorf(gitops.NotFound, "there is no update %s", id)
	}
	for _, other := range m.updates {
		newer := other.Environment == u.Environment && other.App == u.App && other.Sequence > u.Sequence
		if u.State != gitops.Failed || newer && other.State != gitops.Failed && other.State != gitops.Superseded {
			return gitops.Update{}, gitops.Errorf(gitops.Conflict, "update %s cannot be tried again", id)
		}
	}
	u.State, u.Code, u.Reason, u.Commit, u.SettledAt = gitops.Pending, "", "", "", time.Time{}
	m.step(id, gitops.Step{At: m.now().UTC(), State: gitops.Pending, Actor: actor})
	l := m.lane(u.Environment)
	l.pending = append(m.pending(l), u)
	slices.SortFunc(l.pending, func(a, b *gitops.Update) int { return cmp.Compare(a.Sequence, b.Sequence) })
	l.pending = slices.Compact(l.pending) // it may have waited there since before it failed
	m.wakes.Wake(u.Environment)
	if m.watch != nil {
		m.watch.retried(*u)
	}
	return m.story(id), nil
}

// Known implements [queue.Upkeep].
func (m *memory) Known(ctx context.Context, source string, ids []string) ([]string, error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var known []string
	for _, id := range ids {
		if _, ok := m.deliveries[gitops.DeliveryKey{Source: source, ID: id}]; ok {
			known = append(known, id)
		}
	}
	return known, nil
}

// Mark implements [queue.Upkeep].
func (m *memory) Mark(ctx context.Context, name string) (string, error) {
	if err := m.begin(ctx); err != nil {
		return "", err
	}
	defer m.mu.Unlock()
	return m.marks[name], nil
}

// SetMark implements [queue.Upkeep].
func (m *memory) SetMark(ctx context.Context, name, value string) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	m.marks[name] = value
	return nil
}

// Spend implements [queue.Upkeep].
func (m *memory) Spend(ctx context.Context, credential string, by gitops.DeliveryKey, until time.Time) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if first, used := m.spent[credential]; used && first.by != by {
		return gitops.Errorf(gitops.Conflict, "the credential was used for another delivery")
	}
	m.spent[credential] = spending{by, until}
	return nil
}

// Prune implements [queue.Upkeep].
func (m *memory) Prune(ctx context.Context, before time.Time, limit int) (pruned int, err error) {
	if err := m.begin(ctx); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	for credential, s := range m.spent {
		if !m.now().Before(s.until) {
			delete(m.spent, credential)
		}
	}
	var gone []gitops.DeliveryKey
	for _, h := range m.log {
		k := m.deliveries[h.delivery]
		if h.update != "" || len(gone) == limit || !k.ReceivedAt.Before(before) || slices.ContainsFunc(k.updates, func(id string) bool {
			u := m.updates[id]
			return !u.State.Settled() || !u.SettledAt.Before(before) || m.guards(u)
		}) {
			continue
		}
		gone = append(gone, h.delivery)
	}
	for _, key := range gone {
		for _, id := range m.deliveries[key].updates {
			delete(m.updates, id)
			delete(m.steps, id)
		}
		delete(m.deliveries, key)
	}
	m.log = slices.DeleteFunc(m.log, func(h happened) bool {
		_, update := m.updates[h.update]
		_, delivery := m.deliveries[h.delivery]
		return !update && !delivery
	})
	return len(gone), nil
}

// guards reports whether u is on the branch and an older update of its app could
// still be put there.
func (m *memory) guards(u *gitops.Update) bool {
	if u.State != gitops.Committed && u.State != gitops.Unchanged {
		return false
	}
	for _, older := range m.updates {
		if older.Environment == u.Environment && older.App == u.App && older.Sequence < u.Sequence &&
			(older.State == gitops.Failed || older.State == gitops.Pending) {
			return true
		}
	}
	return false
}
