package manifest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// maxAttempts is how often in a row the branch may move under a push before the
// callers are told to come back later.
const maxAttempts = 10

// round brings items onto the branch: it plans, pushes, and when the branch
// moved does so again. What is settled stays settled when it errs.
func (w *Writer) round(items []*item) error {
	for attempt := 0; ; attempt++ {
		if attempt > 0 {
			if err := w.pause(w.config.Jitter(min(10*time.Millisecond<<attempt, time.Second))); err != nil {
				return err
			}
		}
		before := len(items)
		err := w.attempt(items)
		items = unsettled(items)
		switch {
		case len(items) == 0:
			return nil
		case err != nil:
			return git.PublicError(err)
		case len(items) < before:
			attempt = -1 // it goes forward: these were too many for one push, or some had landed
		case attempt+1 == maxAttempts:
			return gitops.Errorf(gitops.Conflict, "the branch moved %d times in a row while it was written", maxAttempts)
		}
		w.end(items)
		if items = w.wanted(items); len(items) == 0 {
			return nil // nobody waits any more, and others do
		}
	}
}

// attempt makes one push. Items may be left unsettled without an error; they are
// to be tried again.
func (w *Writer) attempt(items []*item) error {
	if err := w.ready(w.stopping); err != nil {
		return err
	}
	err := w.bring(w.stopping, w.filesOf(items))
	if err == nil {
		err = w.settleLanded(w.stopping, items)
	}
	if err != nil {
		return w.moveOn(w.stopping, err)
	}
	items = w.begin(unsettled(items))
	if len(items) == 0 {
		return nil
	}
	p, err := w.plan(items)
	if errors.Is(err, git.ErrMissingObject) {
		return w.moveOn(w.stopping, w.start(w.stopping, w.snapshot.tip))
	}
	if err != nil {
		return err
	}
	// From here on the result is awaited even when the writer is asked to stop.
	if p.commits == 0 {
		return w.confirm(w.pushing, p)
	}
	return w.land(w.pushing, p)
}

// confirm asks whether the tip that a plan without commits was made on is still
// the branch's. Nobody is told "it already says so" or "there is no such file"
// of a branch that has moved on.
func (w *Writer) confirm(ctx context.Context, p *plan) error {
	tip, err := w.look(ctx)
	if err != nil {
		return err
	}
	if tip == w.snapshot.tip {
		w.settleAll(p)
		return nil
	}
	return w.catchUpSoon(ctx, tip)
}

// land pushes the plan and finds out what became of it.
func (w *Writer) land(ctx context.Context, p *plan) error {
	if settlesFirst {
		w.settleAll(p)
	}
	began := time.Now()
	outcome, err := w.push(ctx, p)
	w.config.Recorder.Pushed(outcome, time.Since(began), p.updates)
	if outcome == PushLanded {
		w.settleAll(p)
		return w.snapshot.advance(p)
	}
	return err
}

// push sends the plan. Without an error it has landed, or the snapshot has moved
// on and a new plan is due.
func (w *Writer) push(ctx context.Context, p *plan) (PushOutcome, error) {
	err := w.send(ctx, p)
	if err == nil {
		return PushLanded, nil
	}
	w.config.Logger.InfoContext(ctx, "a push did not succeed", "updates", p.updates, "err", err)
	if !git.ResultKnown(err) {
		w.doubt(p)
	}
	if git.RejectedBeforeGit(err) {
		w.offers.push = nil // the next attempt begins with the refs: the repository may have moved
		return PushFailed, err
	}
	tip, lookErr := w.tipAfter(ctx, err)
	switch {
	case lookErr != nil:
		// What the push met means little as long as nobody can see the branch.
		return PushFailed, fmt.Errorf("%w (after a push: %v)", lookErr, err)
	case tip == p.tip:
		return PushLanded, nil
	case tip != w.snapshot.tip:
		return PushConflict, w.catchUpSoon(ctx, tip)
	}
	var no *git.Refusal
	var moved *git.MovedError
	switch {
	case errors.As(err, &no):
		return PushRejected, err
	case errors.As(err, &moved):
		return PushFailed, nil // looking has followed the redirect
	}
	return PushFailed, err
}

// tipAfter says where the branch is after a push that did not succeed.
func (w *Writer) tipAfter(ctx context.Context, err error) (git.Hash, error) {
	var behind *git.BehindError
	if errors.As(err, &behind) {
		return w.note(behind.Seen)
	}
	return w.look(ctx)
}

// catchUpSoon catches up, or leaves it to the next attempt when the server does
// not have that tip any more: the branch has moved again meanwhile.
func (w *Writer) catchUpSoon(ctx context.Context, tip git.Hash) error {
	if err := w.catchUp(ctx, tip); !git.UnknownToServer(err) {
		return err
	}
	return nil
}

// moveOn deals with a fetch at the snapshot's tip that the server says no to. If
// the branch has moved, a newer tip is what to ask for.
func (w *Writer) moveOn(ctx context.Context, err error) error {
	if !git.UnknownToServer(err) {
		return err
	}
	tip, lookErr := w.look(ctx)
	if lookErr != nil || tip == w.snapshot.tip {
		return errors.Join(lookErr, err)
	}
	return w.catchUpSoon(ctx, tip)
}

// send pushes the plan's pack: thin, and if the server cannot unpack it so,
// whole.
func (w *Writer) send(ctx context.Context, p *plan) error {
	for {
		pack, err := w.packs.Write(p.draft, !w.offers.whole)
		if err != nil {
			return err
		}
		err = w.remote.Push(ctx, git.PushRequest{Branch: w.config.Branch, Old: w.snapshot.tip, New: p.tip, Pack: pack, Capabilities: w.offers.push})
		var no *git.Refusal
		if w.offers.whole || !errors.As(err, &no) || !no.Unpack {
			return err
		}
		w.config.Logger.WarnContext(ctx, "the server could not unpack a thin pack; whole ones are sent from now on", "err", err)
		w.offers.whole = true
	}
}

// settleAll settles every item of a plan whose tip is confirmed.
func (w *Writer) settleAll(p *plan) {
	for _, f := range p.fates {
		w.settle(f.item, f.settlement)
	}
}

// advance moves the snapshot to the tip of a plan that landed. Of the plan's
// objects it keeps those of the last commit.
func (s *snapshot) advance(p *plan) error {
	if err := s.reach(p.head.Tree, p.draft.Made); err != nil {
		return err
	}
	if s.files != nil {
		for _, o := range p.draft.Order {
			if o.Kind == git.KindBlob {
				s.files.put(o.Name, o.Object)
			}
		}
	}
	s.tip, s.head = p.tip, p.head
	for _, f := range p.fates {
		if f.settlement.State == gitops.Committed {
			s.landed.add(f.landing)
		}
	}
	return s.sweep()
}
