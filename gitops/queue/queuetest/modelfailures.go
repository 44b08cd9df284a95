package queuetest

import (
	"cmp"
	"context"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Failures implements [queue.Reader].
func (m *Model) Failures(ctx context.Context) (found []queue.Failure, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var failed []gitops.Update
	for _, u := range m.updates {
		if u.State == gitops.Failed && m.overtakenBy(*u) == "" {
			failed = append(failed, *u)
		}
	}
	slices.SortFunc(failed, func(a, b gitops.Update) int {
		return cmp.Or(cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.App, b.App), cmp.Compare(a.Sequence, b.Sequence))
	})
	for _, u := range failed {
		if n := len(found); n == 0 || found[n-1].Environment != u.Environment || found[n-1].App != u.App {
			found = append(found, queue.Failure{Environment: u.Environment, App: u.App, Oldest: u.FinishedAt})
		}
		f := &found[len(found)-1]
		f.Count, f.Newest = f.Count+1, u.ID
	}
	return found, nil
}

// Overtaken implements [queue.Reader].
func (m *Model) Overtaken(ctx context.Context, ids []string) (map[string]string, error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	by := make(map[string]string)
	for _, id := range ids {
		if u, ok := m.updates[id]; ok && u.State == gitops.Failed {
			if newer := m.overtakenBy(*u); newer != "" {
				by[id] = newer
			}
		}
	}
	return by, nil
}

// overtakenBy is the newest later update of the same app that is open or written; ""
// when there is none.
func (m *Model) overtakenBy(of gitops.Update) (id string) {
	newest := of.Sequence
	if head := m.head(of.Environment, of.App); head.Written > newest {
		newest, id = head.Written, head.WrittenID
	}
	for _, u := range m.updates {
		if u.Environment == of.Environment && u.App == of.App && u.Sequence > newest && !u.State.Final() {
			newest, id = u.Sequence, u.ID
		}
	}
	return id
}
