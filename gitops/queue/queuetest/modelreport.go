package queuetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Report implements [queue.Lanes].
func (m *Model) Report(ctx context.Context, l queue.Lease, r queue.Report) (superseded []gitops.Update, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if err := m.fence("Report", l); err != nil {
		return nil, err
	}
	if err := m.inLane(l.Name, r); err != nil {
		return nil, err
	}
	m.keepProposals(l, r.Proposals)
	superseded = m.transitions(l, r.Transitions)
	for _, b := range r.Blocks {
		m.block(l, m.updates[b.Update], b.BlockedBy)
	}
	lane := m.lane(l.Name)
	switch {
	case r.Outage == nil:
		lane.outage, lane.outageSince = nil, time.Time{}
	default:
		if lane.outage == nil {
			lane.outageSince = m.now().UTC()
		}
		outage := *r.Outage
		lane.outage = &outage
	}
	return superseded, nil
}

// inLane fails unless all that the report names is in the lane.
func (m *Model) inLane(environment string, r queue.Report) error {
	var ids []string
	for _, t := range r.Transitions {
		ids = append(ids, t.Update)
	}
	for _, b := range r.Blocks {
		ids = append(ids, b.Update)
	}
	for _, known := range r.Proposals {
		ids = append(ids, known.Update)
	}
	for _, id := range ids {
		if u, ok := m.updates[id]; !ok || u.Environment != environment {
			return gitops.Errorf(gitops.NotFound, "there is no update %s in the lane of %s", id, environment)
		}
	}
	return nil
}

// transitions applies what the table allows, and then supersedes what is older
// than what was written, or proposed.
func (m *Model) transitions(l queue.Lease, all []gitops.Transition) (superseded []gitops.Update) {
	written, proposed := make(map[string]bool), make(map[string]*gitops.Update) // apps
	for _, t := range all {
		m.lane(l.Name).lastProgress = m.now().UTC()
		u := m.updates[t.Update]
		to, ok := gitops.Next(u.State, t.Action)
		if !ok {
			continue
		}
		from := u.State
		m.change(l, u, func() {
			m.move(u, to, t.Code, t.Reason, t.Commit)
			u.Attempts++
			m.found(u, t.Found)
			m.step(u, gitops.Step{Attempts: 1, State: to, Code: t.Code, Reason: t.Reason, Commit: t.Commit, Actor: t.Actor})
		})
		if gitops.Raises(from, to) {
			written[u.App] = true
			m.lane(l.Name).lastSuccess = m.now().UTC()
			m.heads[target{u.Environment, u.App}] = m.head(u.Environment, u.App).Write(*u)
		}
		if to == gitops.Proposed {
			proposed[u.App] = newest(proposed[u.App], u)
		}
	}
	for _, u := range m.open(l.Name) {
		tag, id := "", ""
		switch head, p := m.head(l.Name, u.App), proposed[u.App]; {
		case written[u.App] && u.Sequence < head.Written:
			tag, id = head.WrittenTag, head.WrittenID
		case p != nil && u.Sequence < p.Sequence:
			tag, id = p.Tag, p.ID
		default:
			continue
		}
		m.change(l, u, func() {
			reason := fmt.Sprintf("superseded by %s (update %s)", tag, id)
			m.move(u, gitops.Superseded, "", reason, "")
			m.step(u, gitops.Step{State: u.State, Reason: reason})
		})
		superseded = append(superseded, m.update(u.ID))
	}
	return superseded
}

// block puts the blocks in the place of what blocked a pending update before.
func (m *Model) block(l queue.Lease, u *gitops.Update, blocks []gitops.Block) {
	if u.State != gitops.Pending {
		return
	}
	over := gitops.JudgedBefore(blocks, m.revision)
	m.change(l, u, func() {
		now, before := m.now().UTC(), u.BlockedBy
		same := slices.EqualFunc(before, blocks, func(a, b gitops.Block) bool { return a.Kind == b.Kind && a.Reason == b.Reason })
		u.BlockedBy = slices.Clone(blocks)
		var reasons []string
		for i := range u.BlockedBy {
			b := &u.BlockedBy[i]
			since := now
			if same {
				since = before[i].Since
			}
			b.Revision, b.Since = 0, b.SinceOr(since, now)
			if over {
				b.Until = now
			}
			reasons = append(reasons, b.Reason)
		}
		u.Attempts++
		until, _ := gitops.BlockedUntil(u.BlockedBy)
		m.step(u, gitops.Step{Attempts: 1, State: u.State, Reason: strings.Join(reasons, "; "), RetryAt: until})
	})
	if m.ready(u) {
		m.notifier.Wake(u.Environment)
	}
}

