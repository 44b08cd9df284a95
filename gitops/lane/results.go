package lane

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// reportResults reports what is known of proposals. What could not be reported is kept for
// as long as the lease is ours; the next holder's Proposals finds it where it was found before.
// It reports whether the lease is still ours.
func (t *leaseTerm) reportResults() (ours bool, err error) {
	f := &t.following
	f.results = append(f.results, t.Proposals.Results(t.environment)...)
	if len(f.results) == 0 {
		return true, nil
	}
	if !f.answered.IsZero() {
		f.answered = time.Now()
	}
	b, err := t.resultBatch()
	if err != nil {
		return true, err
	}
	r := t.reportOfResults(b)
	f.results = nil
	return updatesIn(r) == 0 || t.report(b, r), nil
}

// resultBatch are the updates that there are results of. One that is not in hand any more has
// ended meanwhile, such as an older one whose pull request was merged before a newer one could
// take it over.
func (t *leaseTerm) resultBatch() (batch, error) {
	b := batch{byID: make(map[string]gitops.Update)}
	for _, result := range t.following.results {
		u, err := t.updateOf(result.Update)
		switch {
		case gitops.CodeOf(err) == gitops.NotFound:
			t.logger.Warn("result of a pull request left out, the store does not know its update", slog.String("update", result.Update))
			continue
		case err != nil:
			return batch{}, err
		}
		b.byID[u.ID] = u
	}
	return b, nil
}

func (t *leaseTerm) updateOf(id string) (gitops.Update, error) {
	if known := t.following.byID[id]; known != nil {
		return known.update, nil
	}
	ctx, cancel := context.WithTimeout(t.ctx, storeTime)
	defer cancel()
	return t.Queue.Update(ctx, id)
}

// reportOfResults is what is known of proposals, as a report.
func (t *leaseTerm) reportOfResults(b batch) queue.Report {
	r := queue.Report{Outage: t.outage}
	var edits []gitops.HandEdit
	for _, result := range t.following.results {
		u, ok := b.byID[result.Update]
		if !ok {
			continue
		}
		if result.Proposal != nil {
			u.Proposal = result.Proposal
			b.byID[u.ID] = u
			t.keepProposal(u)
			r.Proposals = append(r.Proposals, queue.Proposed{Update: u.ID, Proposal: *u.Proposal})
		}
		if result.Transition != nil {
			t.addTransition(u, *result.Transition, &r)
		}
		if result.Blocked != nil {
			t.addBlocked(u, *result.Blocked, &r)
		}
		if result.HandEdit != nil {
			e := *result.HandEdit
			e.Update = u.ID
			edits = append(edits, e)
			t.following.untell(u.App, u.ID)
			t.tryAgain(u)
		}
	}
	t.respect(b, edits, &r)
	return r
}

func (t *leaseTerm) keepProposal(u gitops.Update) {
	if known := t.following.byID[u.ID]; known != nil {
		known.update.Proposal = u.Proposal
	}
}

// addTransition adds what happened to an update to a report.
func (t *leaseTerm) addTransition(u gitops.Update, s gitops.Transition, r *queue.Report) {
	f := &t.following
	outdated := f.isTold(u.App, u.ID) && f.told[u.App].revision != t.currentRevision()
	to, allowed := gitops.Next(u.State, s.Action)
	if allowed && to.Final() || u.State.Final() {
		f.untell(u.App, u.ID)
	}
	switch {
	case s.Action == gitops.ActionFail && outdated:
		t.tryAgain(u) // it may be the fault of the configuration of before
		return
	case u.State.Final() && s.Action != gitops.ActionPropose && (s.Action == gitops.ActionCancel || !allowed): // its pull request has ended, as it was to
		f.drop(u.ID)
		return
	case s.Action == gitops.ActionCancel:
		e, ends := t.endingOf(u)
		if !ends || e.transition == nil { // nothing ends it any more
			t.tryAgain(u)
			return
		}
		s = *e.transition
		if p := u.Proposal; t.isClosing() && p != nil && p.EndedAt.IsZero() {
			s.Reason += stillOpen(u)
		}
	}
	if s.Found == nil && (s.Action == gitops.ActionPropose || s.Action == gitops.ActionCommit || s.Action == gitops.ActionConfirm) {
		s.Found = u.Found // of what does not come onto the branch nothing is kept
	}
	s.Update = u.ID
	r.Transitions = append(r.Transitions, s)
}

// tryAgain lets go of a pending update, which is taken again, and has a proposed one wanted
// once more, whether what is wanted of it has changed or not.
func (t *leaseTerm) tryAgain(u gitops.Update) {
	known := t.following.byID[u.ID]
	switch {
	case known == nil:
	case u.State == gitops.Pending:
		t.following.drop(u.ID)
	default:
		known.retry = true
	}
}

// addBlocked adds to a report what keeps a pending update from being proposed. Of one that is
// proposed it is logged: Proposals goes on trying.
func (t *leaseTerm) addBlocked(u gitops.Update, by gitops.Block, r *queue.Report) {
	if u.State != gitops.Pending {
		t.logger.Warn("pull request cannot be brought up to date, retrying", append(aboutProposal(u), slog.String("reason", by.Reason))...)
		return
	}
	if known := t.following.byID[u.ID]; known != nil {
		known.blocked = true
	}
	if !u.HeldUntil.IsZero() {
		t.freed[u.ID] = u.HeldUntil
	}
	r.Blocks = append(r.Blocks, queue.Blocked{Update: u.ID, BlockedBy: []gitops.Block{t.byStoreClock(by, time.Duration(t.ahead.Load()))}})
}

// settle keeps what a report has made of an update, in whatever way it ended: one whose pull
// request may be open is in hand until that is closed.
func (t *leaseTerm) settle(u gitops.Update, s gitops.Transition, state gitops.State) {
	f := &t.following
	if state.Written() && gitops.Raises(u.State, state) {
		for _, other := range f.byApp[u.App] {
			other.update.WrittenTag = u.Tag
		}
	}
	known := f.byID[u.ID]
	switch {
	case state == gitops.Proposed:
		u.State, u.BlockedBy, u.Found = state, nil, s.Found
		f.put(u)
	case known == nil:
	case f.isTold(u.App, u.ID):
		known.update.State, known.update.Reason = state, s.Reason
	default:
		f.drop(u.ID)
	}
	if state.Final() {
		delete(f.searched, u.ID)
	}
}

// closedBefore is why what automation asks for is not proposed again.
func closedBefore(u gitops.Update) string {
	by, url := cmp.Or(u.ClosedBefore.By, "a person"), ""
	if u.ClosedBefore.URL != "" {
		url = ": " + u.ClosedBefore.URL
	}
	return fmt.Sprintf("%[1]s closed the pull request of this tag before%[2]s. To propose %[3]s all the same, order it by name: tallyman update %[4]s %[3]s --env %[5]s",
		by, url, u.Tag, u.App, u.Environment)
}
