package queuetest

import (
	"context"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Claim implements [queue.Leases].
func (m *Model) Claim(ctx context.Context, holder string, names []string, ttl time.Duration) (claimed []queue.Lease, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	now := m.now().UTC()
	for _, name := range names {
		held := m.lease(name)
		if held.held && held.holder != holder && !held.dead && now.Before(held.expires) {
			continue
		}
		if lane := m.lanes[name]; lane != nil && !held.clean && len(lane.open) > 0 {
			// The last holder did not vouch for what it pushed.
			lane.through = max(lane.through, m.updates[lane.open[len(lane.open)-1]].Sequence)
		}
		*held = lease{token: held.token + 1, holder: holder, held: true, expires: now.Add(ttl)}
		l := queue.Lease{Name: name, Holder: holder, Token: held.token, ExpiresAt: held.expires}
		if m.hooks.Claimed != nil {
			m.hooks.Claimed(l)
		}
		claimed = append(claimed, l)
	}
	return claimed, nil
}

// fence fails when the lease is no longer the caller's.
func (m *Model) fence(call string, l queue.Lease) error {
	held := m.lease(l.Name)
	passed := held.held && held.token == l.Token && held.holder == l.Holder
	if m.hooks.Fenced != nil {
		m.hooks.Fenced(call, l, passed)
	}
	if !passed {
		return gitops.Errorf(gitops.Conflict, "the lease of %s was lost", l.Name)
	}
	return nil
}

// Extend implements [queue.Leases].
func (m *Model) Extend(ctx context.Context, leases []queue.Lease, ttl time.Duration) (kept []queue.Lease, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	for _, l := range leases {
		if m.fence("Extend", l) == nil {
			held := m.lease(l.Name)
			held.expires, held.dead = m.now().UTC().Add(ttl), false
			l.ExpiresAt = held.expires
			kept = append(kept, l)
		}
	}
	return kept, nil
}

// Release implements [queue.Leases].
func (m *Model) Release(ctx context.Context, l queue.Lease, clean bool) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if m.fence("Release", l) == nil {
		held := m.lease(l.Name)
		held.held, held.clean = false, clean
	}
	return nil
}

// ready reports whether nothing blocks a pending update now.
func (m *Model) ready(u *gitops.Update) bool {
	return u.State == gitops.Pending && len(m.blocking(u)) == 0
}

// blocking are the blocks of the update that have not lifted.
func (m *Model) blocking(u *gitops.Update) []gitops.Block {
	var blocks []gitops.Block
	for _, b := range u.BlockedBy {
		if b.Until.IsZero() || b.Until.After(m.now()) {
			blocks = append(blocks, b)
		}
	}
	return blocks
}

// Ready implements [queue.Lanes].
func (m *Model) Ready(ctx context.Context, environments []string) (ready []string, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	for _, environment := range environments {
		if slices.ContainsFunc(m.open(environment), func(u *gitops.Update) bool { return m.ready(u) || u.CancelRequest != nil }) {
			ready = append(ready, environment)
		}
	}
	return ready, nil
}

// open are the lane's open updates in acceptance order.
func (m *Model) open(environment string) (open []*gitops.Update) {
	if lane, ok := m.lanes[environment]; ok {
		for _, id := range lane.open {
			open = append(open, m.updates[id])
		}
	}
	return open
}

// Take implements [queue.Lanes].
func (m *Model) Take(ctx context.Context, l queue.Lease, o queue.TakeOptions) (taken []gitops.Update, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if err := m.fence("Take", l); err != nil {
		return nil, err
	}
	open := m.open(l.Name)
	inHand := m.toWrite(open, o)
	apps := make(map[string]bool)
	cancelled := 0
	for _, u := range open {
		if u.CancelRequest != nil && cancelled < o.Limit {
			cancelled++
			inHand[u.ID] = true
		}
		if inHand[u.ID] {
			apps[u.App] = true
		}
	}
	for _, u := range open {
		doubtful := slices.Contains(o.Unresolved, u.ID) || m.maybePushed(u)
		if inHand[u.ID] || apps[u.App] && doubtful {
			t := m.update(u.ID)
			t.HeldUntil, t.WrittenTag = gitops.HeldUntil(u.BlockedBy, m.now()), m.head(u.Environment, u.App).WrittenTag
			t.ImageSince, t.ClosedBefore = gitops.ImageSince(u.BlockedBy), m.closedBefore(u)
			taken = append(taken, t)
		}
	}
	return taken, nil
}

// toWrite are the ids of the ready updates that the options mean.
func (m *Model) toWrite(open []*gitops.Update, o queue.TakeOptions) map[string]bool {
	var ready []*gitops.Update
	newest := make(map[string]*gitops.Update)
	for _, u := range open {
		if m.ready(u) && !slices.Contains(o.Except, u.App) {
			ready = append(ready, u)
			newest[u.App] = u
		}
	}
	ready = slices.DeleteFunc(ready, func(u *gitops.Update) bool {
		wasHeld := !gitops.HeldUntil(u.BlockedBy, m.now()).IsZero()
		return newest[u.App] != u && (o.NewestOnly || o.NewestHeld && wasHeld)
	})
	ids := make(map[string]bool)
	for _, u := range ready[:min(o.Limit, len(ready))] {
		ids[u.ID] = true
	}
	return ids
}

func (m *Model) maybePushed(u *gitops.Update) bool {
	return !u.State.Final() && u.Sequence <= m.lane(u.Environment).through
}

// Wake implements [queue.Lanes].
func (m *Model) Wake(environment string) <-chan struct{} { return m.notifier.Channel(environment) }

// Nudge implements [queue.Lanes].
func (m *Model) Nudge(ctx context.Context, environments []string) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for _, environment := range environments {
		m.notifier.Wake(environment)
	}
	return nil
}
