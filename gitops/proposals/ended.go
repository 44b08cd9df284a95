package proposals

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// blockTime is how long what waits for a person is blocked before it is reported again.
const blockTime = 15 * time.Minute

// afterEnd is the next step after the branch's newest pull request was merged or closed.
func (s seen) afterEnd(w wish) step {
	merged := s.pull.State == PullMerged
	if s.isOf(w.Update) || merged && s.isHead(w.Update) {
		switch {
		case !s.fresh:
			return step{do: askGet} // lists do not say who ended it
		case merged:
			return s.land(w, w.Update)
		case w.Close == "" && (!s.pull.ByUs || s.isDeserted()):
			return s.end(w, s.closed(w.Update))
		}
		return s.withoutPull(w)
	}
	for _, o := range w.older {
		switch {
		case !s.isOf(o.Update) && (!merged || !s.isHead(o.Update)):
		case !s.fresh:
			return step{do: askGet}
		default:
			return s.ended(w, o)
		}
	}
	return s.withoutPull(w)
}

// ended tells what happened to an update that was wished for before, whose pull request ended.
func (s seen) ended(w wish, o gitops.ProposalWish) step {
	t := s.closed(o.Update)
	switch {
	case s.pull.State == PullMerged:
		return s.land(w, o.Update)
	case s.isDeserted():
	case s.pull.ByUs && o.Close != "":
		t = cancelled(o)
	case s.pull.ByUs:
		t = gitops.Transition{Update: o.Update.ID, Action: gitops.ActionSupersede, Reason: "tallyman closed " + s.pull.name() + ": " + w.Update.Tag + " was to take its place"}
	}
	return step{do: report, results: []gitops.ProposalResult{s.result(o.Update, t)}}
}

// overtaken is an older wish whose pull request is not the newest one of the branch: another
// process opened that, and may have died before it told what happened to this one.
func (s seen) overtaken(w wish) (o gitops.ProposalWish, found bool) {
	for _, o := range w.older {
		if p := o.Update.Proposal; p != nil && p.Number != s.pull.Number {
			return o, true
		}
	}
	return o, false
}

// settle tells what happened to an older wish's own pull request.
func (s seen) settle(w wish, o gitops.ProposalWish) step {
	if s.past == nil || s.past.Number != o.Update.Proposal.Number {
		return step{do: askPast, older: o.Update}
	}
	if s.past.State == PullOpen {
		return step{do: forget, older: o.Update}
	}
	return s.atPast().ended(w, o)
}

// atPast is what is seen, with the pull request that another one came after in the place of the
// branch's newest.
func (s seen) atPast() seen {
	s.pull, s.over, s.fresh, s.current = s.past, s.pastAt, true, true
	return s
}

// settleOwn tells what happened to the wished update's own pull request, where the branch's newest is
// another's: of an update that no lane wishes for any more, which another process proposed and
// could not tell of. It is false where that says nothing.
func (s seen) settleOwn(w wish) (st step, settled bool) {
	p := w.Update.Proposal
	switch {
	case p == nil || p.Number == s.pull.Number || s.isOf(w.Update):
		return step{}, false
	case s.past == nil || s.past.Number != p.Number:
		return step{do: askPast, older: w.Update}, true
	}
	switch before := s.atPast(); {
	case s.past.State == PullMerged:
		return before.land(w, w.Update), true
	case s.past.State == PullClosed && !s.past.ByUs:
		return before.end(w, before.closed(w.Update)), true
	}
	return step{}, false
}

