package queuetest

import (
	"cmp"
	"context"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// ReportRollouts implements [queue.Rollouts].
func (m *Model) ReportRollouts(ctx context.Context, l queue.Lease, reports []queue.RolloutReport) (kept []gitops.Rollout, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if l != (queue.Lease{}) {
		if err := m.fence("ReportRollouts", l); err != nil {
			return nil, err
		}
	}
	for _, r := range reports {
		if _, ok := m.updates[r.Update]; !ok {
			return nil, gitops.Errorf(gitops.NotFound, "there is no update %s", r.Update)
		}
	}
	for _, r := range reports {
		kept = append(kept, m.rollout(l, m.updates[r.Update], r.Rollout))
	}
	return kept, nil
}

// rollout keeps where an update stands in the cluster, unless that is final.
func (m *Model) rollout(l queue.Lease, u *gitops.Update, reported gitops.Rollout) gitops.Rollout {
	next, step, changed := queue.NextRollout(*u, reported, m.now())
	if changed {
		m.change(l, u, func() {
			u.Rollout = next.Clone()
			if step != nil {
				m.step(u, *step)
			}
		})
		if next.State == gitops.RolloutHealthy {
			m.heads[target{u.Environment, u.App}] = m.head(u.Environment, u.App).Run(*u)
		}
	}
	return *next.Clone()
}

// OpenRollouts implements [queue.Rollouts].
func (m *Model) OpenRollouts(ctx context.Context) (open []gitops.Update, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	for id, u := range m.updates {
		if u.Rollout != nil && !u.Rollout.State.Final() {
			open = append(open, m.update(id))
		}
	}
	slices.SortFunc(open, func(a, b gitops.Update) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return open, nil
}

// NotRunning implements [queue.Rollouts].
func (m *Model) NotRunning(ctx context.Context) (found []gitops.Update, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	for id, u := range m.updates {
		if u.Rollout == nil || m.head(u.Environment, u.App).Written != u.Sequence {
			continue
		}
		if s := u.Rollout.State; !s.Final() || s.Failed() || s == gitops.RolloutGone {
			found = append(found, m.update(id))
		}
	}
	slices.SortFunc(found, func(a, b gitops.Update) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return found, nil
}
