package routing_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
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
	before  int  // transitions that are known before an error
	fails   bool // every update that is to be written, as its own fault
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

// Whoever gives a write up says nothing of the repository.
func TestAWriteThatIsGivenUpIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.pay.hold = make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, unknown := s.write(t, ctx, tasks("dev", "api", "pay")); !slices.Equal(unknown, []string{"pay"}) {
			t.Errorf("unknown are %q", unknown)
		}
		if apps, outage := s.Away("dev"); outage != nil {
			t.Errorf("away are %q: %+v", apps, outage)
		}
	})
}

// Of an app that is configured no longer each repository is asked, since any may have its
// update.
func TestAnUpdateOfAnAppThatIsGoneIsLookedForEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		gone := tasks("dev", "gone")
		gone[0].SearchOnly = true
		if committed, unknown := s.write(t, t.Context(), gone); committed != nil || unknown != nil {
			t.Errorf("it is nowhere, and %q, %q", committed, unknown)
		}
		same(t, "shop is asked for", []string{"gone"}, s.shop.asked)
		same(t, "pay is asked for", []string{"gone"}, s.pay.asked)
		s.pay.set(errDown)
		if _, unknown := s.write(t, t.Context(), gone); !slices.Equal(unknown, []string{"gone"}) {
			t.Errorf("one of them did not answer, and unknown are %q", unknown)
		}
	})
}

// An app may leave the configuration after its update was taken to be written. That one
// repository does not know its file says nothing of what may be in another; that it is
// in one does.
func TestAFailureInOneRepositoryIsNoAnswerOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.shop.fails = true
		s.pay.set(errDown)
		r, err := s.Write(t.Context(), tasks("dev", "gone", "pay"))
		if err != nil || len(r.Transitions) > 0 {
			t.Errorf("known are %+v, %v", r.Transitions, err)
		}
		same(t, "unknown", []string{"gone", "pay"}, r.Unknown)
		s = newSite(t)
		s.shop.set(errDown)
		if committed, unknown := s.write(t, t.Context(), tasks("dev", "gone")); !slices.Equal(committed, []string{"gone"}) || unknown != nil {
			t.Errorf("it is in one, and committed are %q, unknown %q", committed, unknown)
		}
	})
}

// What a repository said of some updates before it failed counts, also a failure.
func TestWhatIsKnownBeforeAnErrorCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.shop.fails, s.shop.before = true, 1
		s.shop.set(errDown)
		r, err := s.Write(t.Context(), tasks("dev", "api", "pay", "web"))
		if err != nil || len(r.Transitions) != 2 || r.Transitions[0] != (gitops.Transition{Update: "api", Action: gitops.ActionFail}) {
			t.Errorf("known are %+v, %v", r.Transitions, err)
		}
		same(t, "unknown", []string{"web"}, r.Unknown)
	})
}

// A repository that a reload removes is closed when the configuration and the last write
// have ended, and not before.
func TestARepositoryIsClosedAfterItsLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.pay.hold = make(chan struct{})
		written := make(chan []string)
		go func() {
			committed, _ := s.write(t, t.Context(), tasks("dev", "pay"))
			written <- committed
		}()
		synctest.Wait()
		before := s.now.Repositories
		s.now.Repositories = map[string]*routing.Repository{"shop": before["shop"], "pay": s.add("pay", newFake())}
		before["pay"].Release()
		synctest.Wait()
		if s.pay.isClosed() {
			t.Error("it is closed while it is written")
		}
		close(s.pay.hold)
		same(t, "what was under way", []string{"pay"}, <-written)
		synctest.Wait()
		if !s.pay.isClosed() || s.shop.isClosed() {
			t.Errorf("after the last use, closed are pay %t, shop %t", s.pay.isClosed(), s.shop.isClosed())
		}
		committed, _ := s.write(t, t.Context(), tasks("dev", "pay"))
		same(t, "the new one takes", []string{"pay"}, committed)
		if before["pay"].Keep() {
			t.Error("what is closed is kept")
		}
	})
}

// The router hangs when one of its repositories does, and ends with all of them.
func TestLastStepAndAbortAreOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.pay.step = time.Now().Add(-time.Hour)
		if last := s.LastStep(); !last.Equal(s.pay.step) {
			t.Errorf("the last step is %s", last)
		}
		s.Abort()
		if !s.pay.aborted || !s.shop.aborted {
			t.Error("not all are aborted")
		}
	})
}
