package proposals

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// seen is what was observed of one app. What is nil or false was not asked yet, or is not
// certain any more.
type seen struct {
	now    time.Time
	base   Base
	head   git.Hash // of the topic branch; zero where it does not exist
	topic  Topic    // of head
	inWay  string   // another branch that keeps git from having the topic branch
	origin *Origin  // of the tag on the base branch

	away    bool  // the forge does not answer
	found   bool  // pull is known, or that the branch has no pull request
	pull    *Pull // the open one of the branch, or else the one that was opened last
	fresh   bool  // pull is as of a Get, and nothing was asked for since
	current bool  // ... and no branch has moved since
	unsure  bool  // pull may have changed: it is asked for before anything else
	landed  *landing
	over    time.Time // when pull was first seen to have ended; zero while it is open
	past    *Pull     // of an older update, where another one came after it; asked for at pastAt
	pastAt  time.Time
	rules   *Rules
	built   *Built    // for the wished update, upon the base branch's tip
	forced  bool      // the forge says that the topic has nothing new: it is built again
	gone    time.Time // since when the branch of an open pull request is not there
	stays   git.Hash  // a head of the topic that the git server refuses to delete, by a rule
	left    int       // number of the pull request that tallyman closes because its branch was deleted
	note    string    // why tallyman cannot do what is next
}

// landing is what the base branch reaches of a pull request that was merged.
type landing struct {
	number       int  // of the pull request; 0 without one
	commit, head bool // the commit that the forge names, and the pull request's head
	topic        bool // what the topic branch has
}

// wish is what a lane wants of an app, and what was done about it in this process.
type wish struct {
	gitops.ProposalWish // the update's Proposal is what the lane was told last
	env                 Environment
	links               links
	reported            bool                  // the lane knows that it is proposed
	blocked             *gitops.Block         // what the lane was told last, while it is pending
	sent                Text                  // what its pull request was given last
	older               []gitops.ProposalWish // of the app, that were wished for before and have not ended
	remark, remarked    git.Hash              // a person's commit that a comment is due for, and was made for
	disarmed            git.Hash              // a person's commit that the pull request was disarmed for
	armed               arming
}

// arming is how often a pull request was armed at one head.
type arming struct {
	head  git.Hash
	times int
	at    time.Time // the last time
}

// Bounds of how long it is not armed once more at a head, after the second time: a queue that
// ejects it would test it for ever, in the way of others, and a person may not want it armed.
const (
	armLeast = time.Minute
	armMost  = time.Hour
)

// next is when a head may be armed.
func (a arming) next(head git.Hash) time.Time {
	if a.head != head || a.times < 2 {
		return time.Time{}
	}
	return a.at.Add(doubled(armLeast, armMost, a.times-2))
}

// again counts that a head is armed.
func (a arming) again(head git.Hash, now time.Time) arming {
	if a.head != head {
		a.times = 0
	}
	return arming{head, a.times + 1, now}
}

// has reports whether the topic's commit is that of an update, or of one of the same image: then
// it needs no other, and approvals stay.
func (s seen) has(u gitops.Update) bool {
	if s.head.IsZero() || !s.topic.Ours {
		return false
	}
	return slices.Contains(s.topic.Updates, u.ID) || s.topic.Tag == u.Tag && s.saysDigest(u)
}

// saysDigest reports whether the open pull request says the same image digest: the tag
// alone does not tell.
func (s seen) saysDigest(u gitops.Update) bool {
	open := s.pull != nil && s.pull.State == PullOpen
	return open && strings.Contains(s.pull.Text.Body, u.ImageDigest())
}

// isOf reports whether the pull request is an update's: its text names the update, or it is
// known by its number, or its text names no update and its head is the update's commit.
func (s seen) isOf(u gitops.Update) bool {
	ids := namedIn(s.pull.Text.Body)
	if slices.Contains(ids, u.ID) || u.Proposal != nil && u.Proposal.Number == s.pull.Number {
		return true
	}
	return len(ids) == 0 && s.isHead(u)
}

// isHead reports whether the head of the pull request is the commit of an update.
func (s seen) isHead(u gitops.Update) bool {
	if u.Proposal != nil && u.Proposal.Head == s.pull.Head.String() {
		return true
	}
	return !s.head.IsZero() && s.pull.Head == s.head && s.topic.Ours && slices.Contains(s.topic.Updates, u.ID)
}

// outdated reports whether the topic must be built again upon the base branch's tip. A push
// may cost approvals, so other files that moved are no reason.
func (s seen) outdated() bool {
	return s.topic.Conflict || s.topic.Behind && s.rules != nil && s.rules.Strict || s.forced
}

// mergedHere reports whether the topic branch is left over from a merge: nothing is lost when
// it moves.
func (s seen) mergedHere() bool {
	return s.pull != nil && s.pull.State == PullMerged && s.pull.Head == s.head
}

// namesAnother reports whether the pull request's text names updates and not this one: a process
// that was paused has written it, and no person. A squash would say so of the wrong update.
func (s seen) namesAnother(u gitops.Update) bool {
	ids := namedIn(s.pull.Text.Body)
	return len(ids) > 0 && !slices.Contains(ids, u.ID)
}

// namedIn are the ids of updates that a text's trailers name.
func namedIn(body string) (ids []string) {
	for _, u := range gitops.ParseTrailers([]byte(strings.ReplaceAll(body, "\r\n", "\n"))) {
		ids = append(ids, u.Update)
	}
	return ids
}

// name is what people call the pull request.
func (p Pull) name() string { return "pull request #" + strconv.Itoa(p.Number) }
