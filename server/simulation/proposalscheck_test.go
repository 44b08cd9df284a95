package simulation

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// isProposed checks that an update may be proposed. The lock is held.
func (c *checker) isProposed(u *tracked) {
	u.proposed = true
	if !c.w.proposes(u.Environment) {
		c.wrong("update %s is proposed, and its environment is written without pull requests", u.ID)
	}
}

// endedByPull checks how an update of the environment with pull requests ended, where that is
// otherwise than elsewhere. The lock is held.
func (c *checker) endedByPull(u *tracked) {
	switch u.State {
	case gitops.Committed:
		commit := plumbing.NewHash(u.Commit)
		if !c.based[commit] && !c.wasForced {
			c.wrong("update %s is committed as %s, which the base branch never reached", u.ID, u.Commit)
		} else if c.based[commit] && c.firstTag(commit, release{u.Environment, u.App}) != u.Tag {
			c.wrong("update %s is committed as %s, which does not have its tag %s", u.ID, u.Commit, u.Tag)
		}
	case gitops.Superseded:
		history := c.said[release{u.Environment, u.App}]
		last := history[len(history)-1]
		u.takenBack = strings.Contains(u.Reason, " merged pull request #") && last.tag != u.Tag
	case gitops.Closed:
		if strings.Contains(u.Reason, " of this tag before") {
			met.meet("an update was closed because its tag was before")
			c.closedBefore(u)
			return
		}
		c.denied[u.ID] = time.Now()
		if u.Proposal == nil || c.closed[u.Proposal.Number] == "" {
			c.wrong("update %s is closed, and no person has closed its pull request: %s", u.ID, u.Reason)
		}
	}
}

// anyDenied is one of the updates whose pull request a person has closed.
func (c *checker) anyDenied(r *rand.Rand) (gitops.Update, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.denied) == 0 {
		return gitops.Update{}, false
	}
	return c.updates[one(r, slices.Sorted(maps.Keys(c.denied))...)].Update, true
}

// closedBefore checks that a person has closed a pull request of the same tag. The lock is
// held.
func (c *checker) closedBefore(u *tracked) {
	for id := range c.denied {
		if other := c.updates[id]; id != u.ID && other.Environment == u.Environment && other.App == u.App && other.Tag == u.Tag {
			return
		}
	}
	c.wrong("update %s is closed because one of its tag was before, and none was", u.ID)
}

// disagreement is what keeps the environment with pull requests from being at rest: each update that
// has not ended is proposed in an open pull request that agrees with it, or waits for a person to
// take a commit off its branch. It is "" where nothing does.
func (c *checker) disagreement() string {
	c.w.forgeHost.lock()
	defer c.w.forgeHost.unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(c.updates)) {
		u := c.updates[id]
		if u.lost || u.State.Final() || !c.w.proposes(u.Environment) || u.State == gitops.Pending && c.isBehind(u) {
			continue
		}
		if why := c.disagrees(u); why != "" {
			return fmt.Sprintf("update %s of %s to %s is %s: %s", u.ID, u.App, u.Tag, u.State, why)
		}
	}
	return ""
}

// isBehind reports whether a newer update of the app is open: it is that which is proposed. The
// lock is held.
func (c *checker) isBehind(u *tracked) bool {
	for _, other := range c.updates {
		if other.Environment == u.Environment && other.App == u.App && other.Sequence > u.Sequence && !other.lost && !other.State.Final() {
			return true
		}
	}
	return false
}

// disagrees is why an update is neither proposed as it should be nor waits for a person. The
// locks are held.
func (c *checker) disagrees(u *tracked) string {
	branch := proposals.Branch(u.Environment, u.App)
	head, there := c.w.origin.topics[branch]
	_, ours := c.topics[head]
	if there && (!ours || c.keyless) && (u.State == gitops.Proposed || len(u.BlockedBy) > 0 && u.BlockedBy[0].Kind == gitops.BlockProposal) {
		return "" // it waits for a person
	}
	if u.State != gitops.Proposed {
		return fmt.Sprintf("it is not proposed: %v", u.BlockedBy)
	}
	p := c.w.forgeHost.openOf(branch)
	switch {
	case p == nil:
		return "it has no open pull request"
	case u.Proposal == nil || u.Proposal.Number != p.Number:
		return fmt.Sprintf("%s is open, and it says %+v", p.URL, u.Proposal)
	case hash(p.Head) != head || c.firstTag(head, release{u.Environment, u.App}) != u.Tag:
		return p.URL + " has another tag"
	case !p.rewritten && !strings.Contains(p.Text.Body, u.ID):
		return p.URL + " does not name it"
	}
	return ""
}

// finallyByPull checks how an update of the environment with pull requests ended, when all has
// come to rest. The lock is held.
func (c *checker) finallyByPull(u *tracked) {
	merged := c.merged[u.ID]
	switch {
	case !u.State.Final() && u.at.After(c.rested):
	case !u.State.Final():
		c.wrong("update %s was accepted and has not ended: %s %s", u.ID, u.State, u.Reason)
	case len(merged) > 0 && u.State != gitops.Committed && u.proposed && !u.takenBack && !c.isTwinCommitted(u) && c.restores == 0 && !c.wasForced:
		c.wrong("pull request #%d of update %s was merged, and it is %s: %s", merged[0], u.ID, u.State, u.Reason)
	}
}

// isTwinCommitted reports whether a newer update of the same tag has taken the pull request over, and
// is committed. The lock is held.
func (c *checker) isTwinCommitted(u *tracked) bool {
	for _, other := range c.updates {
		if other.Environment == u.Environment && other.App == u.App && other.Tag == u.Tag && other.Sequence > u.Sequence && other.State == gitops.Committed {
			return true
		}
	}
	return false
}

// finallyPulls checks that nothing is open when all has come to rest but what a person has opened
// again. The lock is held.
func (c *checker) finallyPulls() {
	for _, p := range c.w.forgeHost.all {
		if p.State == proposals.PullOpen && !p.reopened && c.restores == 0 { // of what was lost nobody knows
			c.wrong("%s is open, and everything has ended", p.URL)
		}
	}
}
