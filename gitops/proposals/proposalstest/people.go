package proposalstest

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// What people do, at any moment. Each reports false where the forge refuses it.

// Merge merges a pull request: the method is merge, squash or rebase.
func (w *World) Merge(number int, method, by string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.merge(number, method, by, w.squashText(number))
}

func (w *World) squashText(number int) string {
	p := w.pull(number)
	switch {
	case p == nil:
		return ""
	case w.Squash == SquashBody:
		return p.Text.Title + "\n\n" + p.Text.Body
	case w.Squash == SquashCommits:
		return p.Text.Title + "\n\n* " + w.commits[p.Head].message
	}
	return p.Text.Title + "\n"
}

func (w *World) merge(number int, method, by, text string) bool {
	p := w.pull(number)
	if p == nil || p.State != proposals.PullOpen || w.conflicts(p.Head) {
		return false
	}
	topic := w.commits[p.Head]
	tags := maps.Clone(w.commits[w.base].tags)
	maps.Copy(tags, w.changes(p.Head))
	c := &commit{parents: []git.Hash{w.base}, tags: tags, author: by}
	switch method {
	case "merge":
		c.parents, c.message = append(c.parents, p.Head), fmt.Sprintf("Merge pull request #%d\n", number)
	case "squash":
		c.message = text
	case "rebase":
		c.message, c.author = topic.message, topic.author
	default:
		panic("no method of merging: " + method)
	}
	w.base = w.add(c)
	w.end(p, proposals.PullMerged, by)
	if p.Landed = w.base; w.Stale {
		p.Landed = git.Hash{}
	}
	return true
}

func (w *World) end(p *pull, state proposals.PullState, by string) {
	p.State, p.EndedBy, p.ByUs, p.EndedAt = state, by, by == Bot, time.Now().UTC().Add(w.Clock)
	p.Armed, p.Queued, p.WaitsFor = false, false, nil
}

// Close closes a pull request without merging it.
func (w *World) Close(number int, by string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pull(number)
	if p == nil || p.State != proposals.PullOpen {
		return false
	}
	w.end(p, proposals.PullClosed, by)
	return true
}

// Arm has the forge merge a pull request as soon as its rules allow it.
func (w *World) Arm(number int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pull(number)
	p.Armed, p.ArmedByUs, p.armedText = true, false, proposals.Text{}
	p.updated++
}

// Retarget has a pull request go into another branch than the base branch.
func (w *World) Retarget(number int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pull(number)
	p.elsewhere, p.Armed = true, false
	p.updated++
}

// Fulfil fulfils what the rules demand of a pull request: one that is armed is merged or
// enqueued.
func (w *World) Fulfil(number int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ready[number] = true
	if p := w.pull(number); p != nil && p.State == proposals.PullOpen && p.Armed {
		w.advance(p)
	}
}

// advance merges or enqueues what nothing keeps from it any more.
func (w *World) advance(p *pull) {
	if w.Rules.Queue {
		p.Queued, p.Armed = true, false
		p.updated++
		return
	}
	w.merge(p.Number, "squash", Bot, p.armedText.Title+"\n\n"+p.armedText.Body)
}

// Enqueue puts a pull request into the merge queue.
func (w *World) Enqueue(number int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pull(number)
	if p == nil || p.State != proposals.PullOpen || w.conflicts(p.Head) {
		return false
	}
	p.Queued, p.Armed = true, false
	p.updated++
	return true
}

// Dequeue ends a pull request's wait in the merge queue: it is merged by the queue, or ejected.
func (w *World) Dequeue(number int, merged bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pull(number)
	if p == nil || !p.Queued {
		return false
	}
	if p.Queued = false; merged {
		return w.merge(number, "squash", "github-merge-queue[bot]", w.squashText(number))
	}
	p.updated++
	return true
}

// PushOnto puts a person's commit onto a topic branch; with an empty tag it changes another
// file.
func (w *World) PushOnto(environment, app, tag, by string) (head git.Hash, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	branch := proposals.Branch(environment, app)
	at, there := w.topics[branch]
	if !there || w.locked(branch) {
		return at, false
	}
	return w.personal(branch, at, tag, by), true
}

