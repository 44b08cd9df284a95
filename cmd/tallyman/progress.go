package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// progress prints what open updates wait for, each thing once. The end of one update is
// printed with the result; of several each is said when it comes, because others may
// take much longer. Safe for concurrent use.
type progress struct {
	out   io.Writer
	print *printer
	until awaited // how far the updates are waited for

	mu      sync.Mutex
	updates []gitops.Update
	outages map[string]*api.Outage // by target
	last    map[string]string      // printed, by update, or by environment
}

func newProgress(out io.Writer, print *printer, until awaited, updates []gitops.Update, outages map[string]*api.Outage) *progress {
	p := &progress{out: out, print: print, until: until, updates: slices.Clone(updates), outages: outages, last: make(map[string]string)}
	if p.several() {
		fmt.Fprintf(out, "waiting for %s\n", plural(len(updates), "update"))
	}
	p.showAll()
	return p
}

func (p *progress) several() bool { return len(p.updates) > 1 }

func (p *progress) setUpdate(u gitops.Update) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.IndexFunc(p.updates, func(other gitops.Update) bool { return other.ID == u.ID }); i >= 0 {
		p.updates[i] = u
	}
	p.show(u)
}

func (p *progress) setOutages(outages map[string]*api.Outage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outages = outages
	p.showAll()
}

func (p *progress) current() []gitops.Update {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.updates)
}

// showAll and show print what is new. The caller has the lock.
func (p *progress) showAll() {
	for _, u := range p.updates {
		p.show(u)
	}
}

func (p *progress) show(u gitops.Update) {
	key, text := u.ID, fmt.Sprintf("%s: %s", title(u), u.State)
	hold, outage := firstOf(p.print.proposedText(u), p.print.holdText(u)), p.outages[targetOf(u)]
	switch {
	case p.until.reached(u) && !p.several():
		return
	case u.State.Final():
		if detail := firstOf(u.Commit, u.Reason); detail != "" {
			text += " (" + detail + ")"
		}
		if p.until == untilHealthy {
			text = joined(text, p.print.rolloutText(u))
		}
	case hold != "":
		text += ": " + hold
	case outage != nil && p.several(): // it is of all that wait there
		key, text = u.Environment, fmt.Sprintf("%s: %s: %s", u.Environment, u.State, outage.Text())
	case outage != nil:
		text += ": " + outage.Text()
	case p.several() && p.last[key] == "": // that it waits is said already
		return
	}
	if text != p.last[key] {
		p.last[key] = text
		fmt.Fprintln(p.out, printable(text))
	}
}

// outageEvery is how often a waiting command asks for the outages of the lanes, which
// the stream of an update does not have.
const outageEvery = 5 * time.Second

// followOutages keeps the progress' outages up to date until ctx ends or stop is called.
func (a apiRun) followOutages(ctx context.Context, shown *progress) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() {
		ask := time.NewTicker(outageEvery)
		defer ask.Stop()
		for {
			select {
			case <-ask.C:
			case <-ctx.Done():
				return
			}
			shown.setOutages(a.outagesOf(ctx, shown.current()))
		}
	})
	return func() { cancel(); following.Wait() }
}
