package lane

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// report records results, and tries for as long as the lease is ours, a drain
// notwithstanding: what was pushed and is not recorded must be searched for. It
// reports whether the lease is still ours. What is only told about an outage is not
// worth a second try. A store that does not know the updates was restored: the next
// term begins with what it has now.
//
// One transaction has a batch's updates at most, and fewer after each failure: a
// report may supersede very many, and the store need not manage that in its time.
func (t *leaseTerm) report(b batch, r queue.Report) bool {
	var failures backoff
	size := t.BatchSize
	for {
		part, rest := divide(r, size)
		superseded, err := t.reportOnce(part)
		switch {
		case err == nil:
			t.resetBackoff(&failures)
			t.recordResults(b, part)
			t.recordSuperseded(superseded)
			if updatesIn(rest) == 0 {
				return true
			}
			r = rest
			continue
		case gitops.CodeOf(err) == gitops.Conflict, gitops.CodeOf(err) == gitops.NotFound:
			t.logUnrecorded(r, err)
			t.lose(slog.String("error", err.Error()))
			return false
		case updatesIn(r) == 0:
			t.logger.Warn("outage not recorded", slog.String("error", err.Error()))
			return true
		case t.ctx.Err() != nil:
			t.logUnrecorded(r, err)
			return false
		}
		size = max(1, updatesIn(part)/2)
		t.pause(t.failed(&failures, CauseStore, "reporting results", err), wakeEvents{lost: t.ctx.Done()})
	}
}

// reportOf is what the writer knows of a batch, as a report.
func (t *leaseTerm) reportOf(b batch, result gitops.WriteResult) queue.Report {
	r := queue.Report{Transitions: t.finalOf(b, result.Transitions), Blocks: t.blockRefused(b, result.Refused)}
	for _, h := range result.Held {
		r.Blocks = append(r.Blocks, queue.Blocked{Update: h.Update, BlockedBy: h.BlockedBy})
	}
	t.respect(b, result.HandEdits, &r)
	return r
}

// reportEnded reports what ended or is blocked without a look at the branch. It reports
// whether the lease is still ours.
func (t *leaseTerm) reportEnded(b batch) bool {
	r := queue.Report{Outage: t.outage}
	t.add(b, b.ended, &r)
	return updatesIn(r) == 0 || t.report(b, r)
}

// notAnswered are those of the endings whose updates are not on the branch, as far as the
// writer knows.
func notAnswered(endings []ending, result gitops.WriteResult) []ending {
	known := make(map[string]bool)
	for _, s := range result.Transitions {
		known[s.Update] = true
	}
	for _, id := range result.Unknown {
		known[id] = true
	}
	return slices.DeleteFunc(slices.Clone(endings), func(e ending) bool { return known[e.update.ID] })
}

// updatesIn is how much there is to report of updates. What is known of a pull request goes with
// what happened to its update.
func updatesIn(r queue.Report) int {
	happened := happenedIn(r)
	n := len(r.Transitions) + len(r.Blocks)
	for _, p := range r.Proposals {
		if !happened[p.Update] {
			n++
		}
	}
	return n
}

// happenedIn are the updates, by id, to which something happened by a report.
func happenedIn(r queue.Report) map[string]bool {
	happened := make(map[string]bool, len(r.Transitions))
	for _, s := range r.Transitions {
		happened[s.Update] = true
	}
	return happened
}

// divide cuts off a report of so many updates at most, in their order.
func divide(r queue.Report, size int) (part, rest queue.Report) {
	transitions := min(len(r.Transitions), size)
	blocks := min(len(r.Blocks), size-transitions)
	part = queue.Report{Transitions: r.Transitions[:transitions], Blocks: r.Blocks[:blocks], Outage: r.Outage}
	rest = queue.Report{Transitions: r.Transitions[transitions:], Blocks: r.Blocks[blocks:], Outage: r.Outage}
	part.Proposals, rest.Proposals = divideProposals(r.Proposals, part, rest, size-transitions-blocks)
	return part, rest
}

// divideProposals has what is known of a pull request recorded with what happened to its
// update, and so many of the others.
func divideProposals(all []queue.Proposed, part, rest queue.Report, others int) (now, later []queue.Proposed) {
	inPart, inRest := happenedIn(part), happenedIn(rest)
	for _, p := range all {
		switch {
		case inPart[p.Update]:
			now = append(now, p)
		case others > 0 && !inRest[p.Update]:
			now, others = append(now, p), others-1
		default:
			later = append(later, p)
		}
	}
	return now, later
}

// reportOnce makes one attempt, also when the work was given up: what is on the
// branch is worth recording all the same.
func (t *leaseTerm) reportOnce(r queue.Report) (superseded []gitops.Update, err error) {
	t.extendDeadline(storeTime)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), storeTime)
	defer cancel()
	superseded, err = t.Queue.Report(ctx, t.lease, r)
	if err == nil {
		t.outage, t.reported = r.Outage, true
	}
	return superseded, err
}

func (t *leaseTerm) logUnrecorded(r queue.Report, err error) {
	if n := len(r.Transitions); n > 0 {
		t.logger.Warn("results not recorded, the next holder of the lane searches for them", slog.Int("updates", n), slog.String("error", err.Error()))
	}
}

