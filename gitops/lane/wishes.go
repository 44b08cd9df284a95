package lane

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// planFollowed decides about an update that was taken and that Proposals has in hand: it waits
// for a result, also when it is to end: its pull request is closed first. It reports whether
// the update is one.
func (t *leaseTerm) planFollowed(b *batch, u gitops.Update) bool {
	f := &t.following
	before := f.byID[u.ID]
	if before == nil && (u.State != gitops.Proposed || t.Proposals == nil) {
		return false
	}
	if before != nil && before.update.State == gitops.Proposed && u.State == gitops.Pending { // the store has lost a report
		again := gitops.ProposalResult{Update: u.ID, Transition: &gitops.Transition{Action: gitops.ActionPropose}, Proposal: before.update.Proposal}
		f.results = append(f.results, again)
		b.inHand++
		return true
	}
	known := f.put(u)
	switch e, ends := t.endingOf(u); {
	case ends && e.blocks != nil:
		b.ended = append(b.ended, e)
	case ready(u) && len(known.held) > 0:
		b.ended = append(b.ended, ending{update: u, blocks: known.held})
	default:
		b.inHand++
		if known.blocked && ready(u) { // its time has come
			known.blocked, known.retry = false, true
		}
	}
	return true
}

// isBehind reports whether a newer update of the same app is proposed, or is about to be: it
// supersedes this one.
func (t *leaseTerm) isBehind(u gitops.Update) bool {
	return slices.ContainsFunc(t.following.byApp[u.App], func(other *followed) bool {
		state := other.update.State
		return other.update.Sequence > u.Sequence && (state == gitops.Proposed || state == gitops.Pending && len(other.held) == 0)
	})
}

// isSearched reports whether the update was looked for on the branch and can come there by its
// pull request alone.
func (t *leaseTerm) isSearched(u gitops.Update) bool {
	return t.following.searched[u.ID] && t.does().PullRequest
}

// isNotThere keeps that an update was looked for on the branch and is not there.
func (t *leaseTerm) isNotThere(id string, found []gitops.Transition) {
	isFound := slices.ContainsFunc(found, func(s gitops.Transition) bool { return s.Update == id })
	if !isFound && t.does().PullRequest {
		t.following.searched[id] = true
	}
}

// fillProposal has a candidate proposed. What may be on the branch is looked for there before,
// with all that was taken of its app.
func (t *leaseTerm) fillProposal(b *batch, c candidate, isSearched bool) {
	switch {
	case t.isDoubtful(c.update):
		b.tasks = append(b.tasks, gitops.WriteTask{Update: c.update, SearchOnly: true})
		return
	case c.write && isSearched:
		t.following.put(c.update)
	}
	b.inHand++
}

// searchFirst are the apps of which something may be on the branch: it is looked for there
// before anything of them is proposed.
func (t *leaseTerm) searchFirst(candidates []candidate) map[string]bool {
	apps := make(map[string]bool)
	for _, c := range candidates {
		if t.isDoubtful(c.update) {
			apps[c.update.App] = true
		}
	}
	return apps
}

// tell tells Proposals what is wanted of each app's proposal, where that has changed.
func (t *leaseTerm) tell(revision int) {
	if !t.proposes() {
		return
	}
	f := &t.following
	var before, wishes []gitops.ProposalWish
	for _, app := range slices.Sorted(maps.Keys(f.byApp)) {
		wish, wanted := t.wishFor(app)
		if !wanted {
			continue
		}
		known := f.byID[wish.Update.ID]
		last, isTold := f.told[app]
		switch {
		case known.retry && t.waits(app), !known.retry && isTold && sameWish(last.wish, wish):
			continue
		}
		known.retry = false
		before = append(before, t.untold(app, known)...)
		f.told[app] = told{wish: wish, revision: revision}
		wishes = append(wishes, wish)
	}
	if wishes = append(before, wishes...); len(wishes) > 0 { // at once: nothing is done for the older in between
		t.Proposals.Want(t.environment, wishes)
	}
	t.sayWhatCloses()
}

// untold are wishes for the app's proposed updates of which Proposals was told nothing in this
// term, besides the one that it is told of now. A newer update takes their place at once, and
// only what was wanted before it is known: they may have been merged, or closed, while no process
// had the lane.
func (t *leaseTerm) untold(app string, now *followed) (wishes []gitops.ProposalWish) {
	for _, known := range t.following.byApp[app] {
		if wish, wanted := t.wishOf(known); wanted && known != now && !known.told && known.update.State == gitops.Proposed {
			wishes = append(wishes, wish)
		}
		known.told = true
	}
	return wishes
}