// personal moves a topic branch to a commit of a person.
func (w *World) personal(branch string, upon git.Hash, tag, by string) git.Hash {
	tags := maps.Clone(w.commits[upon].tags)
	if tags["note"] = by + time.Now().String(); tag != "" {
		tags[splitKey(branch)] = tag
	}
	head := w.add(&commit{parents: []git.Hash{upon}, tags: tags, message: "fix\n", author: by})
	w.move(branch, head)
	return head
}

// Force replaces what a topic branch has with a person's commit upon the base branch.
func (w *World) Force(environment, app, tag, by string) (head git.Hash) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.personal(proposals.Branch(environment, app), w.base, tag, by)
}

// Drop takes a person's commit off a topic branch again.
func (w *World) Drop(environment, app string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	branch := proposals.Branch(environment, app)
	w.move(branch, w.commits[w.topics[branch]].parents[0])
}

// DeleteBranch deletes a topic branch; an open pull request of it is closed.
func (w *World) DeleteBranch(environment, app, by string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(proposals.Branch(environment, app), by)
}

// LoseBranch deletes a topic branch, and the forge leaves its pull request open.
func (w *World) LoseBranch(environment, app string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.topics, proposals.Branch(environment, app))
}

// RestoreBranch brings a topic branch back.
func (w *World) RestoreBranch(environment, app string, head git.Hash) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.topics[proposals.Branch(environment, app)] = head
}

// CreateBranch makes a branch at the base branch's tip.
func (w *World) CreateBranch(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.topics[name] = w.base
}

func (w *World) remove(branch, by string) {
	if p := w.open(branch); p != nil {
		w.end(p, proposals.PullClosed, by)
	}
	delete(w.topics, branch)
}

// Rewind forces the base branch back by one commit.
func (w *World) Rewind() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.base = w.commits[w.base].parents[0]
}

// EditBase writes an app's tag on the base branch by hand; without an app another file.
func (w *World) EditBase(environment, app, tag, by string) git.Hash {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := environment + "/" + app
	if app == "" {
		key, tag = "other", time.Now().String()
	}
	return w.commitOnBase(key, tag, by, "set a tag by hand\n", false)
}

// Write writes an app's tag on the base branch as tallyman does where it needs no pull request.
func (w *World) Write(environment, app, tag, trailers string) git.Hash {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.commitOnBase(environment+"/"+app, tag, "tallyman", app+" to "+tag+"\n\n"+trailers, true)
}

func (w *World) commitOnBase(key, tag, by, message string, ours bool) git.Hash {
	tags := maps.Clone(w.commits[w.base].tags)
	tags[key] = tag
	w.base = w.add(&commit{parents: []git.Hash{w.base}, tags: tags, message: message, author: by, ours: ours})
	return w.base
}

// move moves a topic branch, and what GitHub does of a push to its pull request.
func (w *World) move(branch string, to git.Hash) {
	w.topics[branch] = to
	p := w.open(branch)
	if p == nil {
		return
	}
	p.Head = to
	p.updated++
	if w.Rules.DismissStale {
		delete(w.ready, p.Number)
	}
	if w.reach(w.base)[to] { // GitHub closes it for good
		w.end(p, proposals.PullClosed, Bot)
	}
}

func (w *World) pull(number int) *pull {
	if number < 1 || number > len(w.pulls) {
		return nil
	}
	return w.pulls[number-1]
}

func (w *World) open(branch string) *pull {
	for _, p := range w.pulls {
		if p.Branch == branch && p.State == proposals.PullOpen && !p.elsewhere {
			return p
		}
	}
	return nil
}

func (w *World) locked(branch string) bool {
	p := w.open(branch)
	return p != nil && p.Queued
}

// Foreign opens pull requests of branches that are not tallyman's, which no call may return.
func (w *World) Foreign(branch string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.HasPrefix(branch, proposals.Prefix) {
		panic(branch + " is a topic branch")
	}
	w.addPull(branch, w.base, proposals.Text{Title: "a change of theirs"})
}
