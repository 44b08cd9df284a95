package simulation

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// What the checker knows of rollouts. It is told of each report that the store has taken.

// clusterBooks are the checker's of rollouts.
type clusterBooks struct {
	rollouts map[string]gitops.Rollout // by update, as last recorded
	followed time.Time                 // since when what is written is followed; zero before
}

func newClusterBooks() clusterBooks { return clusterBooks{rollouts: make(map[string]gitops.Rollout)} }

// follows is told that a place in the feed of changes is kept: what comes after it is followed.
func (c *checker) follows() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.followed.IsZero() {
		c.followed = time.Now()
	}
}

// rolled checks what a follower has recorded.
func (c *checker) rolled(replica string, reports []queue.RolloutReport, kept []gitops.Rollout) {
	ran := make([]bool, len(reports))
	for n, report := range reports {
		if kept[n].State == gitops.RolloutHealthy {
			ran[n] = c.ranSince(report.Update)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for n, report := range reports {
		u := c.updates[report.Update]
		before := c.rollouts[report.Update]
		c.w.tell("%s: rollout of %s (%s in %s to %s): %s, %s", replica, report.Update, u.App, u.Environment, u.Tag, kept[n].State, kept[n].Reason)
		switch {
		case c.restores > 0: // the books are not taken back
		case before.State.Final() && before.State != kept[n].State:
			c.wrong("the rollout of %s was %s and is %s", report.Update, before.State, kept[n].State)
		case !u.State.Written():
			c.wrong("update %s is %s and has a rollout", report.Update, u.State)
		case kept[n].State == gitops.RolloutHealthy && !ran[n]:
			c.wrong("update %s is said to run, and %s never ran since it was written", report.Update, u.Tag)
		case kept[n].State == gitops.RolloutTimedOut, kept[n].State == gitops.RolloutUnmapped, kept[n].State == gitops.RolloutGone:
			c.wrong("the rollout of %s is %s: %s", report.Update, kept[n].State, kept[n].Reason)
		case kept[n].State == gitops.RolloutSyncFailed, kept[n].State == gitops.RolloutDegraded:
			if refused, broken := c.w.cluster.fate(release{u.Environment, u.App}, u.Tag); !refused && !broken {
				c.wrong("the rollout of %s is %s, and its tag runs: %s", report.Update, kept[n].State, kept[n].Reason)
			}
		}
		c.rollouts[report.Update] = kept[n]
	}
}

// ranSince reports whether an update's tag has run at some time since it was written, or the
// branch had it. The lock is not held.
func (c *checker) ranSince(id string) bool {
	c.mu.Lock()
	u := *c.updates[id]
	c.mu.Unlock()
	return c.w.cluster.ranSince(release{u.Environment, u.App}, u.Tag, u.at)
}

// toFollow are the updates whose rollout has begun and is not over, or has not begun and is to.
// The lock is held.
func (c *checker) toFollow() (open []*tracked) {
	if c.wasForced || c.restores > 0 {
		return nil // what was thrown away is never there; and the books are not taken back
	}
	for id, u := range c.updates {
		r, begun := c.rollouts[id]
		if begun && !r.State.Final() || !begun && c.isToFollow(u) {
			open = append(open, u)
		}
	}
	return open
}

// isToFollow reports whether an update was written after the feed was followed.
func (c *checker) isToFollow(u *tracked) bool {
	return c.w.clusters.followed[u.Environment] && !c.followed.IsZero() && !u.lost && u.State.Written() && u.ended.After(c.followed)
}

// finallyRollouts checks that each rollout has ended, and that what was written last of an app
// runs where it can. The lock is held.
func (c *checker) finallyRollouts(newest map[release]*tracked) {
	for _, u := range c.toFollow() {
		c.wrong("the rollout of %s (%s in %s to %s) has not ended: %s, %s", u.ID, u.App, u.Environment, u.Tag, c.rollouts[u.ID].State, c.rollouts[u.ID].Reason)
	}
	for r, u := range newest {
		if c.wasForced || c.restores > 0 || c.hands[r] || !c.isToFollow(u) {
			continue
		}
		refused, broken := c.w.cluster.fate(r, u.Tag)
		if state := c.rollouts[u.ID].State; !refused && !broken && state != gitops.RolloutHealthy {
			c.wrong("update %s was written last of %s in %s, can run, and its rollout is %s: %s", u.ID, r.app, r.environment, state, c.rollouts[u.ID].Reason)
		}
	}
}
