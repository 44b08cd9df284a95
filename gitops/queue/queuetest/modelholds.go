package queuetest

import (
	"context"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// hold is one with its number and the request that it was placed with.
type hold struct {
	gitops.Hold
	number  int64
	request string
}

// HoldsInForce implements [queue.Holds].
func (m *Model) HoldsInForce(ctx context.Context) (queue.InForce, error) {
	if err := m.begin(ctx); err != nil {
		return queue.InForce{}, err
	}
	defer m.mu.Unlock()
	return queue.InForce{Holds: m.inForce(), Revision: m.revision, At: m.now().UTC().Truncate(time.Microsecond)}, nil
}

func (m *Model) inForce() (found []gitops.Hold) {
	for _, h := range m.holds {
		if h.InForce(m.now()) {
			found = append(found, h.Hold)
		}
	}
	return found
}

// HoldsRevision implements [queue.Holds].
func (m *Model) HoldsRevision(ctx context.Context) (int64, error) {
	if err := m.begin(ctx); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	return m.revision, nil
}

// HoldsListed implements [queue.Holds].
func (m *Model) HoldsListed(ctx context.Context, f queue.HoldFilter, p queue.Page) ([]gitops.Hold, string, error) {
	return page(m, ctx, p, func() (all []numbered[gitops.Hold]) {
		for _, h := range slices.Backward(m.holds) {
			if f.Matches(h.Hold, m.now()) {
				all = append(all, numbered[gitops.Hold]{int(h.number), h.Hold})
			}
		}
		return all
	})
}

// Place implements [queue.Holds].
func (m *Model) Place(ctx context.Context, p queue.Placement) (placed queue.Placed, err error) {
	if p.Order != nil {
		if err := checkUpdates(*p.Order); err != nil {
			return placed, err
		}
	}
	if err := m.begin(ctx); err != nil {
		return placed, err
	}
	defer m.mu.Unlock()
	if placed = m.placedBefore(p); placed.Duplicate {
		return placed, nil
	}
	if err := p.Check(m.now()); err != nil {
		return placed, err
	}
	if p.Written != "" {
		u := p.Order.Updates[0]
		if err := p.CheckWritten(m.head(u.Environment, u.App)); err != nil {
			return placed, err
		}
	}
	if len(m.replaced(p.Holds...)) < len(m.inForce())+len(p.Holds)-queue.MaxHolds {
		return placed, queue.ErrTooManyHolds()
	}
	for _, h := range p.Holds {
		m.place(h, p, &placed)
	}
	if p.Order != nil {
		d := *p.Order
		d.DecidedAt = time.Time{}
		m.take(d)
		stored := m.delivery(d.Key())
		placed.Order = &stored
		if m.hooks.Accepted != nil {
			m.hooks.Accepted(stored, false)
		}
	}
	for _, e := range p.Entries {
		m.record(e)
	}
	return placed, nil
}

// placedBefore is what the first request with the placement's key led to.
func (m *Model) placedBefore(p queue.Placement) (placed queue.Placed) {
	request := p.Request()
	if p.Order != nil {
		first, known := m.known(*p.Order)
		if !known {
			return placed
		}
		placed.Order, placed.Duplicate, request = &first, true, queue.OrderRequest(first.Key())
	}
	for _, h := range m.holds {
		if request != "" && h.request == request {
			placed.Holds, placed.Duplicate = append(placed.Holds, h.Hold), true
		}
	}
	return placed
}

// replaced are the holds in force that one of the new ones replaces.
func (m *Model) replaced(by ...gitops.Hold) (found []gitops.Hold) {
	by = slices.DeleteFunc(slices.Clone(by), func(h gitops.Hold) bool { return h.Kind != gitops.HoldPin && h.Kind != gitops.HoldBad })
	if len(by) == 0 {
		return nil
	}
	for _, old := range m.inForce() {
		if slices.ContainsFunc(by, func(h gitops.Hold) bool { return h.Replaces(old) }) {
			found = append(found, old)
		}
	}
	return found
}

func (m *Model) place(h gitops.Hold, p queue.Placement, placed *queue.Placed) {
	replaced := m.replaced(h)
	m.held++
	h.ID, h.Since, h.Until, h.Lifted = gitops.HoldID(m.held), m.now().UTC(), h.Until.UTC(), nil
	h.Environments, h.Apps = slices.Clone(h.Environments), slices.Clone(h.Apps)
	m.holds = append(m.holds, hold{h, m.held, p.Request()})
	m.happened(happened{hold: &h})
	for _, old := range replaced {
		ended, _ := m.end(old, p.Replacing(h))
		placed.Replaced = append(placed.Replaced, ended)
	}
	for _, e := range p.HoldEntries(h, replaced) {
		m.record(e)
	}
	m.revise()
	placed.Holds = append(placed.Holds, h)
}

// revise raises the revision, by the clock: see [queue.Holds].
func (m *Model) revise() { m.revision = max(m.revision+1, m.now().UnixMicro()) }

// Lift implements [queue.Holds].
func (m *Model) Lift(ctx context.Context, l queue.Lifting) (lifted queue.Lifted, err error) {
	if err := m.begin(ctx); err != nil {
		return lifted, err
	}
	defer m.mu.Unlock()
	for _, id := range l.IDs {
		if !slices.ContainsFunc(m.holds, func(h hold) bool { return h.ID == id }) {
			return lifted, queue.ErrNoHold(id)
		}
	}
	ready := make(map[string]bool)
	for _, h := range m.holds {
		if !slices.Contains(l.IDs, h.ID) {
			continue
		}
		after := h.Hold
		switch {
		case !h.InForce(m.now()):
		case l.DryRun:
			for _, u := range m.heldBy(h.Hold) {
				ready[u.ID] = true
			}
		default:
			var n int
			after, n = m.end(h.Hold, l)
			lifted.Ready += n
			m.revise()
		}
		lifted.Holds = append(lifted.Holds, after)
	}
	lifted.Ready += len(ready)
	return lifted, nil
}

// end lifts a hold that is in force, and makes ready what it blocked.
func (m *Model) end(h gitops.Hold, l queue.Lifting) (ended gitops.Hold, ready int) {
	for _, e := range l.LiftEntries(h) {
		m.record(e)
	}
	h.Lifted = &gitops.Lift{At: m.now().UTC(), Principal: l.Principal, Actor: l.Actor, Reason: l.Reason}
	for i := range m.holds {
		if m.holds[i].ID == h.ID {
			m.holds[i].Hold = h
		}
	}
	m.happened(happened{hold: &h})
	held := m.heldBy(h)
	m.free(held)
	return h, len(held)
}

// heldBy are the updates that a hold may have blocked.
func (m *Model) heldBy(h gitops.Hold) []*gitops.Update {
	return slices.DeleteFunc(m.heldAs(gitops.BlockKind(h.Kind)), func(u *gitops.Update) bool {
		return !h.Covers(u.Environment, u.App) || h.Kind == gitops.HoldBad && h.Tag != u.Tag
	})
}

// heldAs are the pending updates that holds keep from being written, or that wait for
// their image, with a block of a kind.
func (m *Model) heldAs(kind gitops.BlockKind) (found []*gitops.Update) {
	for _, u := range m.updates {
		blocked := u.State == gitops.Pending && !m.ready(u) && (u.BlockedBy[0].Kind.Held() || u.BlockedBy[0].Kind == gitops.BlockImage && kind == gitops.BlockImage)
		if blocked && slices.ContainsFunc(u.BlockedBy, func(b gitops.Block) bool { return b.Kind == kind }) {
			found = append(found, u)
		}
	}
	return found
}

// free ends the blocks of updates now, as if they had been until then.
func (m *Model) free(held []*gitops.Update) {
	for _, u := range held {
		u.BlockedBy = slices.Clone(u.BlockedBy)
		for i := range u.BlockedBy {
			u.BlockedBy[i] = u.BlockedBy[i].Ended(m.now().UTC())
		}
		m.notifier.Wake(u.Environment)
	}
}

// Rejudge implements [queue.Holds].
func (m *Model) Rejudge(ctx context.Context, kind gitops.BlockKind, environments []string) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	m.free(slices.DeleteFunc(m.heldAs(kind), func(u *gitops.Update) bool {
		return len(environments) > 0 && !slices.Contains(environments, u.Environment)
	}))
	return nil
}

// pruneHolds forgets the holds that ended long enough ago.
func (m *Model) pruneHolds() {
	before := m.now().Add(-queue.MemoryFor)
	m.holds = slices.DeleteFunc(m.holds, func(h hold) bool {
		end := h.Until
		if h.Lifted != nil {
			end = h.Lifted.At
		}
		return !end.IsZero() && end.Before(before)
	})
}

// keepsHold reports whether a hold is kept; false for nil.
func (m *Model) keepsHold(of *gitops.Hold) bool {
	return of != nil && slices.ContainsFunc(m.holds, func(h hold) bool { return h.ID == of.ID })
}