// land is the next step after the pull request of an update was merged. The commit that the
// forge names is a hint: the base branch must reach it, and have the tag or the very commit
// that was built.
func (s seen) land(w wish, u gitops.Update) step {
	there := s.base.Tag == u.Tag
	switch {
	case s.landed == nil || s.landed.number != s.pull.Number:
		return step{do: askLanded, pull: s.pull}
	case s.landed.commit && (there || s.isHead(u)):
		return s.endOf(w, u, committed(u, s.pull.Landed))
	case there && s.origin == nil:
		return step{do: askOrigin}
	case there:
		return s.endOf(w, u, committed(u, cmp.Or(s.origin.Commit, s.pull.Landed, s.pull.Head)))
	case s.landed.head && s.isHead(u):
		return s.endOf(w, u, committed(u, s.pull.Head))
	case !s.landed.commit && !s.landed.head && s.now.Sub(s.over) < lagMost:
		return step{do: wait, after: lagWait}
	}
	return s.endOf(w, u, gitops.Transition{Update: u.ID, Action: gitops.ActionSupersede, Reason: fmt.Sprintf(
		"%s merged %s, and the file has the tag %s, not %s. To write %[4]s all the same, order it by name: %[5]s",
		whoever(s.pull.EndedBy), s.pull.name(), cmp.Or(s.base.Tag, "of somebody else"), u.Tag, orderAgain(u))})
}

func committed(u gitops.Update, commit git.Hash) gitops.Transition {
	return gitops.Transition{Update: u.ID, Action: gitops.ActionCommit, Commit: commit.String(), Found: u.Found}
}

func cancelled(w gitops.ProposalWish) gitops.Transition {
	t := gitops.Transition{Update: w.Update.ID, Action: gitops.ActionCancel, Reason: w.Close}
	if w.Update.CancelRequest != nil {
		t.Actor = w.Update.CancelRequest.Actor
	}
	return t
}

// isDeserted reports whether tallyman closed the pull request because somebody had deleted its
// branch. That is a person's no, as closing it is: most forges take it for that themselves. A
// process that dies between the close and its report does not know, and proposes once more.
func (s seen) isDeserted() bool { return s.pull.ByUs && s.left == s.pull.Number }

// closed says that a person closed the pull request of an update.
func (s seen) closed(u gitops.Update) gitops.Transition {
	if s.isDeserted() {
		return gitops.Transition{Update: u.ID, Action: gitops.ActionClose, Reason: fmt.Sprintf(
			"somebody deleted the branch of %s (%s), which tallyman closed then. To write %s all the same, order it by name: %s",
			s.pull.name(), s.pull.URL, u.Tag, orderAgain(u))}
	}
	return gitops.Transition{Update: u.ID, Action: gitops.ActionClose, Reason: fmt.Sprintf(
		"%s closed %s (%s). To write %s all the same, order it by name: %s",
		whoever(s.pull.EndedBy), s.pull.name(), s.pull.URL, u.Tag, orderAgain(u))}
}

func whoever(login string) string {
	return gitops.Clip(cmp.Or(login, "somebody (the forge does not say who)"), 100)
}

func orderAgain(u gitops.Update) string {
	return fmt.Sprintf("tallyman update %s %s --env %s", u.App, u.Tag, u.Environment)
}

// endOf ends the wish, or an update that was wished for before.
func (s seen) endOf(w wish, u gitops.Update, t gitops.Transition) step {
	if u.ID == w.Update.ID {
		return s.end(w, t)
	}
	return step{do: report, results: []gitops.ProposalResult{s.result(u, t)}}
}

// end ends the wish. Older updates whose pull request it had taken over end with it, where
// the store does not supersede them because something newer was written.
func (s seen) end(w wish, t gitops.Transition) step {
	results := []gitops.ProposalResult{s.result(w.Update, t)}
	for _, o := range w.older {
		u := o.Update
		if s.pull == nil || s.pull.State == PullOpen || !s.isOf(u) || !s.isOf(w.Update) {
			continue
		}
		switch t.Action {
		case gitops.ActionClose:
			results = append(results, s.result(u, s.closed(u)))
		case gitops.ActionCancel:
			results = append(results, s.result(u, gitops.Transition{Update: u.ID, Action: gitops.ActionSupersede,
				Reason: fmt.Sprintf("%s took over its pull request, and was cancelled", w.Update.Tag)}))
		}
	}
	return step{do: report, ends: true, results: results}
}

