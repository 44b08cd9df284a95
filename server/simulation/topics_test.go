package simulation

import (
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// Topic branches of the origin. Its lock is held by whoever calls.

const heads = "refs/heads/"

// isTopic reports whether a reference is a topic branch's.
func isTopic(reference string) bool { return strings.HasPrefix(reference, heads+proposals.Prefix) }

// at is where a branch is; zero where it is not there.
func (o *origin) at(reference string) hash {
	if isTopic(reference) {
		return o.topics[strings.TrimPrefix(reference, heads)]
	}
	return o.tip
}

// moveTopic moves a topic branch, and does what a forge does of that to its pull request.
func (o *origin) moveTopic(branch string, to hash, by string) {
	p := o.forge.openOf(branch)
	if to.IsZero() {
		delete(o.topics, branch)
		if p != nil {
			o.forge.end(p, proposals.PullClosed, by)
		}
		return
	}
	o.topics[branch] = to
	if p == nil {
		return
	}
	p.Head = git.Hash(to)
	o.forge.changes++
	if o.forge.w.proposing.rules.DismissStale {
		p.ready = false
	}
	if by != ourLogin && p.Number%2 == 0 { // of somebody who may not write
		p.Armed = false
	}
	if o.reaches(to) { // it has nothing new: the forge closes it for good
		o.forge.end(p, proposals.PullClosed, by)
	}
}

// isLocked reports whether a topic branch is in the merge queue.
func (o *origin) isLocked(branch string) bool {
	p := o.forge.openOf(branch)
	return p != nil && p.Queued
}

// reaches reports whether the base branch reaches a commit.
func (o *origin) reaches(commit hash) bool {
	return !o.tip.IsZero() && slices.Contains(o.all.history(o.tip, nil), commit)
}

// fork is the newest commit of the base branch that a topic stands on.
func (o *origin) fork(topic hash) hash {
	on := make(map[hash]bool)
	if !o.tip.IsZero() {
		for _, commit := range o.all.history(o.tip, nil) {
			on[commit] = true
		}
	}
	for at := topic; ; at = o.all[at].parents[0] {
		if on[at] || len(o.all[at].parents) == 0 {
			return at
		}
	}
}

// movesTopic takes a push of a topic branch that a replica sent.
func (o *origin) movesTopic(replica, reference string, from, to hash) {
	branch := strings.TrimPrefix(reference, heads)
	o.check.topicPushed(replica, branch, from, to)
	o.moveTopic(branch, to, ourLogin)
}