// sameWish reports whether one wants nothing else than the other.
func sameWish(a, b gitops.ProposalWish) bool {
	return a.Update.ID == b.Update.ID && a.Update.State == b.Update.State && a.Expected == b.Expected && a.Close == b.Close &&
		slices.EqualFunc(a.Held, b.Held, func(a, b gitops.Block) bool {
			return a.Kind == b.Kind && a.Reason == b.Reason && a.Until.Equal(b.Until)
		})
}

// wishFor is what is wanted of an app's proposal; false where that is not known. What is to be
// closed comes first, and then the newest; one that came to be held before its pull request was
// there leaves that to the one that is proposed.
func (t *leaseTerm) wishFor(app string) (wish gitops.ProposalWish, wanted bool) {
	for _, known := range t.following.byApp[app] {
		this, ok := t.wishOf(known)
		if !ok || wanted && this.Close == "" && this.Update.State == gitops.Pending && len(this.Held) > 0 {
			continue
		}
		wish, wanted = this, true
		if wish.Close != "" {
			break
		}
	}
	return wish, wanted
}

// wishOf is what is wanted of an update's proposal; false where it is left alone.
func (t *leaseTerm) wishOf(known *followed) (wish gitops.ProposalWish, wanted bool) {
	u := known.update
	wish = gitops.ProposalWish{Update: u, Expected: t.expected(u, t.does()), Held: known.held}
	if u.State.Final() {
		wish.Close = "the update is " + string(u.State)
		if u.Reason != "" {
			wish.Close += ": " + u.Reason
		}
		return wish, true
	}
	e, ends := t.endingOf(u)
	switch {
	case !ends:
	case e.blocks != nil:
		wish.Held = e.blocks
	case e.transition == nil:
		return wish, false
	default:
		wish.Close = closeReason(*e.transition)
	}
	return wish, true
}

// closeReason is why the proposal of an update that is to end is closed.
func closeReason(s gitops.Transition) string {
	switch {
	case s.Actor == "":
		return s.Reason
	case s.Reason == "":
		return s.Actor + " cancelled the update"
	}
	return fmt.Sprintf("%s cancelled the update: %s", s.Actor, s.Reason)
}

// closes are the wishes that an update's proposal is closed and that are not fulfilled, in the
// order of apps.
func (t *leaseTerm) closes() (wishes []gitops.ProposalWish) {
	for _, app := range slices.Sorted(maps.Keys(t.following.told)) {
		if wish := t.following.told[app].wish; wish.Close != "" {
			wishes = append(wishes, wish)
		}
	}
	return wishes
}

// sayWhatCloses logs once that a lane which is closing waits for proposals.
func (t *leaseTerm) sayWhatCloses() {
	if !t.isClosing() {
		t.following.answered = time.Time{}
		return
	}
	if n := len(t.closes()); n > 0 && t.following.answered.IsZero() {
		t.following.answered = time.Now()
		t.logger.Info("environment is not configured, closing its pull requests", slog.Int("updates", n))
	}
}

// answerTime is how long a closing lane waits for Proposals to say anything at all of what it
// closes. It may know the environment's manifest repository no longer.
const answerTime = 10 * time.Minute

// endUnanswered cancels the updates of a closing lane of whose proposals nothing is heard, and
// tells people which pull requests may be open. It reports whether the lease is still ours.
func (t *leaseTerm) endUnanswered() (ours bool) {
	f := &t.following
	if f.answered.IsZero() || !t.isClosing() || time.Since(f.answered) < answerTime {
		return true
	}
	var unanswered []ending
	b := batch{byID: make(map[string]gitops.Update)}
	for _, wish := range t.closes() {
		u := f.byID[wish.Update.ID].update
		f.drop(u.ID)
		if e, ends := t.endingOf(u); !u.State.Final() && ends && e.transition != nil {
			e.transition.Reason += stillOpen(u)
			b.byID[u.ID] = u
			unanswered = append(unanswered, e)
		}
	}
	r := queue.Report{Outage: t.outage}
	t.add(b, unanswered, &r)
	return updatesIn(r) == 0 || t.report(b, r)
}

// stillOpen is what a person is told of a pull request that tallyman cannot close.
func stillOpen(u gitops.Update) string {
	if u.Proposal == nil {
		return "; it may have a pull request that is open: close that by hand"
	}
	return fmt.Sprintf("; its pull request could not be closed, close it by hand: %s", u.Proposal.URL)
}
