package proposals

import (
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What is done next about an app is decided here, from what was observed and what is wished,
// without asking or changing anything. Each step may be made again, and is decided again from
// the beginning after it: so it does not matter which process made the one before.

// action is what a step does.
type action int

const (
	rest      action = iota // nothing until something changes
	wait                    // look again after a while
	askOrigin               // who put the tag on the base branch
	askFind                 // the pull requests of the branch
	askGet                  // the pull request, once more
	askLanded               // whether the base branch reaches what was merged
	askPast                 // a pull request that another one came after
	forget                  // an older update, of which nothing is to be told
	askRules                // what the forge demands
	askBuild                // a commit upon the base branch's tip
	push                    // moves the topic branch to what was built
	remove                  // deletes the topic branch
	closePull               // from here on the forge is written, the most urgent first
	disarm
	edit
	comment
	arm
	create
	report // tells the lane
)

// writesForge reports whether the action changes something at the forge, as far as a retry is
// counted by its limits.
func (a action) writesForge() bool { return a >= closePull && a <= create }

// asksForge reports whether the action is a request to the forge.
func (a action) asksForge() bool {
	return a.writesForge() || a == askFind || a == askGet || a == askRules || a == askPast
}

// words are what logs and people call actions.
var words = map[action][2]string{
	askOrigin: {"find the tag's commit", "find the commit of its tag"}, askFind: {"find", "list its pull requests"}, askGet: {"get", "read its pull request"},
	askLanded: {"find the merge", "find its merge on the base branch"}, askRules: {"read rules", "read the forge's rules"},
	askPast:  {"get the one before", "read its earlier pull request"},
	askBuild: {"build", "make its commit"}, push: {"push", "push its branch"}, remove: {"delete", "delete its branch"},
	closePull: {"close", "close its pull request"}, disarm: {"disarm", "keep the forge from merging its pull request"}, edit: {"edit", "edit its pull request"},
	comment: {"comment", "comment on its pull request"}, arm: {"arm", "have the forge merge its pull request"}, create: {"create", "open its pull request"},
	rest: {"observe", "read its branches"},
}

// String is the action's name in logs.
func (a action) String() string { return words[a][0] }

// sentence completes "tallyman cannot".
func (a action) sentence() string { return words[a][1] }

// step is the next step of an app.
type step struct {
	do      action
	text    Text          // of edit, comment (its body), arm and create
	pull    *Pull         // of askLanded
	older   gitops.Update // of askPast and forget
	results []gitops.ProposalResult
	ends    bool // the results end the wish
	after   time.Duration
	because string // why a pull request is closed, for the log
}

// How long it is waited for what must show itself by itself.
const (
	lagWait   = 5 * time.Second  // the forge knows of a push, the git server of a merge
	lagMost   = 10 * time.Minute // then it is taken for never
	queueWait = 30 * time.Second // a merge queue
	goneWait  = time.Minute      // the forge closes a pull request whose branch was deleted
)

func next(s seen, w wish) step {
	u := w.Update
	if s.base.Tag == u.Tag { // the branch decides, also while the forge is away
		if s.origin == nil {
			return step{do: askOrigin}
		}
		if slices.Contains(s.origin.Updates, u.ID) {
			return s.onBase(w)
		}
	}
	switch {
	case !s.found:
		return step{do: askFind}
	case s.pull == nil:
		return s.withoutPull(w)
	case s.unsure:
		return step{do: askGet}
	}
	if u, ok := s.overtaken(w); ok {
		return s.settle(w, u)
	}
	if st, settled := s.settleOwn(w); settled {
		return st
	}
	if s.pull.State == PullOpen {
		return s.whileOpen(w)
	}
	return s.afterEnd(w)
}

// onBase ends a wish whose commit is on the base branch, as its trailers say. The forge is asked
// for who merged it, unless it is away; what is open all the same has nothing new, or an older tag.
func (s seen) onBase(w wish) step {
	of := s.pull != nil && s.isOf(w.Update)
	open := s.pull != nil && s.pull.State == PullOpen && (of || s.topic.Ours)
	switch {
	case s.away:
	case !s.found:
		return step{do: askFind}
	case (of || open) && !s.current:
		return step{do: askGet}
	case open:
		return s.closeIt("the base branch has the commit of its app's update")
	}
	return s.end(w, committed(w.Update, s.origin.Commit))
}

// whileOpen is the next step while the branch has an open pull request.
func (s seen) whileOpen(w wish) step {
	mine := s.isOf(w.Update) || s.isHead(w.Update)
	switch {
	case s.pull.Head != s.head && !s.fresh:
		return step{do: askGet} // one of the two is older than the other
	case s.head.IsZero() && s.now.Sub(s.gone) < goneWait:
		return step{do: wait, after: lagWait}
	case w.Close != "" && !mine:
		return s.end(w, cancelled(w.ProposalWish)) // the pull request is another update's
	case w.Close != "":
		return s.closeIt("it is not wanted any more")
	case s.head.IsZero():
		return s.closeIt("its branch was deleted")
	case len(w.Held) > 0 && !w.reported && !mine:
		return step{do: rest} // it takes over nothing
	case len(w.Held) > 0 && (s.pull.Armed || s.pull.Queued):
		return step{do: disarm}
	case len(w.Held) > 0 && !s.fresh:
		return step{do: askGet} // lists do not tell what is queued
	case w.env.Merge == MergePerson && s.pull.Armed && !s.fresh:
		return step{do: askGet} // lists do not tell who armed it
	case w.env.Merge == MergePerson && s.pull.Armed && s.pull.ArmedByUs:
		return step{do: disarm} // since then it is for people to merge
	case !s.topic.Ours:
		return s.personal(w)
	case isRollback(w.Update) && !mine && !s.has(w.Update):
		return s.closeIt("a rollback takes its place")
	case !s.has(w.Update) || s.outdated() || s.base.Tag == w.Update.Tag:
		return s.renew(w, mine)
	case s.topic.Behind && s.rules == nil:
		return step{do: askRules}
	}
	return s.keep(w)
}

func isRollback(u gitops.Update) bool { return u.Terms != nil && u.Terms.RollsBack != "" }

// closeIt closes the pull request; the forge is kept from merging it first.
func (s seen) closeIt(because string) step {
	switch {
	case !s.current:
		return step{do: askGet}
	case s.pull.Armed || s.pull.Queued:
		return step{do: disarm}
	}
	return step{do: closePull, because: because}
}

// renew moves the topic to a commit of the wished update upon the base branch's tip, below a
// pull request that is known to be open and not queued.
func (s seen) renew(w wish, mine bool) step {
	switch {
	case !s.current:
		return step{do: askGet}
	case s.pull.Queued:
		return s.blockedBy(w, step{do: wait, after: queueWait}, "is in the merge queue, which locks its branch: this waits until it has left the queue")
	case s.built == nil:
		return step{do: askBuild}
	case s.built.HandEdit != nil, s.built.Ends != nil && (mine || s.built.Ends.Action == gitops.ActionConfirm):
		return s.closeIt("the base branch has another content of its file")
	case s.built.Ends != nil:
		return s.endBuilt(w)
	case s.has(w.Update) && !s.outdated():
		return s.keep(w)
	case s.pull.Armed: // or the forge would merge this commit with the words of the one before
		return step{do: disarm}
	}
	return step{do: push}
}

// endBuilt ends the wish as what was built says.
func (s seen) endBuilt(w wish) step {
	if s.built.HandEdit != nil {
		return step{do: report, ends: true, results: []gitops.ProposalResult{{Update: w.Update.ID, HandEdit: s.built.HandEdit}}}
	}
	return s.end(w, *s.built.Ends)
}

// keep brings an open pull request, whose commit is as wished, to what is wished.
func (s seen) keep(w wish) step {
	t := s.textOf(w)
	switch {
	case !t.sameAs(s.pull.Text) && (!t.sameAs(w.sent) || s.namesAnother(w.Update)):
		return step{do: edit, text: t}
	case !w.reported:
		return s.propose(w)
	case w.env.Merge == MergeAuto && len(w.Held) == 0 && !s.pull.Armed && !s.pull.Queued:
		if s.pull.Head != s.head {
			return s.tell(w, step{do: wait, after: lagWait})
		}
		if at := w.armed.next(s.head); s.now.Before(at) {
			return s.tell(w, step{do: wait, after: at.Sub(s.now)})
		}
		if !s.fresh {
			return step{do: askGet}
		}
		return step{do: arm, text: Text{Title: t.Title, Body: s.topic.Trailers}}
	}
	return s.tell(w, step{do: rest})
}

// personal is the next step while a person's commit is on the topic branch: it is never pushed
// over. What tallyman armed was its own commit.
func (s seen) personal(w wish) step {
	t := s.markedText(w)
	switch {
	case s.base.Tag == w.Update.Tag && !s.current: // it may have been merged
		return step{do: askGet}
	case s.base.Tag == w.Update.Tag && s.built == nil:
		return step{do: askBuild}
	case s.base.Tag == w.Update.Tag && s.built.Ends != nil:
		return s.endBuilt(w)
	case w.env.Merge == MergeAuto && (s.pull.Armed || s.pull.Queued) && w.disarmed != s.head:
		return step{do: disarm}
	case !t.sameAs(s.pull.Text) && !t.sameAs(w.sent):
		return step{do: edit, text: t}
	case w.remark == s.head: // after the text, which says to another process that it is made
		return step{do: comment, text: Text{Body: s.remark()}}
	}
	return s.blockedBy(w, step{do: rest}, "has a commit of "+quote(s.topic.Author)+", which tallyman does not push over: merge it, close it, or take the commit off its branch")
}

// withoutPull is the next step while the branch has no pull request that counts.
func (s seen) withoutPull(w wish) step {
	own := s.topic.Ours && slices.Contains(s.topic.Updates, w.Update.ID)
	free := s.head.IsZero() || s.topic.Ours || s.landed != nil && s.landed.topic || s.mergedHere()
	branch := Branch(w.Update.Environment, w.Update.App)
	switch {
	case w.Close != "" && own && s.stays != s.head:
		return step{do: remove}
	case w.Close != "":
		return s.end(w, cancelled(w.ProposalWish))
	case len(w.Held) > 0:
		return step{do: rest}
	case s.inWay != "":
		return s.block(w, "the branch "+quote(s.inWay)+" keeps git from having the branch "+branch+": delete or rename it")
	case !free && s.landed == nil:
		return step{do: askLanded, pull: s.pull}
	case !free:
		return s.block(w, "the branch "+branch+" has a commit of "+quote(s.topic.Author)+", which tallyman does not push over: merge it, or delete the branch")
	case own && s.topic.Behind && s.rules == nil:
		return step{do: askRules}
	case own && !s.outdated() && s.base.Tag != w.Update.Tag:
		return step{do: create, text: s.textOf(w)}
	case s.built == nil:
		return step{do: askBuild}
	case s.built.Ends != nil || s.built.HandEdit != nil:
		return s.endBuilt(w)
	case own && (!s.outdated() || s.head == s.built.Commit): // of several files the first has the tag
		return step{do: create, text: s.textOf(w)}
	}
	return step{do: push}
}
