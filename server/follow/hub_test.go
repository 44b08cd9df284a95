package follow_test

import (
	"cmp"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/server/follow"
)

// hub is an Argo CD: its Applications follow the history when they are refreshed, or a moment
// after a push where the webhook works.
type hub struct {
	url     string
	history *history

	mu     sync.Mutex
	apps   []*app
	calls  []called
	faults []fault     // of the next calls
	before func(n int) // called before the nth call
	after  func(n int) // called after it
	err    error       // of all calls from now on
	hangs  bool        // all calls hang
	stuck  bool        // refreshes hang: the controller is down
	lost   bool        // the webhook does not come
	unlist error       // of lists, which are not complete then
	wrong  []string
	under  int
}

// called is a call that was made.
type called struct {
	what, name string
	at         time.Time
}

// app is an Application.
type app struct {
	ref      follow.Ref
	name     string // of tallyman's app
	revision int    // of the last comparison
	since    time.Time
	before   string        // the tag before
	tag      string        // that was applied
	image    string        // that runs, without its tag; default: the app's
	takes    time.Duration // until pods are ready
	forget   int           // refreshes that are swallowed
	err      error         // of each call about it
	gone     bool
	change   func(a *rollout.Application) // what is otherwise
}

func newHub(of *history, url string) *hub { return &hub{url: url, history: of} }

// deploy adds an Application of an app, which has what is in git now.
func (h *hub) deploy(name string, otherwise ...func(a *app)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := &app{ref: follow.Ref{Project: "myshop", Namespace: "argocd", Name: name + "-prod"}, name: name, since: now()}
	a.revision, a.tag = h.history.tip(name)
	for _, change := range otherwise {
		change(a)
	}
	h.apps = append(h.apps, a)
}

// tune changes an Application.
func (h *hub) tune(name string, change func(a *app)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.apps {
		if a.name == name {
			change(a)
		}
	}
}

// set changes the instance.
func (h *hub) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// pushed has the webhook come.
func (h *hub) pushed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.apps {
		if !h.lost {
			h.compare(a)
		}
	}
}

// compare has an Application be what git says.
func (h *hub) compare(a *app) {
	n, tag := h.history.tip(a.name)
	if tag != a.tag {
		a.before, a.since, a.tag = a.tag, now(), tag
	}
	a.revision = n
}

// call does one call, or what is to happen in its place.
func (h *hub) call(ctx context.Context, what string, ref follow.Ref, do func(a *app) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, called{what, ref.Name, now()})
	n := len(h.calls)
	h.under++
	defer func() { h.under-- }()
	if h.under > 16 {
		h.wrong = append(h.wrong, "more than 16 calls at a time")
	}
	var f fault
	if len(h.faults) > 0 {
		f, h.faults = h.faults[0], h.faults[1:]
	}
	if h.before != nil {
		h.unlocked(func() { h.before(n) })
	}
	if h.hangs || h.stuck && what == "refresh" {
		hangs := h.hangs
		h.unlocked(func() { hang(ctx) })
		if hangs {
			return away(gitops.Unavailable, "it does not answer")
		}
		return gitops.Errorf(gitops.Unavailable, "not compared in time").WithCause(follow.ErrNotCompared)
	}
	switch {
	case ctx.Err() != nil:
		return gitops.Errorf(gitops.Unavailable, "given up").WithCause(ctx.Err())
	case h.err != nil:
		return h.err
	case f.err != nil && !f.done:
		return f.err
	}
	var found *app
	for _, a := range h.apps {
		if a.ref == ref && !a.gone {
			found = a
		}
	}
	switch {
	case found == nil && what != "list":
		return gitops.Errorf(gitops.NotFound, "there is no Application %s", ref)
	case found != nil && found.err != nil:
		return found.err
	}
	if err := do(found); err != nil {
		return err
	}
	if h.after != nil {
		h.unlocked(func() { h.after(n) })
	}
	return cmp.Or(f.err, ctx.Err())
}

func (h *hub) unlocked(do func()) {
	h.mu.Unlock()
	defer h.mu.Lock()
	do()
}

// hang takes as long as a call may.
func hang(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
	}
}

// away is the error of an instance that cannot be asked.
func away(code gitops.Code, text string) error {
	e := gitops.Errorf(code, "%s", text)
	e.RetryAfter = time.Second
	return e
}

// count counts the calls of a kind.
func (h *hub) count(what string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.calls {
		if what == "" || c.what == what {
			n++
		}
	}
	return n
}

// check holds the calls to their bounds: 10 within any second.
func (h *hub) check(t *testing.T) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, wrong := range h.wrong {
		t.Error(wrong)
	}
	for n := 10; n < len(h.calls); n++ {
		if h.calls[n].at.Sub(h.calls[n-10].at) < time.Second {
			t.Errorf("%s: more than 10 calls within a second at %s", h.url, h.calls[n].at)
			return
		}
	}
}
