package poll

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// leader has images scanned when they are due: those of one host one after another, and
// several hosts at once. All but its workers is of one goroutine.
type leader struct {
	*Poller
	site    *Site
	targets map[string]target // by image
	known   map[string]*known // by image
	hosts   map[string]*host  // by the name that is asked
	counted map[string]bool   // registries of which the recorder knows
	timer   *time.Timer
	done    chan result
	workers sync.WaitGroup
}

// known is what is known of an image's scans.
type known struct {
	complete time.Time // when the last complete scan began; before the first, when it came here
	next     time.Time // not before
	every    time.Duration
	failing  string // why the last one failed; "" when it did not
}

// host is a registry as it is asked.
type host struct {
	pace     *pace
	busy     bool
	until    time.Time // it is left alone
	failures int       // in a row
	failing  string    // why the last call failed; "" when it did not
}

// result is that of a scan, or that a host's images are all done.
type result struct {
	host, image string // image is empty for the latter
	began       time.Time
	err         error
}

func newLeader(p *Poller) *leader {
	return &leader{Poller: p, known: make(map[string]*known), hosts: make(map[string]*host), counted: make(map[string]bool), timer: time.NewTimer(0), done: make(chan result)}
}

// end waits for the scans, whose context has ended.
func (l *leader) end() {
	l.timer.Stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.workers.Wait()
	}()
	for {
		select {
		case <-l.done:
		case <-ended:
			for registry := range l.counted {
				l.Recorder.Gone(registry)
			}
			return
		}
	}
}

// startDue starts the scans that are due, and returns what is received from when others may
// be.
func (l *leader) startDue(ctx context.Context) <-chan time.Time {
	l.look(ctx)
	now := l.Now()
	due := make(map[string][]target) // by host
	wait := lookEvery
	for name, t := range l.targets {
		k, h := l.known[name], l.hostOf(t)
		if k == nil || h.busy {
			continue
		}
		if at := later(k.next, h.until); at.After(now) {
			wait = min(wait, at.Sub(now))
			continue
		}
		due[t.host] = append(due[t.host], t)
	}
	for _, name := range slices.Sorted(maps.Keys(due)) {
		targets := due[name]
		slices.SortFunc(targets, func(a, b target) int { // what failed comes last
			return cmp.Or(l.known[a.name].next.Compare(l.known[b.name].next), cmp.Compare(a.name, b.name))
		})
		site, pace := l.site, l.hosts[name].pace
		l.hosts[name].busy = true
		l.workers.Go(func() { l.work(ctx, site, pace, name, targets) })
	}
	l.timer.Reset(wait)
	return l.timer.C
}

// look brings the targets up to date with what is in force. Of an image that is new here
// the store says when it was last scanned.
func (l *leader) look(ctx context.Context) {
	if site := l.Site(); site != l.site {
		l.site, l.targets = site, targetsOf(site)
		maps.DeleteFunc(l.known, func(name string, _ *known) bool { _, still := l.targets[name]; return !still })
	}
	for _, name := range slices.Sorted(maps.Keys(l.targets)) {
		t := l.targets[name]
		if k := l.known[name]; k != nil {
			l.follow(k, t.every)
			continue
		}
		complete, err := l.lastScan(ctx, name)
		if err != nil {
			break // the store does not answer: it is asked again
		}
		k := &known{complete: complete, next: complete.Add(t.every), every: t.every}
		if complete.IsZero() { // what is new is late when its first scan is
			k.complete = l.Now()
		}
		l.known[name] = k
	}
	l.tell()
}

// follow has another interval count at once: the jitter of a long one may be longer than it.
func (l *leader) follow(k *known, every time.Duration) {
	if every == k.every {
		return
	}
	k.next, k.every = k.next.Add(every-k.every), every
	if latest := l.Now().Add(every + l.jitter(every)); k.next.After(latest) {
		k.next = latest
	}
}

// hostOf is the target's host, which is made when it is first asked for.
func (l *leader) hostOf(t target) *host {
	h := l.hosts[t.host]
	if h == nil {
		h = &host{pace: &pace{every: paceOf(t.name)}}
		l.hosts[t.host] = h
	}
	return h
}

