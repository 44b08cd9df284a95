package inspect

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// mostUnused is how many updates and answers are kept that may not be asked for again.
const mostUnused = 10_000

// unused is an update that the lane may not ask about again, since it has ended meanwhile, or
// an answer that no update waits for. It is forgotten when it counts no longer.
type unused struct {
	at     time.Time
	waiter *waiter
	look   *look
}

// expectQuestion notes that the lane knows that it is to ask about an update.
func (r *Room) expectQuestion(w *waiter, now time.Time) {
	w.listed = now
	r.unused = append(r.unused, unused{at: now, waiter: w})
}

// listUnused notes a look that no update waits for.
func (r *Room) listUnused(l *look, now time.Time) {
	if len(l.waiters) == 0 && l.place == idle {
		r.unused = append(r.unused, unused{at: now, look: l})
	}
}

// forgetUnused forgets what is too old, or too much. What is used is listed again when it is
// not.
func (r *Room) forgetUnused(now time.Time) {
	for len(r.unused) > 0 {
		u := r.unused[0]
		if now.Sub(u.at) < fresh && len(r.unused) <= mostUnused {
			return
		}
		r.unused = r.unused[1:]
		switch {
		case u.waiter != nil && u.waiter.listed.Equal(u.at):
			r.forget(u.waiter, now)
		case u.look != nil && len(u.look.waiters) == 0 && u.look.place == idle:
			delete(r.looks, u.look.question)
		}
	}
}

// forget forgets an update; nil for none.
func (r *Room) forget(w *waiter, now time.Time) {
	if w == nil || w.look == nil {
		return
	}
	r.detach(w, now)
	delete(w.environment.waiters, w.update.ID)
	delete(w.environment.freed, w.update.ID)
}

// verdictOf names a verdict of an update, which has another after each retry.
type verdictOf struct {
	update  string
	retried int64
}

// counted are the latest verdicts that were counted. The lane asks again after each write
// that did not succeed.
type counted struct {
	outcomes map[verdictOf]image.Outcome
	order    []verdictOf
}

// count counts a final verdict once.
func (r *Room) count(u gitops.Update, o image.Outcome) {
	c, v := &r.counted, verdictOf{u.ID, u.RetriedAt.UnixNano()}
	before, known := c.outcomes[v]
	if known && before == o {
		return
	}
	if !known {
		c.order = append(c.order, v)
	}
	if len(c.order) > mostUnused {
		delete(c.outcomes, c.order[0])
		c.order = c.order[1:]
	}
	c.outcomes[v] = o
	r.Recorder.Inspected(u.Environment, o)
}
