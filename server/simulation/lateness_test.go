package simulation

import (
	"cmp"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// enter takes down a new update, or one that was lost. The lock is held.
func (c *checker) enter(d gitops.Delivery, u gitops.Update) {
	known := c.updates[u.ID]
	if known == nil {
		known = &tracked{}
		c.updates[u.ID] = known
	} else if !known.lost {
		c.wrong("update %s was accepted twice", u.ID)
	} else {
		met.meet("a lost delivery was taken in again")
	}
	if _, there := c.on[u.ID]; known.order == 0 || (!u.Recovered || isPolls(u)) && !there { // who sends it again means it now
		c.acceptances++
		known.order = c.acceptances
	}
	known.Update, known.at, known.lost, known.held = u, time.Now(), false, false
	c.order(d, u)
	c.hears(u)
	c.byPoll(u)
	c.raise(u)
}

// order checks where a delivery that was accepted puts its updates: an update that
// is late or that lowers the version was superseded, and no other. The lock is held.
func (c *checker) order(d gitops.Delivery, u gitops.Update) {
	r := release{u.Environment, u.App}
	receipt := d.PlannedAt()
	if u.AcceptedAt.Before(receipt) {
		receipt = u.AcceptedAt
	}
	event := u.EventTime
	newer, certain := "", false // certain: the service knows of it
	// byOrder: an order is newer. unknown: wrong clocks hide from the service when the
	// newest order was received.
	byOrder, unknown := false, c.setBack[r]
	lastPush := c.lastPush(u)
	c.updates[u.ID].receipt = receipt
	for _, other := range c.updates {
		if other.ID == u.ID || other.lost || other.cameLate() || other.Environment != u.Environment || other.App != u.App {
			continue
		}
		happened := other.EventTime
		if happened.After(receipt) {
			c.blurred[r] = true // a wrong clock said so, and that says nothing from here on
			continue
		}
		switch {
		case onlyUp(u):
			happened = other.behindPush(u, receipt)
			unknown = unknown || !onlyUp(other.Update) && other.receipt.After(receipt)
		case happened.IsZero() && u.Recovered:
			happened = other.receipt
		case event.IsZero() && other.receipt.After(receipt):
			c.setBack[r] = true
		}
		if happened.Unix() > event.Unix() {
			newer = other.ID
			certain, byOrder = certain || !onlyUp(u) || other == lastPush, byOrder || !onlyUp(other.Update)
		}
	}
	certain = certain || byOrder && !unknown
	if c.behindWord(u) {
		newer, certain = "a person's order", true
	}
	higher, higherForSure := c.higherThan(u)
	switch {
	case u.State == gitops.Pending && higher != "" && !higherForSure:
		met.meet("a lower version was pushed than one that is bad")
	case u.State == gitops.Superseded && newer == "" && higher != "":
		met.meet("a lower version was pushed")
	case u.State == gitops.Superseded:
		met.meet("an update came late")
	case u.State == gitops.Pending && lastPush != nil && lastPush.EventTime.Unix() > event.Unix() && !event.IsZero():
		met.meet("a higher version was pushed before a lower one, and arrived after it")
	}
	switch {
	case u.State == gitops.Superseded && newer == "" && higher == "":
		c.wrong("update %s was superseded as late, and nothing of its app is newer", u.ID)
	case u.State == gitops.Pending && higherForSure:
		c.wrong("update %s, of a push, is a lower version than update %s of its app, and was accepted", u.ID, higher)
	case u.State == gitops.Pending && !event.IsZero() && certain && !c.blurred[r] && !u.Recovered:
		c.wrong("update %s happened before %s of its app, and was accepted as new", u.ID, newer)
	}
}

// cameLate reports whether an update was superseded when it was accepted.
func (u *tracked) cameLate() bool {
	return u.State == gitops.Superseded && u.FinishedAt.Equal(u.AcceptedAt)
}

// released is when what an update asks for happened, where clocks are right: where nobody
// gives a time, when its delivery was received. A replica that stands still between the
// receipt and the acceptance has an older delivery accepted after a newer one.
func (u *tracked) released() time.Time { return cmp.Or(u.EventTime, u.receipt) }
