package manifest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// push makes one attempt to bring items onto the branch. Items may be left
// unanswered without an error: the branch moved, or they did not fit; they are to be
// tried again. This is the only place from which anything is written, so what a
// process that dies leaves behind shows here, step by step.
func (a *actor) push(items []*item) error {
	for _, i := range items {
		i.held, i.edit = gitops.Held{}, gitops.HandEdit{} // of an earlier push, which was not made
	}

	// The tip. A snapshot may be as old as it likes: whatever is decided on it counts
	// only once the server has confirmed, below, that the branch is still there.
	// A crash leaves nothing.
	if err := a.ensureSnapshot(a.stopping); err != nil {
		return err
	}

	// What landed. A process that died, or a push whose result is unknown, may have
	// put some of these onto the branch; they are looked for before anything is
	// written. A crash leaves the branch as it was found.
	planned, err := a.resolve(a.stopping, items)
	if err != nil {
		return a.retryAtNewTip(a.stopping, err)
	}

	// The edits. They are made on the snapshot and nothing leaves the process.
	if err := a.FetchFiles(a.stopping, a.snapshot, a.pathsOf(planned)); err != nil {
		return a.retryAtNewTip(a.stopping, err)
	}
	if planned = a.queue.beginPush(planned); len(planned) == 0 {
		return nil
	}
	for searches := 0; ; {
		p, err := a.plan(a.stopping, planned)
		var later *edit.NotNow
		if errors.As(err, &later) {
			return later.Why
		}
		if err != nil {
			return err
		}
		if asked := p.asked[:min(len(p.asked), mostSearches-searches)]; len(asked) > 0 {
			// Whose the tags are that nobody expected. A crash leaves nothing.
			if stayed, err := a.findEdits(a.stopping, asked); err != nil || !stayed {
				return err
			}
			searches += len(asked)
			continue
		}
		held, err := a.attempt(p)
		if len(held) == 0 {
			return err
		}
		takeOut(planned, held)
	}
}

// attempt brings a plan onto the branch, and answers its items. When some of the updates
// in its commits are held by now, it returns those and does nothing.
func (a *actor) attempt(p *plan) (held []gitops.Held, err error) {
	// The push, by compare-and-swap. From its first byte until the store has the
	// report, a crash leaves either all of the plan's commits on the branch or none,
	// and the process that comes next does not know which: the store gives it these
	// updates with MaybePushed, and it finds them as above. So from here on the result
	// is awaited even when the writer is asked to stop.
	var sent error
	if p.commits > 0 {
		pack, err := a.packs.Write(p.draft, !a.noThin)
		if err != nil {
			return nil, err
		}
		held, ended, err := a.askGate(p)
		defer ended()
		if err != nil || len(held) > 0 {
			return held, err
		}
		p.sentAt = time.Now()
		sent = a.send(a.pushing, p, pack)
		defer func() { a.config.Recorder.Pushed(p.outcome, time.Since(p.sentAt), p.updates) }()
	}

	// The branch judges, whatever the answer said.
	p.outcome, err = a.judge(a.pushing, p, sent)

	// The report. It is of the tip that the branch was just seen at.
	switch {
	case p.outcome == PushLanded:
		a.report(p)
	case p.outcome == PushRejected:
		return nil, &rejectedError{git.PublicError(sent)}
	}
	return nil, err
}

// rejectedError says that the server rejected a push, with its words.
type rejectedError struct{ why error }

func (e *rejectedError) Error() string { return e.why.Error() }
func (e *rejectedError) Unwrap() error { return e.why }

func isRejection(err error) bool {
	var rejected *rejectedError
	return errors.As(err, &rejected)
}

// send pushes the plan's pack. As long as the server has not said what came of it, the
// updates count as pushed.
func (a *actor) send(ctx context.Context, p *plan, pack []byte) error {
	err := a.Remote.Push(ctx, git.PushRequest{Branch: a.config.Branch, Old: a.snapshot.Tip, New: p.next.Tip, Pack: pack, Capabilities: a.pushCaps})
	if err != nil {
		a.config.Logger.InfoContext(ctx, "push failed", "updates", p.updates, "error", err)
	}
	if err != nil && !git.ResultKnown(err) {
		a.trackUnknown(p)
	}
	return err
}

