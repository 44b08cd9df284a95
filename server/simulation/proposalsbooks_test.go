package simulation

import (
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// What the checker knows of pull requests. It is told of each change at the forge and of
// each topic branch as it happens.
//
//   - Nobody's commit on a topic branch is pushed over or deleted, and a branch goes only after its
//     pull request has ended. Each commit of ours there stands on the base branch and does what its
//     one update asks.
//   - Nothing is opened or merged by us that the store said to be held when it was asked right before,
//     at another commit than ours, or below what was accepted later. Nothing is merged for us
//     after whoever placed a hold was told that nothing comes.
//   - Automation does not propose again what a person has closed.
//   - Committed names a commit of the base branch that has the tag, and Closed a pull request
//     that a person has closed. What was proposed and merged is committed, unless somebody has
//     taken it back.
//   - When everything has healed each update has ended, or is in an open pull request that says
//     what it says, or waits for a person's commit. When people have ended those, nothing is open.
type proposalBooks struct {
	topics map[hash]string         // commits that replicas pushed to topic branches, and their updates
	based  map[hash]bool           // commits that the base branch ever reached
	merged map[string][]int        // pull requests that were merged, by the update at their head
	closed map[int]string          // who closed a pull request
	told   map[string]time.Time    // by replica and update: since when its room knows that it is held
	brings map[release]*tracked    // what came last onto the base branch by pull request
	denied map[string]time.Time    // updates that a person's close was reported of
	armed  map[int]map[string]bool // updates by whose commit a pull request was armed
}

func newProposalBooks() proposalBooks {
	return proposalBooks{
		topics: make(map[hash]string), based: make(map[hash]bool), merged: make(map[string][]int), closed: make(map[int]string),
		told: make(map[string]time.Time), brings: make(map[release]*tracked), denied: make(map[string]time.Time), armed: make(map[int]map[string]bool),
	}
}

// releaseOf is the app of a topic branch.
func releaseOf(branch string) release {
	environment, app, _ := strings.Cut(strings.TrimPrefix(branch, proposals.Prefix), "/")
	return release{environment, app}
}

// reached takes down what the base branch reaches from now on. The origin's lock is held.
func (c *checker) reached(tip hash) {
	if c.w.proposing.environment == "" || tip.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, commit := range c.w.origin.all.history(tip, c.based) {
		c.based[commit] = true
	}
}

// isTopic reports whether a replica has pushed a commit to a topic branch. After the store
// has lost its key none is known to be.
func (c *checker) isTopic(commit hash) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ours := c.topics[commit]
	return ours && !c.keyless
}

// topicPushed checks a push to a topic branch. The origin's lock is held.
func (c *checker) topicPushed(replica, branch string, from, to hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, f := c.w.origin, c.w.forgeHost
	c.w.tell("%s moves %s from %.7s to %.7s", replica, branch, from, to)
	_, ours := c.topics[from]
	mergedHere := slices.ContainsFunc(f.all, func(p *pullRequest) bool {
		return p.State == proposals.PullMerged && hash(p.Head) == from
	})
	if !from.IsZero() && !ours && !mergedHere && !o.reaches(from) {
		c.wrong("%s overwrites %s on %s, which a person has put there", replica, from, branch)
	}
	if to.IsZero() {
		met.meet("a topic branch was deleted")
		if p := f.openOf(branch); p != nil && !p.reopened { // which a push cannot notice
			c.wrong("%s deletes %s, and %s is open", replica, branch, p.URL)
		}
		return
	}
	met.meet("a topic branch was pushed")
	commit := o.all[to]
	if len(commit.parents) != 1 || !c.based[commit.parents[0]] {
		c.wrong("%s pushes %s to %s, which does not stand on the base branch", replica, to, branch)
		return
	}
	if len(commit.updates) != 1 || c.updates[commit.updates[0]] == nil {
		c.wrong("%s pushes %s to %s, which carries %q", replica, to, branch, commit.updates)
		return
	}
	u := c.updates[commit.updates[0]]
	if (release{u.Environment, u.App}) != releaseOf(branch) {
		c.wrong("%s pushes update %s to %s", replica, u.ID, branch)
	}
	c.onlyScalars([]*tracked{u}, commit)
	c.topics[to] = u.ID
}

// wanted is told what a lane tells its room; nil says that it tells nothing any more.
func (c *checker) wanted(replica string, wishes []gitops.ProposalWish) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if wishes == nil {
		for key := range c.told {
			if strings.HasPrefix(key, replica+" ") {
				delete(c.told, key)
			}
		}
	}
	for _, w := range wishes {
		if key := replica + " " + w.Update.ID; len(w.Held) > 0 || w.Close != "" {
			c.told[key] = time.Now()
		} else {
			delete(c.told, key)
		}
	}
}

