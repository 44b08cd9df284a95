package queuetest

import (
	"cmp"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

func (m *model) happened(h happened) {
	m.happenings++
	h.number = m.happenings
	m.log = append(m.log, h)
}

// step adds a step, or counts an attempt that ended as the one before.
func (m *model) step(id string, step gitops.Step) {
	all := m.steps[id]
	if n := len(all); n > 0 && step.Attempts > 0 {
		last := &all[n-1]
		if last.Attempts > 0 && last.State == step.State && last.Code == step.Code && last.Reason == step.Reason && last.Commit == step.Commit {
			last.Attempts++
			last.Until, last.RetryAt = step.At, step.RetryAt
			return
		}
	}
	m.steps[id] = append(all, step)
	m.happened(happened{update: id, step: len(all)})
}

// story is an update with its steps.
func (m *model) story(id string) gitops.Update {
	u := m.update(id)
	u.Steps = slices.Clone(m.steps[id])
	return u
}

// change is what Changes says of it, but for the cursor.
func (m *model) change(h happened) queue.Change {
	if h.update == "" {
		d := m.delivery(h.delivery)
		d.Body = nil
		return queue.Change{At: d.ReceivedAt, Delivery: &d}
	}
	u, steps := m.update(h.update), m.steps[h.update]
	step := steps[h.step]
	u.State, u.Code, u.Reason, u.Commit, u.SettledAt, u.MaybePushed = step.State, step.Code, step.Reason, step.Commit, time.Time{}, false
	if u.State.Settled() {
		u.SettledAt = step.At
	}
	for _, later := range steps[h.step+1:] {
		u.Attempts -= later.Attempts
	}
	return queue.Change{At: step.At, Update: &u}
}

// changes are those after the one with this number.
func (m *model) changes(after int) (all []queue.Change) {
	for _, h := range m.log {
		if h.number > after {
			all = append(all, m.change(h))
		}
	}
	return all
}

// listed are the deliveries that the filter means, newest first.
func (m *model) listed(f queue.DeliveryFilter) (all []gitops.Delivery) {
	for _, h := range slices.Backward(m.log) {
		if h.update != "" {
			continue
		}
		d := m.delivery(h.delivery)
		d.Body = nil
		if (f.Source == "" || f.Source == d.Source) && (f.Outcome == "" || f.Outcome == d.Outcome) {
			all = append(all, d)
		}
	}
	return all
}

// listedUpdates are the updates that the filter means, newest first.
func (m *model) listedUpdates(f queue.UpdateFilter) (all []gitops.Update) {
	for _, d := range m.listed(queue.DeliveryFilter{}) {
		for _, u := range slices.Backward(d.Updates) {
			if (f.Environment == "" || f.Environment == u.Environment) && (f.App == "" || f.App == u.App) && (f.State == "" || f.State == u.State) {
				all = append(all, u)
			}
		}
	}
	return all
}

// mayRetry is the code that a retry must fail with.
func (m *model) mayRetry(id string) gitops.Code {
	u, ok := m.updates[id]
	if !ok {
		return gitops.NotFound
	}
	if u.State != gitops.Failed {
		return gitops.Conflict
	}
	for _, other := range m.updates {
		same := other.Environment == u.Environment && other.App == u.App
		if same && other.Sequence > u.Sequence && other.State != gitops.Failed && other.State != gitops.Superseded {
			return gitops.Conflict
		}
	}
	return ""
}

func (m *model) retry(id, actor string, now time.Time) {
	u := m.updates[id]
	u.State, u.Code, u.Reason, u.Commit, u.SettledAt = gitops.Pending, "", "", "", time.Time{}
	m.step(id, gitops.Step{At: now, State: gitops.Pending, Actor: actor})
}

// prune forgets what the contract says, and returns how many deliveries.
func (m *model) prune(before time.Time, limit int) int {
	var gone []gitops.DeliveryKey
	for _, h := range m.log {
		if h.update != "" || len(gone) == limit {
			continue
		}
		d := m.delivery(h.delivery)
		kept := !d.ReceivedAt.Before(before) || slices.ContainsFunc(d.Updates, func(u gitops.Update) bool {
			return !u.State.Settled() || !u.SettledAt.Before(before) || m.guards(u)
		})
		if !kept {
			gone = append(gone, h.delivery)
		}
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
	return len(gone)
}

// guards reports whether u is on the branch and an older update of its app could
// still be put there.
func (m *model) guards(u gitops.Update) bool {
	for _, older := range m.updates {
		same := older.Environment == u.Environment && older.App == u.App && older.Sequence < u.Sequence
		if same && (older.State == gitops.Failed || older.State == gitops.Pending) {
			return u.State == gitops.Committed || u.State == gitops.Unchanged
		}
	}
	return false
}

// ids are the ids of the deliveries of a source, in any order.
func (m *model) ids(source string) (ids []string) {
	for key := range m.deliveries {
		if key.Source == source {
			ids = append(ids, key.ID)
		}
	}
	slices.SortFunc(ids, cmp.Compare)
	return ids
}