// trackUnknown remembers that the result of a push is unknown. The branch will tell,
// but what it tells may be forgotten again when its updates are given again.
func (a *actor) trackUnknown(p *plan) {
	for _, r := range p.results {
		if r.transition.Action == gitops.ActionCommit {
			a.unknown[r.item.update.ID] = true
		}
	}
	if len(a.unknown) > a.config.Limits.UnknownPushes {
		clear(a.unknown)
		a.landings.UnknownBefore = a.config.Now() // so that whatever waits now is looked for
	}
}

// judge finds out how a push ended. A plan without commits is judged in the same
// way: no caller is told "it has this tag already" or "there is no such file" of a
// branch that has moved on. When the branch moved, the snapshot has caught up
// afterwards and a new plan is due.
func (a *actor) judge(ctx context.Context, p *plan, sent error) (PushOutcome, error) {
	if p.commits > 0 && sent == nil {
		return PushLanded, nil
	}
	if git.RejectedBeforeGit(sent) {
		if gitops.CodeOf(git.PublicError(sent)) == gitops.TooLarge {
			return PushRejected, sent
		}
		a.pushCaps = nil // the next attempt begins with the refs: the repository may have moved
		return PushFailed, sent
	}
	var behind *git.BehindError
	tip, err := git.Hash{}, error(nil)
	if errors.As(sent, &behind) {
		tip, err = a.recordRefs(behind.Seen)
	} else {
		tip, err = a.checkPushAccess(ctx)
	}
	switch {
	case err != nil && sent != nil:
		// What the push met means little as long as the branch cannot be seen.
		return PushFailed, fmt.Errorf("%w (after a push: %v)", err, sent)
	case err != nil:
		return PushFailed, err
	case tip == p.next.Tip:
		return PushLanded, nil
	case tip != a.snapshot.Tip:
		return PushConflict, a.moveSoon(ctx, tip)
	}
	var no *git.Refusal
	var moved *git.MovedError
	switch {
	case errors.As(sent, &no) && no.Unpack && !a.noThin:
		a.config.Logger.WarnContext(ctx, "the git server could not unpack a thin pack, sending whole ones", "error", sent)
		a.noThin = true
		return PushFailed, nil
	case errors.As(sent, &no) && no.Kind() == git.RefusedMoved:
		// Another push holds the branch's lock: no update is at fault, or taken out of its order.
		return PushFailed, gitops.Errorf(gitops.Unavailable, "the branch is locked at the git server: %s", no).WithCause(sent)
	case errors.As(sent, &no):
		return PushRejected, sent
	case errors.As(sent, &moved):
		return PushFailed, nil // looking has followed the redirect
	}
	return PushFailed, sent
}

// report answers every item of a plan that the branch has confirmed, and moves the
// snapshot to the plan's tip.
func (a *actor) report(p *plan) {
	if p.commits > 0 {
		a.setSnapshot(p.next, p.sentAt)
		p.edits.KnowWritten(p.next)
	}
	for _, r := range p.results {
		if r.transition.Action == gitops.ActionCommit {
			a.landings.Add(r.landing)
			delete(a.rejected, r.item.update.Environment)
			a.remember(r.item.update)
		}
		a.answer(r.item, answer{transition: r.transition, held: r.item.held, edit: r.item.edit})
	}
}

// remember remembers the tag that was written, for as long as nobody else moves the branch:
// what comes next may still name the one before as what is expected.
func (a *actor) remember(u gitops.Update) {
	if len(a.wrote) > a.config.Limits.Landings {
		clear(a.wrote)
	}
	a.wrote[appOfUpdate(u)] = u.Tag
}

// answer records what is known of an item. What was unknown of its pushes is known
// with it.
func (a *actor) answer(i *item, known answer) {
	delete(a.unknown, i.update.ID)
	a.queue.answer(i, known)
}