// recordResults counts and logs what was reported, one line for each update.
func (t *leaseTerm) recordResults(b batch, r queue.Report) {
	for _, s := range r.Transitions {
		u := b.byID[s.Update]
		if s.Action != gitops.ActionPropose { // which writes nothing
			delete(t.refusedSince, u.App)
			delete(t.edited, u.App)
		}
		if state, allowed := gitops.Next(u.State, s.Action); allowed {
			t.recordTransition(u, s, state)
			t.settle(u, s, state)
		}
		t.forget(u.ID)
	}
	for _, blocked := range r.Blocks {
		if len(blocked.BlockedBy) == 0 {
			t.waited[blocked.Update] = t.now()
			continue
		}
		u := b.byID[blocked.Update]
		switch kind := blocked.BlockedBy[0].Kind; {
		case kind == gitops.BlockImage:
			t.waitsForImage(u)
		case kind != gitops.BlockRefused && kind != gitops.BlockProposal:
			t.forget(u.ID)
		}
		t.recordBlocks(u, blocked.BlockedBy)
	}
}

// waitsForImage keeps what is known of an update that waits for its image. When what held it
// ended counts also afterwards.
func (t *leaseTerm) waitsForImage(u gitops.Update) {
	t.waited[u.ID] = time.Time{}
	if !u.HeldUntil.IsZero() {
		t.freed[u.ID] = u.HeldUntil
	}
}

// forget forgets what is known of an update that has ended, or that something else holds.
func (t *leaseTerm) forget(id string) {
	delete(t.freed, id)
	delete(t.newer, id)
	delete(t.waited, id)
	t.Images.Forget(t.environment, []string{id})
}

// recordBlocks logs what blocks an update from now on. What people hold needs no action, and
// neither does what waits for its image, as a rule.
func (t *leaseTerm) recordBlocks(u gitops.Update, by []gitops.Block) {
	level, message := slog.LevelWarn, "update blocked"
	switch kind := by[0].Kind; {
	case kind.Held():
		level, message = slog.LevelInfo, "update held"
	case kind == gitops.BlockImage:
		level, message = slog.LevelInfo, "update waits for its image"
	}
	reasons := make([]string, len(by))
	for i, block := range by {
		reasons[i] = block.Reason
	}
	attrs := append(about(u), slog.String("kind", string(by[0].Kind)), slog.String("reason", strings.Join(reasons, "; ")))
	if until, _ := gitops.BlockedUntil(by); !until.IsZero() {
		attrs = append(attrs, slog.Time("until", until))
	}
	t.logger.Log(context.Background(), level, message, attrs...)
}

// recordSuperseded counts and logs what a report ended beside what it named.
func (t *leaseTerm) recordSuperseded(superseded []gitops.Update) {
	for _, u := range superseded {
		t.recordTransition(u, gitops.Transition{Reason: u.Reason}, u.State)
		t.settle(u, gitops.Transition{Reason: u.Reason}, u.State)
		t.forget(u.ID)
	}
}

func (t *leaseTerm) recordTransition(u gitops.Update, s gitops.Transition, state gitops.State) {
	// What a person or a freeze held, or what waited for its image, was not late. The store's
	// clock may be ahead of this one.
	since := latest(latest(u.AcceptedAt, u.HeldUntil), t.waited[u.ID])
	if p := u.Proposal; p != nil && state.Final() { // until then it waited for people
		since = latest(since, cmp.Or(p.EndedAt, time.Now()))
	}
	took := max(0, time.Since(since).Seconds())
	if state.Final() {
		t.Recorder.Finished(t.environment, state, took)
	}
	attrs := append(aboutProposal(u), slog.Float64("seconds", took))
	if s.Found != nil {
		attrs = append(attrs, slog.String("digest", s.Found.Digest))
	}
	for _, known := range []slog.Attr{
		slog.String("commit", s.Commit), slog.String("reason", s.Reason), slog.String("actor", s.Actor), slog.String("code", string(s.Code)),
	} {
		if known.Value.String() != "" {
			attrs = append(attrs, known)
		}
	}
	if state == gitops.Failed {
		t.logger.Error("update failed", attrs...)
		return
	}
	t.logger.Info(messages[state], attrs...)
}

// messages are what the log says of an update in a state.
var messages = map[gitops.State]string{
	gitops.Proposed:   "update proposed",
	gitops.Committed:  "update committed",
	gitops.Unchanged:  "update unchanged",
	gitops.Superseded: "update superseded",
	gitops.Closed:     "update closed",
	gitops.Cancelled:  "update cancelled",
}

// about are the fields of every line about an update.
func about(u gitops.Update) []any {
	return []any{slog.String("update", u.ID), slog.String("delivery", u.Delivery.String()), slog.String("app", u.App), slog.String("tag", u.Tag)}
}

// aboutProposal are these, and the update's pull request where it has one.
func aboutProposal(u gitops.Update) []any {
	attrs := about(u)
	if p := u.Proposal; p != nil {
		attrs = append(attrs, slog.Int("number", p.Number), slog.String("url", p.URL))
	}
	return attrs
}
