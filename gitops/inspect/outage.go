package inspect

import (
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

const (
	firstPause   = time.Second
	longestPause = time.Minute
	// A registry that asks for more is asked again after this long: its clock or its words
	// may be wrong.
	longestObeyed = time.Hour
)

// outage is a row of failures: of a host, of one of its repositories, or of an image.
type outage struct {
	err      *gitops.Error // the latest
	since    time.Time
	failed   time.Time // when it failed last
	until    time.Time // nothing is sent before
	obeyed   bool      // because the registry said so
	failures int
	same     int       // how many of the latest said the same
	told     time.Time // when those that wait were told of another reason; zero for never
	only     *look     // of a host: the one that failed; nil when several did
	probe    *look     // the one that asks whether it is over: of a host only while it is under way
	parked   []*look   // of a repository: what waits for that
}

// fails is the outage after one more failure: each pause is twice as long as the one before,
// unless the registry says how long it is to be.
func (o *outage) fails(err *gitops.Error, now time.Time) *outage {
	if o == nil {
		o = &outage{since: now}
	}
	pause := min(firstPause<<min(o.failures, 10), longestPause)
	o.obeyed = err.RetryAfter > 0
	if o.obeyed {
		pause = min(err.RetryAfter, longestObeyed)
	}
	if o.err == nil || o.err.Public() != err.Public() {
		o.same = 0
	}
	o.err, o.failed, o.failures, o.same = err, now, o.failures+1, o.same+1
	o.until = later(o.until, now.Add(pause))
	return o
}

func (o *outage) park(l *look) {
	l.place = parked
	o.parked = append(o.parked, l)
	l.signal()
}

// away is why a look says nothing; nil when it is to be asked, or is asked.
func (l *look) away() *outage {
	switch away := l.host.away[l.question.Repository]; {
	case l.host.out != nil:
		return l.host.out
	case away != nil:
		return away
	}
	return l.out
}

// failed finds out whose failure it is that a look failed, and has that back off.
func (r *Room) failed(l *look, err *gitops.Error, now time.Time) {
	h := l.host
	others := l.out != nil && h.answeredAt.After(l.out.failed) // were answered since it failed last
	l.out, l.place = l.out.fails(err, now), idle
	isHosts := false
	switch err.Code {
	case gitops.Unauthorized, gitops.Forbidden:
		isHosts = h.answeredAt.IsZero() || now.Sub(h.answeredAt) > answering
	case gitops.RateLimited:
		isHosts = true
	case gitops.Unavailable:
		isHosts = !others
	}
	switch isProbe := h.out != nil && h.out.probe == l; {
	case isHosts:
		r.hostFailed(l, err, now)
	case isProbe && err.Code == gitops.Unavailable: // it says nothing of the host: another asks at once
		h.out.probe = nil
	case isProbe:
		r.hostIsBack(h)
	}
	switch {
	case err.Code == gitops.Unauthorized || err.Code == gitops.Forbidden:
		r.repositoryFailed(l, err, now)
	case isHosts:
		h.repeats.add(l, h.out.until) // behind all others
	default:
		h.repeats.add(l, l.out.until)
	}
	l.signal()
	for _, o := range []*outage{h.out, h.away[l.question.Repository], l.out} {
		r.tellAgain(h, o, now)
	}
}

// tellEvery is how often those that wait are told of another reason, at most: each time is a line
// in their history.
const tellEvery = 10 * time.Minute

// tellAgain tells why an outage lasts to those that were told of another reason, as when a
// registry that was not reached is, and rejects the credentials. A reason counts when it came
// twice in a row: what changes with each look is not told each time.
func (r *Room) tellAgain(h *host, o *outage, now time.Time) {
	if o == nil || o.same < 2 || !o.told.IsZero() && now.Sub(o.told) < tellEvery {
		return
	}
	why, freed := o.err.Public(), 0
	for _, e := range r.environments {
		for _, w := range e.waiters {
			if w.state == waiting && w.outcome == "" && w.why != why && w.look.away() == o {
				w.free()
				freed++
			}
		}
	}
	if freed > 0 {
		o.told = now
		r.Logger.Warn("images wait for another reason", slog.String("host", h.name), slog.Int("updates", freed), slog.String("code", string(o.err.Code)), slog.String("error", o.err.Error()))
	}
}

// hostFailed has all of a host back off. What was under way when it began says only how
// long.
func (r *Room) hostFailed(l *look, err *gitops.Error, now time.Time) {
	h := l.host
	switch {
	case h.out == nil:
		h.out = h.out.fails(err, now)
		h.out.only = l
		r.Logger.Warn("registry unavailable, its images wait", slog.String("host", h.name), slog.String("code", string(err.Code)), slog.String("error", err.Error()))
		for _, e := range r.environments {
			e.signal()
		}
	case h.out.probe == l:
		h.out = h.out.fails(err, now)
		h.out.probe = nil
	case err.RetryAfter > 0:
		h.out.until, h.out.obeyed = later(h.out.until, now.Add(min(err.RetryAfter, longestObeyed))), true
	}
	if h.out.only != l {
		h.out.only = nil
	}
}

// repositoryFailed has a repository back off. The first look that failed asks whether it is
// back.
func (r *Room) repositoryFailed(l *look, err *gitops.Error, now time.Time) {
	h, repository := l.host, l.question.Repository
	away := h.away[repository]
	if away != nil && away.probe != l {
		away.park(l)
		return
	}
	if away == nil {
		r.Logger.Warn("registry denies a repository, its images wait", slog.String("repository", repository), slog.String("code", string(err.Code)), slog.String("error", err.Error()))
	}
	away = away.fails(err, now)
	away.probe = l
	h.away[repository] = away
	h.repeats.add(l, away.until)
}

// probeAnother has another look ask for a repository that is away, since no update waits
// for the one that did.
func (r *Room) probeAnother(h *host, repository string, now time.Time) {
	away := h.away[repository]
	for _, l := range away.parked {
		away.parked = away.parked[1:]
		if l.place = idle; len(l.waiters) > 0 {
			away.probe = l
			h.repeats.add(l, later(away.until, now))
			return
		}
		r.listUnused(l, now)
	}
	delete(h.away, repository)
}

// answers notes that a host has answered a look. Where it was away, only the look that was
// to find out says that it is back: others may have been asked before.
func (r *Room) answers(l *look) {
	h, repository := l.host, l.question.Repository
	l.out, h.answeredAt = nil, r.Now()
	if away := h.away[repository]; away != nil {
		delete(h.away, repository)
		for _, parked := range away.parked {
			h.addFirst(parked)
		}
	}
	if h.out != nil && h.out.probe == l {
		r.hostIsBack(h)
	}
}

func (r *Room) hostIsBack(h *host) {
	r.Logger.Info("registry available", slog.String("host", h.name), slog.Int("failures", h.out.failures), slog.Time("since", h.out.since))
	h.out = nil
}

// retryNow ends the pauses of a host, its repositories and its images that the host did not
// ask for.
func (h *host) retryNow(now time.Time) {
	for _, o := range h.away {
		if !o.obeyed {
			o.until = now
		}
	}
	if h.out != nil && !h.out.obeyed {
		h.out.until = now
	}
	for _, l := range append(repeats(nil), h.repeats...) {
		if l.out != nil && !l.out.obeyed {
			h.repeats.move(l, now)
		}
	}
}
