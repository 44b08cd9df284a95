package inspect

import (
	"context"
	"errors"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// lookTime is how long a look may take. The registry's client bounds each request of it.
const lookTime = time.Minute

// look is what is known of a question, for all updates that ask it.
type look struct {
	question image.Question
	host     *host
	waiters  map[*waiter]bool
	answer   *image.Answer      // the latest; nil before the first
	seen     []gitops.SeenImage // what was recorded of the tag when it was answered
	out      *outage            // the latest look failed; nil when it was answered
	thorough time.Time          // when it was last asked for thoroughly

	place place
	room  *int      // while it is under way: the count that it is in
	due   time.Time // while it is in the host's repeats
	index int       // there
}

// place is where a look is.
type place int

const (
	idle      place = iota
	inFirsts        // in its host's queue of firsts
	inRepeats       // in its host's heap of repeats
	parked          // its repository is away, and another look asks whether it is back
	underWay        // it is asked, or its seen images are read
)

// attach has an update wait for a question's look.
func (r *Room) attach(w *waiter, q image.Question, now time.Time) {
	r.detach(w, now)
	l := r.looks[q]
	if l == nil {
		l = &look{question: q, host: r.hostOf(q.Repository), waiters: make(map[*waiter]bool)}
		r.looks[q] = l
	}
	if len(l.waiters) == 0 {
		l.host.wanted++
	}
	l.waiters[w], w.look = true, l
}

func (r *Room) detach(w *waiter, now time.Time) {
	l := w.look
	if l == nil {
		return
	}
	delete(l.waiters, w)
	w.look = nil
	if len(l.waiters) == 0 {
		l.host.wanted--
		r.listUnused(l, now)
	}
}

// place puts a look where the need says, unless it is to be done sooner already.
func (r *Room) place(l *look, n need, now time.Time) {
	h := l.host
	switch {
	case n.at.IsZero() || l.place == inFirsts || l.place == parked || l.place == underWay:
	case l.place == inRepeats && l.out != nil: // it backs off
	case l.place == inRepeats && !n.repeat:
		h.repeats.remove(l)
		h.addFirst(l)
	case l.place == inRepeats:
		if n.at.Before(l.due) {
			h.repeats.move(l, n.at)
		}
	case n.repeat:
		h.repeats.add(l, later(n.at, now))
	default:
		h.addFirst(l)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// start asks the registry. Before an update can fail because its image is missing, and once
// when it has been missing for a while, it is asked thoroughly.
func (r *Room) start(l *look, room *int, now time.Time) {
	l.place, l.room = underWay, room
	*room++
	q := l.question
	for w := range l.waiters {
		if !w.since.IsZero() && (!w.until.After(now) || !l.thorough.After(w.since) && now.Sub(w.since) >= often) {
			q.Thorough = true
		}
	}
	if q.Thorough {
		l.thorough = now
	}
	registry := r.Registry()
	r.work.Go(func() {
		ctx, cancel := context.WithTimeout(r.ctx, lookTime)
		defer cancel()
		a, err := registry.Look(ctx, q)
		a.At, a.Thorough = now, q.Thorough
		r.looked(l, a, err)
	})
}

// looked takes in what a look brought. A failure that comes from
// closing the room is not counted.
func (r *Room) looked(l *look, a image.Answer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return
	}
	now := r.Now()
	*l.room--
	if err == nil {
		err = unusable(a)
	}
	switch {
	case err != nil:
		r.failed(l, errorOf(err), now)
	case a.Presence == image.Present:
		r.answers(l)
		r.readSeen(unread{l, a})
	default:
		r.answers(l)
		r.settle(l, a, nil, now)
	}
	r.forgetUnused(now)
	r.dispatch(l.host, now)
}

// unusable returns an error for an answer without a digest: nothing can be written by it.
func unusable(a image.Answer) error {
	if a.Presence != image.Present {
		return nil
	}
	if err := gitops.CheckDigest("", a.Digest); err != nil || a.Digest == "" {
		return gitops.Errorf(gitops.Internal, "it does not say which digest the tag has").WithCause(err)
	}
	return nil
}

func errorOf(err error) *gitops.Error {
	var e *gitops.Error
	if errors.As(err, &e) {
		return e
	}
	return gitops.Errorf(gitops.Unavailable, "no answer").WithCause(err)
}

// settle tells of an answer, and plans the next look for those that still wait.
func (r *Room) settle(l *look, a image.Answer, seen []gitops.SeenImage, now time.Time) {
	l.answer, l.seen, l.place = &a, seen, idle
	var next need
	for w := range l.waiters {
		if n := r.review(w, now); n.sooner(next) {
			next = n
		}
	}
	r.place(l, next, now)
	r.listUnused(l, now)
}

// signal has the lanes ask again that were told nothing of a look's updates.
func (l *look) signal() {
	for w := range l.waiters {
		if w.state == looking {
			w.environment.signal()
		}
	}
}
