package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// await waits until an update has ended and prints its progress on standard error.
// An end without a commit is an error. A signal ends the waiting, not the update:
// the caller still prints where to look.
func (a apiRun) await(u gitops.Update, w waitFlags) (gitops.Update, error) {
	unasked, stop := signal.NotifyContext(a.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(unasked, w.timeout)
	defer cancel()
	shown := &progress{out: a.ErrOrStderr(), print: a.print, outage: a.outageOf(ctx, u)}
	shown.setUpdate(u)
	defer a.followOutage(ctx, shown)()
	u, err := a.server.Await(ctx, u, shown.setUpdate)
	switch {
	case err != nil && unasked.Err() != nil:
		return u, notCommitted{u, exitPending, "interrupted; still pending" + a.cause(u)}
	case err != nil && ctx.Err() != nil:
		return u, notCommitted{u, exitPending, fmt.Sprintf("still pending after %s%s", w.timeout, a.cause(u))}
	case err != nil:
		return u, err
	case u.State.Written():
		return u, nil
	}
	return u, notCommitted{u, exitEnded, fmt.Sprintf("not committed: %s%s", u.State, a.cause(u))}
}

// cause says why an update is not committed, as far as the server says, to follow a
// state.
func (a apiRun) cause(u gitops.Update) string {
	reason := firstOf(u.Reason, a.print.holdText(u))
	if reason == "" {
		if outage := a.outageOf(a.Context(), u); outage != nil { // also after an interrupt, which ends another context
			reason = outage.Reason
		}
	}
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// outageOf asks for the outage of a pending update's lane: nil when there is none,
// and when the server does not say.
func (a apiRun) outageOf(ctx context.Context, u gitops.Update) *api.Outage {
	return a.environmentOf(ctx, u).Lane.Outage
}

// environmentOf asks for a pending update's environment: nothing is known of it when
// the server does not say.
func (a apiRun) environmentOf(ctx context.Context, u gitops.Update) (e api.Environment) {
	if u.State != gitops.Pending {
		return e
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	now, err := a.server.Environments(ctx)
	if err != nil {
		return e
	}
	for _, e := range now.Environments {
		if e.Name == u.Environment {
			return e
		}
	}
	return e
}

// notCommitted is an update that ended without a commit, or has not ended.
type notCommitted struct {
	update gitops.Update
	code   int
	text   string
}

func (e notCommitted) exit() int { return e.code }

func (e notCommitted) Error() string { return title(e.update) + ": " + e.text }

// progress prints what an open update waits for, each thing once. The end is printed
// with the result. Safe for concurrent use.
type progress struct {
	out   io.Writer
	print *printer

	mu     sync.Mutex
	update gitops.Update
	outage *api.Outage // of its lane
	last   string      // printed
}

func (p *progress) setUpdate(u gitops.Update) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.update = u
	p.show()
}

func (p *progress) setOutage(outage *api.Outage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outage = outage
	p.show()
}

func (p *progress) current() gitops.Update {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.update
}

// show prints what is new. The caller has the lock.
func (p *progress) show() {
	if p.update.State.Final() {
		return
	}
	text := fmt.Sprintf("%s: %s", title(p.update), p.update.State)
	if hold := p.print.holdText(p.update); hold != "" {
		text += ": " + hold
	} else if p.outage != nil {
		text += ": " + p.outage.Reason
	}
	if text != p.last {
		p.last = text
		fmt.Fprintln(p.out, printable(text))
	}
}

// outageEvery is how often a waiting command asks for the outage of its lane, which
// the stream of an update does not have.
const outageEvery = 5 * time.Second

// followOutage keeps the progress' outage up to date until ctx ends or stop is called.
func (a apiRun) followOutage(ctx context.Context, shown *progress) (stop func()) {
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
			shown.setOutage(a.outageOf(ctx, shown.current()))
		}
	})
	return func() { cancel(); following.Wait() }
}
