// Package proposalstest has strict fakes of what package proposals works on: a git repository
// with a base branch and topic branches, a forge with pull requests, and the people who merge,
// close, push and delete. It refuses what GitHub refuses, and what tallyman must never do is a
// violation, which [World.Check] reports.
package proposalstest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// Bot is tallyman's login at the forge.
const Bot = "tallyman[bot]"

// World is a repository and its forge. Safe for concurrent use. Its exported fields are set
// before it is used, or with [World.Set].
type World struct {
	Rules  proposals.Rules // what the forge demands
	Squash SquashText      // what a squash by a person says
	Stale  bool            // the forge does not tell the commit that a merge made
	Clock  time.Duration   // how far the forge's clock is ahead

	mu         sync.Mutex
	base       git.Hash
	topics     map[string]git.Hash
	commits    map[git.Hash]*commit
	made       uint64
	pulls      []*pull // by number, from 1
	comments   map[int][]string
	ready      map[int]bool // what the rules demand is fulfilled
	violations []string
	calls      []Call
	faults     map[string][]Fault
	hooks      map[string][]func()
}

// SquashText is the repository's setting of what a squash says.
type SquashText int

// The settings.
const (
	SquashBody    SquashText = iota // title and body of the pull request
	SquashCommits                   // messages of the commits
	SquashBlank                     // the title alone
)

type commit struct {
	parents []git.Hash
	tags    map[string]string // by environment/app
	message string
	ours    bool
	author  string
	at      time.Time
}

type pull struct {
	proposals.Pull
	armedText proposals.Text
	updated   int  // changes that a list shows, as by GitHub's updated_at
	elsewhere bool // it goes into another branch than the base branch
}

// New makes a world whose base branch has the apps at their tags: the keys are
// environment/app.
func New(tags map[string]string) *World {
	w := &World{
		topics: map[string]git.Hash{}, commits: map[git.Hash]*commit{}, comments: map[int][]string{}, ready: map[int]bool{},
		faults: map[string][]Fault{}, hooks: map[string][]func(){},
	}
	w.base = w.add(&commit{tags: maps.Clone(tags), message: "first\n", author: "ann"})
	return w
}

// Set changes the world between two calls.
func (w *World) Set(change func(w *World)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

// add adds a commit. No two have one name, as no two that are made at different times have.
func (w *World) add(c *commit) git.Hash {
	w.made++
	var name git.Hash
	binary.BigEndian.PutUint64(name[:], w.made*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(name[8:], w.made)
	c.at = time.Now().UTC()
	w.commits[name] = c
	return name
}

// reach returns what a commit reaches, itself included.
func (w *World) reach(from git.Hash) map[git.Hash]bool {
	seen := map[git.Hash]bool{}
	next := []git.Hash{from}
	for len(next) > 0 {
		at := next[0]
		next = next[1:]
		if c := w.commits[at]; c != nil && !seen[at] {
			seen[at] = true
			next = append(next, c.parents...)
		}
	}
	return seen
}

// fork is the newest commit of the base branch that a topic is made upon.
func (w *World) fork(topic git.Hash) git.Hash {
	onBase := w.reach(w.base)
	at := topic
	for !onBase[at] {
		at = w.commits[at].parents[0]
	}
	return at
}

// changes are the tags that a topic has other than where it began.
func (w *World) changes(topic git.Hash) map[string]string {
	was, changed := w.commits[w.fork(topic)].tags, map[string]string{}
	for key, tag := range w.commits[topic].tags {
		if was[key] != tag {
			changed[key] = tag
		}
	}
	return changed
}

// conflicts reports whether the base branch has another tag, by now, where a topic has one.
func (w *World) conflicts(topic git.Hash) bool {
	was, now := w.commits[w.fork(topic)].tags, w.commits[w.base].tags
	for key, tag := range w.changes(topic) {
		if now[key] != was[key] && now[key] != tag {
			return true
		}
	}
	return false
}

// updatesOf are the ids that a commit's trailers name.
func updatesOf(c *commit) (ids []string) {
	for _, u := range gitops.ParseTrailers([]byte(c.message)) {
		ids = append(ids, u.Update)
	}
	return ids
}

func (w *World) violate(format string, args ...any) {
	w.violations = append(w.violations, fmt.Sprintf(format, args...))
}

// Check returns what was done that must never be, and what is there that must not.
func (w *World) Check() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := slices.Clone(w.violations)
	open := map[string]int{}
	for _, p := range w.pulls {
		if p.State == proposals.PullOpen && !p.elsewhere {
			open[p.Branch]++
		}
	}
	for branch, n := range open {
		if n > 1 {
			found = append(found, fmt.Sprintf("%s has %d open pull requests", branch, n))
		}
	}
	for branch, head := range w.topics {
		if c := w.commits[head]; c.ours && !w.reach(w.base)[c.parents[0]] {
			found = append(found, branch+" has more than one commit")
		}
	}
	return found
}

// Pulls returns all pull requests as they are, by number.
func (w *World) Pulls() (all []proposals.Pull) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.pulls {
		all = append(all, p.Pull)
	}
	return all
}

// Comments returns the comments of a pull request.
func (w *World) Comments(number int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.comments[number])
}

// Topic returns where a topic branch is, and the tag that an app has on it.
func (w *World) Topic(environment, app string) (head git.Hash, tag string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	head = w.topics[proposals.Branch(environment, app)]
	if c := w.commits[head]; c != nil {
		tag = c.tags[environment+"/"+app]
	}
	return head, tag
}

// Base returns the tip of the base branch, and the tag that an app has there.
func (w *World) Base(environment, app string) (tip git.Hash, tag string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.base, w.commits[w.base].tags[environment+"/"+app]
}

// OnBase reports whether the base branch reaches a commit.
func (w *World) OnBase(commit string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	name, ok := git.ParseHash(commit)
	return ok && w.reach(w.base)[name]
}

// Carried counts the commits of the base branch that put an app's tag there, by tag.
func (w *World) Carried(environment, app string) map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	key, count := environment+"/"+app, map[string]int{}
	for at := w.base; ; {
		c := w.commits[at]
		if len(c.parents) == 0 {
			return count
		}
		if w.commits[c.parents[0]].tags[key] != c.tags[key] {
			count[c.tags[key]]++
		}
		at = c.parents[0]
	}
}

// splitKey returns environment/app of a topic branch.
func splitKey(branch string) string { return strings.TrimPrefix(branch, proposals.Prefix) }
