package inspect

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

const (
	// fresh is for how long an answer counts.
	fresh = 5 * time.Minute
	// before is how much earlier than an update was accepted a look may have begun whose
	// answer counts for it: a burst of updates of one image costs one look.
	before = 10 * time.Second
)

// waiter is an update that is to be written when its image was found.
type waiter struct {
	environment *environment
	update      gitops.Update
	look        *look
	asked       time.Time // when the room was first asked about it
	counts      time.Time // what was asked earlier does not count for it
	since       time.Time // since when its image is missing; zero when that is not known
	until       time.Time // the end of the wait, with since

	state   state
	outcome image.Outcome // while it is waiting: for what; "" for the registry
	why     string        // ... and what is the matter with that, as it was told
	listed  time.Time     // when it was entered in Room.unused; zero when it is in use
}

// state is what the lane was told of an update, and what it is to ask next.
type state int

const (
	looking  state = iota // it was told that nothing is known
	answered              // ... and something is by now: Changed tells
	waiting               // it was told to wait
	freed                 // ... and that is over: Changed tells, and Freed has it
)

// waiterOf is the waiter of an update that the room is asked about. One that a person
// retried since begins again, and so does one that was accepted again, by a store that had lost
// it: what was found before is older than the update. One whose rules have changed asks for something else.
func (r *Room) waiterOf(e *environment, rules image.Rules, u gitops.Update, now time.Time) *waiter {
	w, q := e.waiters[u.ID], rules.Ask(u)
	if w != nil && (u.RetriedAt.After(w.update.RetriedAt) || w.isEarlier(u)) {
		r.forget(w, now)
		w = nil
	}
	if w == nil {
		w = newWaiter(e, u, now)
		e.waiters[u.ID] = w
	}
	if w.look == nil || w.look.question != q {
		r.attach(w, q, now)
	}
	if !w.since.IsZero() {
		w.until = w.since.Add(rules.Wait)
	}
	delete(e.freed, u.ID)
	w.listed = time.Time{}
	return w
}

// isEarlier reports whether an update was accepted once more since its waiter began. Times
// of the store are as this process's clock has them, which may be set meanwhile.
func (w *waiter) isEarlier(u gitops.Update) bool {
	return u.AcceptedAt.Sub(w.update.AcceptedAt) > before
}

func newWaiter(e *environment, u gitops.Update, now time.Time) *waiter {
	u.Steps, u.BlockedBy, u.Decisions, u.Terms, u.CancelRequest = nil, nil, nil, nil, nil
	w := &waiter{environment: e, update: u, asked: now, counts: u.AcceptedAt.Add(-before)}
	if u.RetriedAt.After(w.counts) {
		w.counts = u.RetriedAt
	}
	if w.counts.After(now) { // the store's clock is ahead
		w.counts = now
	}
	if !u.ImageSince.IsZero() && !u.ImageSince.Before(u.RetriedAt) && !u.ImageSince.After(now) {
		w.since = u.ImageSince
	}
	return w
}

// verdict is what the look's answer means for the update; false while none counts. What
// was asked before the update came makes it fail only after another look: the tag may
// name its image by now, or may be known to.
func (w *waiter) verdict(rules image.Rules, now time.Time) (v image.Verdict, known bool) {
	a := w.look.answer
	if a == nil || a.At.Before(w.counts) || now.Sub(a.At) >= fresh {
		return v, false
	}
	v = image.Judge(rules, w.update, *a, w.look.seen, w.since, now)
	switch {
	case v.Waits != nil:
		w.since, w.until = v.Waits.Since, v.Waits.Until
		return v, w.until.After(now)
	case v.Fails != nil:
		return v, !a.At.Before(w.asked)
	}
	return v, true
}

func (w *waiter) toldToWait(outcome image.Outcome) { w.state, w.outcome, w.why = waiting, outcome, "" }

func (w *waiter) toldOf(away *outage) { w.state, w.outcome, w.why = waiting, "", away.err.Public() }

// free has the lane take the update again.
func (w *waiter) free() {
	w.state = freed
	w.environment.freed[w.update.ID] = true
	w.environment.signal()
}

// review tells the lane when its look's answer has changed what it was told, and says what
// the update needs next.
func (r *Room) review(w *waiter, now time.Time) need {
	if w.state == waiting && w.outcome == image.OutcomeAbsent && w.look.answer.Presence == image.Absent && w.until.After(now) {
		return w.need(now, true) // as it was told: no words are made
	}
	rules, inspected := r.Rules(w.update.Environment)
	if !inspected {
		return need{} // Reconfigured tells
	}
	v, isKnown := w.verdict(rules, now)
	switch {
	case isKnown && w.state == looking:
		w.state = answered
		w.environment.signal()
		r.expectQuestion(w, now)
	case isKnown && w.state == waiting && (v.Waits == nil || v.Outcome != w.outcome):
		w.free()
	}
	if isKnown && v.Waits == nil {
		return need{}
	}
	return w.need(now, isKnown)
}

// need is when an update needs a look: the zero value is never.
type need struct {
	at     time.Time
	repeat bool // its image was looked for, and was not there
}

// sooner reports whether it is to be done before another.
func (n need) sooner(than need) bool {
	switch {
	case n.at.IsZero() || than.at.IsZero():
		return than.at.IsZero() && !n.at.IsZero()
	case n.repeat != than.repeat:
		return !n.repeat
	}
	return n.at.Before(than.at)
}

// need says when the update needs a look that is not final yet: at once while nothing is
// known. An image that is missing is looked for again and again, and at the end of the
// wait.
func (w *waiter) need(now time.Time, isKnown bool) need {
	missing := !w.since.IsZero() && w.look.answer != nil && !w.look.answer.At.Before(w.counts)
	switch {
	case !isKnown && !missing:
		return need{at: now}
	case !isKnown:
		return need{at: now, repeat: true}
	}
	at := w.look.answer.At.Add(interval(now.Sub(w.since)))
	if w.until.Before(at) {
		at = w.until
	}
	return need{at: at, repeat: true}
}

// often is for how long a missing image is looked for every second.
const often = 30 * time.Second

// interval is how long to wait until the next look at an image that has been missing for a
// time: every second at first, then 2, 4, 8 and every 15.
func interval(missing time.Duration) time.Duration {
	switch after := missing - often; {
	case after < 0:
		return time.Second
	case after < 2*time.Second:
		return 2 * time.Second
	case after < 6*time.Second:
		return 4 * time.Second
	case after < 14*time.Second:
		return 8 * time.Second
	}
	return 15 * time.Second
}