// change changes an update and tells the hook.
func (m *Model) change(l queue.Lease, u *gitops.Update, how func()) {
	before := m.story(u.ID)
	how()
	if m.hooks.Changed != nil {
		m.hooks.Changed(l, before, m.story(u.ID))
	}
}

// move puts the update into a state, and into its lane's open ones or out of them.
func (m *Model) move(u *gitops.Update, to gitops.State, code gitops.Code, reason, commit string) {
	lane, wasFinal := m.lane(u.Environment), u.State.Final()
	u.State, u.Code, u.Reason, u.Commit = to, code, reason, commit
	u.BlockedBy, u.FinishedAt = nil, time.Time{}
	if to.Final() {
		u.FinishedAt, u.CancelRequest = m.now().UTC(), nil
	}
	switch {
	case to.Final() && !wasFinal:
		lane.open = slices.DeleteFunc(lane.open, func(id string) bool { return id == u.ID })
	case wasFinal && !to.Final():
		lane.open = append(lane.open, u.ID)
		slices.SortFunc(lane.open, func(a, b string) int { return cmp.Compare(m.updates[a].Sequence, m.updates[b].Sequence) })
	}
}

// step adds a step that happens now, or counts a report that says the same as the
// one before.
func (m *Model) step(u *gitops.Update, step gitops.Step) {
	step.At = m.now().UTC()
	if n := len(u.Steps); n > 0 && step.Attempts > 0 {
		last := &u.Steps[n-1]
		same := last.State == step.State && last.Code == step.Code && last.Reason == step.Reason && last.Commit == step.Commit && last.Actor == step.Actor
		if same && last.Attempts > 0 {
			last.Attempts++
			last.Until, last.RetryAt = step.At, step.RetryAt
			return
		}
	}
	m.happened(happened{update: u.ID, step: len(u.Steps)})
	u.Steps = append(u.Steps, step)
}

// Decide implements [queue.Decisions].
func (m *Model) Decide(ctx context.Context, d queue.Decision) (gitops.Update, error) {
	if d.Action != gitops.ActionRetry && d.Action != gitops.ActionDismiss && d.Action != gitops.ActionCancel {
		return gitops.Update{}, gitops.FieldErrorf("action", "%q is not a decision", d.Action)
	}
	if err := m.begin(ctx); err != nil {
		return gitops.Update{}, err
	}
	defer m.mu.Unlock()
	u, ok := m.updates[d.Update]
	if !ok {
		return gitops.Update{}, gitops.Errorf(gitops.NotFound, "there is no update %s", d.Update)
	}
	to, allowed := gitops.Next(u.State, d.Action)
	if !allowed || d.Action == gitops.ActionRetry && !m.mayRetry(*u) {
		return gitops.Update{}, gitops.NotPossible(u.ID, u.State, d.Action)
	}
	if lower := m.lowerThan(*u); d.Action == gitops.ActionRetry && u.State == gitops.Failed && lower != "" {
		return gitops.Update{}, gitops.Errorf(gitops.Conflict, "%s", lower)
	}
	if d.DryRun || d.Action == gitops.ActionCancel && u.CancelRequest != nil {
		return m.story(u.ID), nil
	}
	before := u.State
	m.change(queue.Lease{}, u, func() {
		switch d.Action {
		case gitops.ActionCancel:
			u.CancelRequest = &gitops.CancelRequest{Actor: d.Actor, Reason: d.Reason}
			to = u.State
		case gitops.ActionRetry:
			m.move(u, to, "", "", "")
			u.RetriedAt = m.now().UTC()
		default:
			m.move(u, to, "", d.Reason, "")
		}
		m.step(u, gitops.Step{State: to, Reason: d.Reason, Actor: d.Actor})
	})
	m.record(queue.DecisionEntry(d, *u, before, u.State))
	if !u.State.Final() {
		m.notifier.Wake(u.Environment)
	}
	return m.story(u.ID), nil
}

// mayRetry reports whether a retry of an update has anything to do and cannot put
// an old release over a newer one.
func (m *Model) mayRetry(u gitops.Update) bool {
	if u.State == gitops.Pending {
		return !m.ready(&u)
	}
	return m.overtakenBy(u) == ""
}
