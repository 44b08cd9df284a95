package simulation

import (
	"cmp"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// pending counts the updates that have not ended, and what is still to be polled.
func (c *checker) pending() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range c.updates {
		if !u.lost && !u.State.Final() || u.lost && c.remembered(u) {
			n++
		}
	}
	return n + len(c.waiting) + len(c.toPoll()) + len(c.toFollow())
}

// rest says that all was given its time to end.
func (c *checker) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rested = time.Now()
}

// finally checks what must be true when everything has healed and come to rest.
func (c *checker) finally() {
	c.mu.Lock()
	defer c.mu.Unlock()
	newest := make(map[release]*tracked)
	for _, u := range c.updates {
		if u.lost {
			if c.remembered(u) {
				c.wrong("update %s was lost by a restore and never taken in again", u.ID)
			}
			continue
		}
		if c.w.proposes(u.Environment) {
			c.finallyByPull(u)
			continue
		}
		c.inTime(u)
		commits := c.ever[u.ID]
		if u.unknown && (u.State == gitops.Failed || u.State == gitops.Cancelled) { // it may be on the branch, and its reason says so
			c.hands[release{u.Environment, u.App}] = true
			continue
		}
		switch {
		case !u.State.Final() && u.at.After(c.rested): // by a sweep, while the replicas stopped
		case !u.State.Final():
			c.wrong("update %s was accepted and has not ended: %s", u.ID, u.Reason)
		case u.State == gitops.Committed && !c.wasForced && len(commits) == 0 && c.brought(u, u.Commit): // by a person
		case u.State == gitops.Committed && !c.wasForced && (len(commits) != 1 || c.on[u.ID] != commits[0]):
			c.wrong("update %s is committed and has the commits %v", u.ID, commits)
		case u.onItsWay || c.forgotten(u):
		case u.State != gitops.Committed && !c.wasForced && len(commits) > 0:
			c.wrong("update %s is %s and has the commits %v", u.ID, u.State, commits)
		}
		r := release{u.Environment, u.App}
		if at := newest[r]; (at == nil || u.Sequence > at.Sequence) && u.State.Written() {
			newest[r] = u
		}
	}
	for _, u := range c.updates {
		if at := newest[release{u.Environment, u.App}]; c.restores == 0 && !c.w.proposes(u.Environment) && u.State == gitops.Superseded && u.FinishedAt.After(u.AcceptedAt) && !c.byTheBranch(u) && !u.byHand && (at == nil || at.Sequence < u.Sequence && !c.newerWritten(u)) {
			c.wrong("update %s was superseded, and nothing that came after it was written", u.ID)
		}
	}
	now := c.tags(c.w.origin.tip)
	for r, u := range newest {
		c.highestWins(r, u)
		if !c.hands[r] && !c.wasForced && c.restores == 0 && now[r] != u.Tag {
			c.wrong("the branch says %s of %s in %s, where %s was written last", now[r], r.app, r.environment, u.Tag)
		}
	}
	for r, tag := range now {
		if said := c.said[r]; said[len(said)-1].tag != tag {
			c.wrong("the branch says %q of %s in %s, and nobody wrote that", tag, r.app, r.environment)
		}
	}
	for delivery := range c.waiting {
		c.wrong("delivery %s waited, and was never decided", delivery)
	}
	c.finallyRollouts(newest)
	c.finallyPulls()
	c.inOrder()
	c.highestIsFound()
}

// newerWritten reports whether a release of the same app that happened later by its
// event was written. An order is compared with a push by when the store's clock says that
// it was accepted, which is what its commit says.
func (c *checker) newerWritten(u *tracked) bool {
	for _, other := range c.updates {
		switch {
		case u.EventTime.IsZero() || other.Environment != u.Environment || other.App != u.App || !other.State.Written() && len(c.ever[other.ID]) == 0:
		case cmp.Or(other.EventTime, other.at).Unix() > u.EventTime.Unix():
			return true
		case u.App == newcomer && u.Recovered && other.EventTime.IsZero() && other.AcceptedAt.Unix() > u.EventTime.Unix(): // of what waited both are by the store's clock
			return true
		case onlyUp(u.Update) && other.EventTime.IsZero() && other.AcceptedAt.Sub(u.EventTime) > time.Minute:
			return true
		}
	}
	return false
}

// remembered reports whether a lost update is to be taken in again: GitHub still tells
// of its delivery, and no other has its body.
func (c *checker) remembered(u *tracked) bool {
	return u.Delivery.Source == orders.Source() && c.sameBody(u.Delivery) == nil
}

// sameBody is an update that the store has, of another dispatch with the same body, or
// nil. The lock is held.
func (c *checker) sameBody(delivery gitops.DeliveryKey) *tracked {
	if delivery.Source != orders.Source() {
		return nil
	}
	body := c.w.hub.body(delivery.ID)
	for _, u := range c.updates {
		if !u.lost && u.Delivery.Source == delivery.Source && u.Delivery != delivery && c.w.hub.body(u.Delivery.ID) == body {
			return u
		}
	}
	return nil
}

// inOrder checks that what was answered before another was sent has the smaller
// sequences.
func (c *checker) inOrder() {
	type span struct {
		sequence, sent, answered int64
		id                       string
	}
	lanes := make(map[string][]span)
	for _, d := range c.answers {
		for _, u := range d.updates {
			if known := c.updates[u.ID]; known != nil && known.Delivery.ID == d.id && !known.Recovered && !known.lost && !known.wasLost {
				lanes[u.Environment] = append(lanes[u.Environment], span{known.Sequence, d.sent, d.answered, u.ID})
			}
		}
	}
	for environment, spans := range lanes {
		slices.SortFunc(spans, func(a, b span) int { return int(a.sequence - b.sequence) })
		for i := range spans {
			for _, later := range spans[i+1:] {
				// The same delivery sent twice has one sequence, and what came first counts.
				if later.sequence > spans[i].sequence && later.answered < c.firstSent(spans[i].id) {
					c.wrong("%s: %s was answered before %s was sent, and comes after it", environment, later.id, spans[i].id)
				}
			}
		}
	}
}

// firstSent is when the delivery of an update was sent first.
func (c *checker) firstSent(update string) int64 {
	first := int64(-1)
	for _, d := range c.w.sent {
		if d.id == c.updates[update].Delivery.ID && (first < 0 || d.sent < first) {
			first = d.sent
		}
	}
	return first
}

func (c *checker) answered(d *dispatch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = append(c.answers, d)
	for _, u := range d.updates {
		if c.updates[u.ID] == nil {
			c.wrong("%s was answered with update %s, which was never accepted", d.id, u.ID)
		}
	}
}