// work scans images of one host until the host fails, or something else is in force.
func (l *leader) work(ctx context.Context, site *Site, pace *pace, host string, targets []target) {
	defer func() { l.done <- result{host: host} }()
	for _, t := range targets {
		r := result{host: host, image: t.name, began: l.Now()}
		r.err = l.scan(ctx, site, t, pace)
		if ctx.Err() != nil {
			return
		}
		l.done <- r
		if ofHost(r.err) || l.Site() != site {
			return
		}
	}
}

// ofHost reports whether an error is not that of one repository: all of its host's images
// are left alone. So is that of our own store.
func ofHost(err error) bool {
	return err != nil && (gitops.CodeOf(err) == gitops.RateLimited || gitops.CodeOf(err) == gitops.Unavailable)
}

// How long a host is left alone that does not say itself.
const (
	firstPause   = 15 * time.Second
	longestPause = 10 * time.Minute
	// longestObeyed bounds what a host may ask for: its clock or its words may be wrong.
	longestObeyed = time.Hour
)

// finish notes a result: of the host, and of the image as long as it is polled. An image
// whose scan failed is scanned again with the next round, behind the others of its host: one
// that always fails holds up none of them.
func (l *leader) finish(r result) {
	h, k := l.hosts[r.host], l.known[r.image] // of an image that is polled no longer nothing is known
	switch {
	case r.image == "":
		h.busy = false
		return
	case ofHost(r.err):
		h.failures++
		h.until = l.Now().Add(pauseOf(r.err, h.failures))
		l.note(&h.failing, r.err, slog.String("host", r.host), slog.Float64("retrySeconds", h.until.Sub(l.Now()).Seconds()))
		if k != nil {
			k.next = later(h.until, l.Now())
		}
		return
	}
	h.failures, h.until = 0, time.Time{}
	l.note(&h.failing, nil, slog.String("host", r.host))
	if k == nil {
		return
	}
	k.next = r.began.Add(k.every + l.jitter(k.every))
	l.note(&k.failing, r.err, slog.String("host", r.host), slog.String("repository", r.image))
	if r.err == nil {
		k.complete = r.began
	}
}

// pauseOf is how long a host is left alone after an error, which may say it itself.
func pauseOf(err error, failures int) time.Duration {
	var e *gitops.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return min(e.RetryAfter, longestObeyed)
	}
	return min(firstPause<<min(failures-1, 10), longestPause)
}

// note logs an error once, as long as it says the same, and its end. Its cause is different
// each time: AWS's has the request's id.
func (l *leader) note(failing *string, err error, of ...slog.Attr) {
	switch {
	case err == nil && *failing != "":
		*failing = ""
		l.Logger.LogAttrs(context.Background(), slog.LevelInfo, "registry polled again", of...)
	case err != nil && gitops.PublicOf(err) != *failing:
		*failing = gitops.PublicOf(err)
		l.Logger.LogAttrs(context.Background(), slog.LevelWarn, "registry not polled, retrying",
			append(of, slog.String("code", string(gitops.CodeOf(err))), slog.String("error", err.Error()))...)
	}
}

// tell tells the recorder since when each registry was looked at completely, or should have been.
func (l *leader) tell() {
	type state struct {
		since time.Time
		every time.Duration
	}
	states := make(map[string]state)
	for name, t := range l.targets {
		s, other := states[t.registry]
		complete := l.Now()
		if k := l.known[name]; k != nil {
			complete = k.complete
		}
		if !other || complete.Before(s.since) {
			s.since = complete
		}
		s.every = max(s.every, t.every)
		states[t.registry] = s
	}
	for registry := range l.counted {
		if _, still := states[registry]; !still {
			l.Recorder.Gone(registry)
		}
	}
	clear(l.counted)
	for registry, s := range states {
		l.counted[registry] = true
		l.Recorder.Complete(registry, s.since, s.every)
	}
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
