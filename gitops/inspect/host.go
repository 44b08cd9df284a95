package inspect

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

const (
	atOnce    = 8                     // how many first looks a host answers at once, and how many repeated ones
	repeating = 50 * time.Millisecond // between two repeated looks at one host: 20 a second
	// answering is for how long a host that has answered is taken to answer others than the
	// repository that it denies us.
	answering = 5 * time.Minute
)

// host is what is asked together, and backs off together.
type host struct {
	name    string
	wanted  int     // looks that somebody waits for
	firsts  []*look // what nothing is known of, in order
	repeats repeats // what was not there, by when it is looked for again

	firstsUnderWay  int
	repeatsUnderWay int
	nextRepeat      time.Time // not before

	out        *outage            // nil while it answers
	answeredAt time.Time          // the latest answer
	away       map[string]*outage // repositories that it denies us
	timer      *time.Timer        // of the next thing to do
}

func (r *Room) hostOf(repository string) *host {
	name := r.Registry().Host(repository)
	h := r.hosts[name]
	if h == nil {
		h = &host{name: name, away: make(map[string]*outage)}
		h.timer = time.AfterFunc(time.Hour, func() { r.wake(h) })
		h.timer.Stop()
		r.hosts[name] = h
	}
	return h
}

func (r *Room) wake(h *host) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dispatch(h, r.Now())
}

func (h *host) addFirst(l *look) {
	l.place = inFirsts
	h.firsts = append(h.firsts, l)
}

// dispatch starts what may be started now, and comes again when more may be.
func (r *Room) dispatch(h *host, now time.Time) {
	if r.ctx.Err() != nil {
		return
	}
	if h.out != nil && h.out.probe == nil && h.wanted == 0 && !now.Before(h.out.until) {
		h.out = nil // no update waits for it, so it is not asked, and its state is not known
	}
	if h.out != nil {
		r.probe(h, now)
	} else {
		for h.firstsUnderWay < atOnce {
			l := r.nextFirst(h, now)
			if l == nil {
				break
			}
			r.start(l, &h.firstsUnderWay, now)
		}
		for h.repeatsUnderWay < atOnce && !now.Before(h.nextRepeat) {
			l := r.nextRepeat(h, now)
			if l == nil {
				break
			}
			h.nextRepeat = now.Add(repeating)
			r.start(l, &h.repeatsUnderWay, now)
		}
	}
	if at := h.nextAt(); !at.IsZero() {
		h.timer.Reset(max(at.Sub(now), 0))
	}
}

// probe asks a host that is away by one look at a time. What failed is asked again after all
// others: one image that a registry cannot serve does not keep the others away. Where only
// one has failed so far, another is asked at once.
func (r *Room) probe(h *host, now time.Time) {
	mayBeOneImage := h.out.only != nil && !h.out.obeyed && h.out.err.Code != gitops.RateLimited && len(h.firsts) > 0
	if h.out.probe != nil || now.Before(h.out.until) && !mayBeOneImage {
		return
	}
	l := r.nextFirst(h, now)
	if l == nil {
		l = r.nextRepeat(h, now)
	}
	if l != nil {
		h.out.probe = l
		r.start(l, new(int), now)
	}
}

// nextAt is when there is something to start that cannot be started now; zero for never.
// What waits for room among what is under way needs no time.
func (h *host) nextAt() time.Time {
	switch {
	case h.out != nil && h.out.probe != nil:
		return time.Time{}
	case h.out != nil && (len(h.firsts) > 0 || h.wanted == 0):
		return h.out.until
	case len(h.repeats) == 0:
		return time.Time{}
	case h.out != nil:
		return later(h.repeats[0].due, h.out.until)
	case h.repeatsUnderWay >= atOnce:
		return time.Time{}
	}
	return later(h.repeats[0].due, h.nextRepeat)
}

// nextFirst takes the next first look that somebody waits for and that may be asked.
func (r *Room) nextFirst(h *host, now time.Time) *look {
	for len(h.firsts) > 0 {
		l := h.firsts[0]
		h.firsts[0], h.firsts = nil, h.firsts[1:]
		if r.mayAsk(l, now) {
			return l
		}
	}
	return nil
}

// nextRepeat takes the repeated look that is due.
func (r *Room) nextRepeat(h *host, now time.Time) *look {
	for len(h.repeats) > 0 && !h.repeats[0].due.After(now) {
		l := h.repeats[0]
		h.repeats.remove(l)
		if r.mayAsk(l, now) {
			return l
		}
	}
	return nil
}

// mayAsk reports whether a look that has left its queue is to be asked. A look without an
// update is not, and one in a repository that is away waits until another look finds the
// repository back.
func (r *Room) mayAsk(l *look, now time.Time) bool {
	away := l.host.away[l.question.Repository]
	switch {
	case len(l.waiters) == 0:
		l.place = idle
		r.listUnused(l, now)
		if away != nil && away.probe == l {
			r.probeAnother(l.host, l.question.Repository, now)
		}
		return false
	case away != nil && away.probe != l:
		away.park(l)
		return false
	}
	return true
}