// result is that something happened to an update, with its pull request as it is.
func (s seen) result(u gitops.Update, t gitops.Transition) gitops.ProposalResult {
	r := gitops.ProposalResult{Update: u.ID, Transition: &t}
	if s.pull != nil && s.pull.State != PullOpen && s.fresh && s.isOf(u) {
		p := s.proposal(u)
		if p.EndedAt = s.pull.EndedAt; !s.isDeserted() {
			p.EndedBy = s.pull.EndedBy
		}
		r.Proposal = &p
	}
	return r
}

// proposal is what is known of the pull request, as far as it concerns an update.
func (s seen) proposal(u gitops.Update) gitops.Proposal {
	p := gitops.Proposal{Number: s.pull.Number, URL: s.pull.URL, OpenedAt: s.pull.OpenedAt.UTC(), Head: s.pull.Head.String()}
	if s.pull.State == PullOpen && s.has(u) {
		p.Head = s.head.String()
	} else if u.Proposal != nil && u.Proposal.Number == s.pull.Number {
		p.Head = u.Proposal.Head
	}
	return p
}

// propose tells the lane that the pull request is open.
func (s seen) propose(w wish) step {
	p := s.proposal(w.Update)
	p.WaitsFor = s.waitsFor(w)
	return step{do: report, results: []gitops.ProposalResult{{
		Update: w.Update.ID, Proposal: &p,
		Transition: &gitops.Transition{Update: w.Update.ID, Action: gitops.ActionPropose, Reason: s.pull.name() + " is open: " + s.pull.URL},
	}}}
}

// waitsFor is what keeps the pull request from being merged.
func (s seen) waitsFor(w wish) []string {
	waits := slices.Clone(s.pull.WaitsFor)
	for _, b := range w.Held {
		waits = append(waits, b.Reason)
	}
	if !s.topic.Ours && !s.head.IsZero() {
		waits = append(waits, "a person's commit is on its branch, of "+quote(s.topic.Author)+": tallyman does not push over it")
	}
	if s.pull.Queued {
		waits = append(waits, "the merge queue")
	}
	if s.note != "" {
		waits = append(waits, s.note)
	}
	return waits
}

// tell tells the lane what is known of the pull request, where that changed, or else is the
// other step.
func (s seen) tell(w wish, otherwise step) step {
	if s.pull == nil || !w.reported || s.pull.State != PullOpen || !s.isOf(w.Update) {
		return otherwise
	}
	p := s.proposal(w.Update)
	if p.WaitsFor = s.waitsFor(w); w.Update.Proposal != nil && p.Equal(*w.Update.Proposal) {
		return otherwise
	}
	return step{do: report, results: []gitops.ProposalResult{{Update: w.Update.ID, Proposal: &p}}}
}

// blockedBy says that the open pull request cannot take up a pending update.
func (s seen) blockedBy(w wish, otherwise step, why string) step {
	if w.reported {
		return s.tell(w, otherwise)
	}
	if st := s.block(w, s.pull.name()+" "+why); st.do == report || otherwise.do == rest {
		return st
	}
	return otherwise
}

// block says what keeps a pending update from being proposed, and waits until that is to be
// said again. What changes meanwhile is seen at once.
func (s seen) block(w wish, why string) step {
	if w.reported {
		return step{do: rest}
	}
	if b := w.blocked; b != nil && b.Reason == why && s.now.Before(b.Until) {
		return step{do: wait, after: b.Until.Sub(s.now)}
	}
	return step{do: report, results: []gitops.ProposalResult{blockedFrom(w.Update, why, s.now, s.now.Add(blockTime))}}
}

// blockedFrom says what keeps a pending update from being proposed, between two times.
func blockedFrom(u gitops.Update, why string, since, until time.Time) gitops.ProposalResult {
	return gitops.ProposalResult{Update: u.ID, Blocked: &gitops.Block{
		Kind: gitops.BlockProposal, Reason: why, Since: since.UTC(), Until: until.UTC(),
	}}
}
