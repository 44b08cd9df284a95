package routing_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/routing"
)

// fake is a writer that does as it is told.
type fake struct {
	mu      sync.Mutex
	err     error         // of writes and handshakes
	hold    chan struct{} // a write waits for it; nil: none does
	step    time.Time     // of LastStep; zero is now
	asked   []string      // of each write, the ids
	shakes  int
	aborted bool
	closed  chan struct{}
	before  int                 // transitions that are known before an error
	says    *gitops.WriteResult // the result of each write, of the updates that it is asked for; nil: what is to be written is committed
	fails   bool                // every update that is to be written, as its own fault
}

func newFake() *fake { return &fake{closed: make(chan struct{})} }

func (f *fake) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// Write commits what is to be written.
func (f *fake) Write(ctx context.Context, tasks []gitops.WriteTask) (r gitops.WriteResult, err error) {
	f.mu.Lock()
	for _, t := range tasks {
		f.asked = append(f.asked, t.Update.ID)
		switch {
		case f.fails:
			r.Transitions = append(r.Transitions, gitops.Transition{Update: t.Update.ID, Action: gitops.ActionFail})
		case !t.SearchOnly:
			r.Transitions = append(r.Transitions, gitops.Transition{Update: t.Update.ID, Action: gitops.ActionCommit})
		}
	}
	if f.says != nil {
		r = only(*f.says, tasks)
	}
	err, hold := f.err, f.hold
	f.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return gitops.WriteResult{}, ctx.Err()
		}
	}
	if err != nil {
		r.Transitions = r.Transitions[:min(len(r.Transitions), f.before)]
	}
	return r, err
}

// only is what a result says of the updates of some tasks.
func only(all gitops.WriteResult, tasks []gitops.WriteTask) (r gitops.WriteResult) {
	asked := func(id string) bool {
		return slices.ContainsFunc(tasks, func(t gitops.WriteTask) bool { return t.Update.ID == id })
	}
	for _, h := range all.Held {
		if asked(h.Update) {
			r.Held = append(r.Held, h)
		}
	}
	for _, e := range all.HandEdits {
		if asked(e.Update) {
			r.HandEdits = append(r.HandEdits, e)
		}
	}
	return r
}

func (f *fake) Handshake(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shakes++
	return f.err
}

func (f *fake) LastStep() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.step.IsZero() {
		return time.Now()
	}
	return f.step
}

func (f *fake) Abort() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.aborted = true
}

func (f *fake) Close() error {
	close(f.closed)
	return nil
}

func (f *fake) isClosed() bool {
	select {
	case <-f.closed:
		return true
	default:
		return false
	}
}

type nobody struct{}

func (nobody) Away(*routing.Repository, time.Duration) {}

// site is a router over two repositories: in dev the app pay is in pay and the others are
// in shop; all of prod is in pay.
type site struct {
	*routing.Router
	shop, pay *fake
	now       routing.Routes
}

func newSite(t *testing.T) *site {
	s := &site{shop: newFake(), pay: newFake()}
	s.Router = routing.New(func() routing.Routes { return s.now })
	s.now = routing.Routes{
		Repositories: map[string]*routing.Repository{"shop": s.add("shop", s.shop), "pay": s.add("pay", s.pay)},
		Of: func(environment, app string) (string, bool) {
			switch {
			case app == "gone":
				return "", false
			case app == "pay", environment == "prod":
				return "pay", true
			}
			return "shop", true
		},
		Apps: func(environment string) map[string][]string {
			if environment == "prod" {
				return map[string][]string{"pay": {"api", "pay"}}
			}
			return map[string][]string{"shop": {"api", "web"}, "pay": {"pay"}}
		},
	}
	t.Cleanup(s.Close)
	return s
}

func (s *site) add(name string, w *fake) *routing.Repository {
	return s.Add(name, w, func() {}, nobody{}, slog.New(slog.DiscardHandler))
}

// tasks are updates of apps in an environment; the id is the app's name.
func tasks(environment string, apps ...string) (all []gitops.WriteTask) {
	for _, app := range apps {
		all = append(all, gitops.WriteTask{Update: gitops.Update{ID: app, App: app, Environment: environment}})
	}
	return all
}

// write writes and returns the ids that were committed and those that are unknown.
func (s *site) write(t *testing.T, ctx context.Context, all []gitops.WriteTask) (committed, unknown []string) {
	t.Helper()
	r, err := s.Write(ctx, all)
	if err != nil {
		t.Errorf("an outage of the whole lane: %v", err)
	}
	for _, done := range r.Transitions {
		committed = append(committed, done.Update)
	}
	return committed, r.Unknown
}

func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

var errDown = gitops.Errorf(gitops.Unavailable, "no answer")