// opens checks a pull request that a replica has opened: nobody has closed one of the tag
// before, unless a person orders it.
func (c *checker) opens(replica string, p proposals.Pull, asked sending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, ours := c.topics[hash(p.Head)]
	if !ours {
		return // a person has pushed meanwhile
	}
	u := c.updates[id]
	if asked.judged != nil && asked.judged.updates[id] { // else it is another process's commit of the tag
		c.mayBeWritten(replica, asked, u)
	}
	for _, other := range c.updates {
		if at, denied := c.denied[other.ID]; denied && c.restores == 0 && other.Environment == u.Environment && other.App == u.App && other.Tag == u.Tag &&
			u.at.After(at) && !isPersons(u.Update) && !c.writtenSince(other) {
			c.wrong("%s opens %s for update %s, and a person has closed that of update %s of the same tag", replica, p.URL, u.ID, other.ID)
		}
	}
}

// writtenSince reports whether an update of the app that was accepted after one was written. The
// lock is held.
func (c *checker) writtenSince(than *tracked) bool {
	for _, u := range c.updates {
		if u.Environment == than.Environment && u.App == than.App && u.Sequence > than.Sequence && u.State.Written() {
			return true
		}
	}
	return false
}

// arms checks what a replica asks to be merged: its own commit, of an update that nothing
// holds as far as the replica's room was told. The origin's lock is held.
func (c *checker) arms(replica string, p *pullRequest, asked sending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	met.meet("a pull request was armed")
	id, ours := c.topics[hash(p.Head)]
	if !ours {
		c.wrong("%s has %s merged at %s, which is none of ours", replica, p.URL, p.Head)
		return
	}
	if at, held := c.told[replica+" "+id]; held && at.Before(asked.at) {
		c.wrong("%s has %s merged, and was told that update %s is held", replica, p.URL, id)
	}
	c.mayBeWritten(replica, asked, c.twinOf(c.updates[id], asked))
}

// twinOf is the update that something was asked for: a newer one of the same tag takes over the
// commit of an older one. The lock is held.
func (c *checker) twinOf(u *tracked, asked sending) *tracked {
	if asked.judged == nil {
		return u
	}
	for id := range asked.judged.updates {
		if other := c.updates[id]; other.Environment == u.Environment && other.App == u.App && other.Tag == u.Tag {
			return other
		}
	}
	return u
}

// mergesForUs checks what the forge merges because a replica asked for it. The origin's lock
// is held.
func (c *checker) mergesForUs(p *pullRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.updates[c.topics[hash(p.Head)]]
	if u == nil {
		return // a person has pushed onto what was armed
	}
	c.afterQuiet(p, u)
	r := release{u.Environment, u.App}
	last := c.brings[r]
	if last != nil && last.order > u.order && c.restores == 0 && !c.wasForced && c.firstTag(c.w.origin.tip, r) == last.Tag {
		c.wrong("%s was merged for us: update %s comes onto the base branch after %s, which was accepted later", p.URL, u.ID, last.ID)
	}
}

// afterQuiet checks that nothing is merged for a replica after it has told whoever placed a hold
// that it is quiet. The lock is held.
func (c *checker) afterQuiet(p *pullRequest, u *tracked) {
	for _, q := range c.quiets {
		in := slices.IndexFunc(c.stints, func(s *stint) bool { return s.ID == q.hold.ID && s.Since.Equal(q.hold.Since) && s.to.IsZero() })
		if q.replica == p.armedBy && in >= 0 && c.stints[in].from.After(p.judged.read) && c.stints[in].keeps(u.Update) && !slices.Contains(q.underWay, u.ID) {
			c.wrong("%s was merged for us after %s had said that nothing comes that %s holds", p.URL, p.armedBy, q.hold.ID)
		}
	}
}

// mergedPull takes down a merge. The origin's lock is held.
func (c *checker) mergedPull(p *pullRequest, _, to hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, ours := c.topics[hash(p.Head)]
	if !ours {
		return
	}
	u := c.updates[id]
	r := release{u.Environment, u.App}
	c.merged[id] = append(c.merged[id], p.Number)
	if c.firstTag(to, r) == u.Tag {
		c.brings[r] = u
	}
}

// pullEnded takes down who closed a pull request. The origin's lock is held.
func (c *checker) pullEnded(p *pullRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.State == proposals.PullClosed && !p.ByUs {
		c.closed[p.Number] = p.EndedBy
	}
}
