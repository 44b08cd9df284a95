package manifest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// testGate holds what it is told to, and keeps book.
type testGate struct {
	t *testing.T

	mu    sync.Mutex
	holds func(u gitops.Update) bool // nil for none
	err   error
	asked [][]string // of each time, which updates
	ended []int      // of each time, how often done was called
}

func (g *testGate) ask(_ context.Context, updates []gitops.Update) (held []gitops.Held, done func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ids []string
	for _, u := range updates {
		ids = append(ids, u.ID)
		if g.holds != nil && g.holds(u) {
			held = append(held, gitops.Held{Update: u.ID, BlockedBy: []gitops.Block{{Kind: gitops.BlockStop, Reason: "bo stopped " + u.Environment}}})
		}
	}
	n := len(g.asked)
	g.asked, g.ended = append(g.asked, ids), append(g.ended, 0)
	return held, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.ended[n]++
	}, g.err
}

func (g *testGate) hold(holds func(u gitops.Update) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holds = holds
}

// balance wants that every push that was begun has ended, once.
func (g *testGate) balance(what string, times int) {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.asked) != times || slices.ContainsFunc(g.ended, func(n int) bool { return n != 1 }) {
		g.t.Errorf("%s: asked %d times, want %d; ended %v", what, len(g.asked), times, g.ended)
	}
}

func gated(t *testing.T) (*testGate, func(*Config)) {
	g := &testGate{t: t}
	return g, func(c *Config) { c.Gate = g.ask }
}

func of(environment, app string) func(gitops.Update) bool {
	return func(u gitops.Update) bool { return u.Environment == environment && (app == "" || u.App == app) }
}

// wantHeld wants that exactly these updates are held, with their blocks.
func wantHeld(t *testing.T, r gitops.WriteResult, want ...gitops.Update) {
	t.Helper()
	var all []gitops.Held
	for _, u := range want {
		all = append(all, gitops.Held{Update: u.ID, BlockedBy: []gitops.Block{{Kind: gitops.BlockStop, Reason: "bo stopped " + u.Environment}}})
	}
	if diff := cmp.Diff(all, r.Held); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
}

// What came to be held while a batch was planned is not in the push; the others are, of all
// environments, and so is a later update of the same app.
func TestWhatIsHeldByNowIsNotPushed(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		for _, squash := range []string{"", "dev"} {
			o := newOrigin(t)
			gate, with := gated(t)
			w := o.writer(with, squashing(squash))
			bad := o.update("dev", "shop", "main-0000001")
			gate.hold(func(u gitops.Update) bool { return u.ID == bad.ID || u.Environment == "prod" })
			stopped := o.update("prod", "shop", "v1")
			good := []gitops.Update{o.update("dev", "cart", "main-0000001"), o.update("staging", "shop", "main-0000001"), o.update("dev", "shop", "main-0000002")}
			tasks := tasksOf([]gitops.Update{bad, good[0], stopped, good[1], good[2]})
			tasks = append(tasks, gitops.WriteTask{Update: o.update("prod", "cart", "v1"), SearchOnly: true})
			r, err := w.Write(t.Context(), tasks)
			if err != nil || len(r.Transitions) != 3 || o.pushes() != 1 {
				t.Fatalf("%+v in %d pushes, %v", r, o.pushes(), err)
			}
			wantHeld(t, r, bad, stopped)
			gate.balance("a batch", 2)
			want := [][]string{{bad.ID, good[0].ID, stopped.ID, good[1].ID, good[2].ID}, {good[0].ID, good[1].ID, good[2].ID}}
			if squash != "" {
				want = [][]string{{bad.ID, good[0].ID, good[2].ID, stopped.ID, good[1].ID}, {good[0].ID, good[2].ID, good[1].ID}}
			}
			if diff := cmp.Diff(want, gate.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if squash == "" {
				o.check(r.Transitions...)
			}
			gate.hold(nil)
			o.write(w, stopped) // and once nothing holds it, it goes
			gate.balance("afterwards", 3)
		}
	})
}

// When all is held nothing is pushed, and that it is not on the branch is known of the
// branch as it is: another process may have pushed it.
func TestWhatIsHeldIsNotOnTheBranch(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	gate, with := gated(t)
	w := o.writer(with)
	u := o.update("prod", "shop", "v1")
	gate.hold(of("prod", ""))
	r, err := w.Write(t.Context(), tasksOf([]gitops.Update{u}))
	if err != nil || len(r.Transitions) != 0 || o.pushes() != 0 {
		t.Fatalf("%+v in %d pushes, %v", r, o.pushes(), err)
	}
	wantHeld(t, r, u)
	gate.balance("all is held", 1)

	landed := o.write(o.writer(), u)
	if settled := o.write(w, takenOver(u)); settled[0] != landed[0] {
		t.Errorf("it is on the branch, and ends as %+v, want %+v", settled[0], landed[0])
	}
	gate.balance("it is on the branch", 2)
}

// A hold that comes while a rejected push is taken apart holds from the next push on.
func TestAHoldInTheMiddleOfABisection(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	updates := o.many("dev", 12)
	o.rejectPaths("app-(05|09)", "not this one")
	for _, n := range []int{2, 5} {
		gate, with := gated(t)
		w := o.writer(with)
		stopped := updates[n+1].App
		for i := range updates { // each time other updates, on the same branch
			updates[i] = o.update("dev", updates[i].App, fmt.Sprintf("main-%07d", n+1))
		}
		after := ""
		gate.hold(func(u gitops.Update) bool {
			if len(gate.asked) == n {
				after = o.git("rev-parse", "main")
			}
			return len(gate.asked) >= n && u.App == stopped
		})
		r, err := w.Write(t.Context(), tasksOf(updates))
		if err != nil || len(r.Transitions)+len(r.Refused)+len(r.Held) != 12 || len(r.Refused) > 2 {
			t.Fatalf("held from push %d on: %+v, %v", n, r, err)
		}
		gate.balance("a bisection", len(gate.asked))
		if after == "" {
			continue // it ended before
		}
		if out := o.git("log", "--format=%s", after+"..main"); strings.Contains(out, "bump "+stopped+" ") {
			t.Errorf("%s is held from push %d on, and is in\n%s", stopped, n, out)
		}
		o.check(r.Transitions...)
	}
}

// A push that another was faster than is planned again, and asked for again.
func TestAHoldThatComesWhenTheBranchHasMoved(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	gate, with := gated(t)
	w := o.writer(with)
	u, other := o.update("prod", "shop", "v1"), o.update("dev", "shop", "main-0000001")
	o.server.Inject(gitserver.Fault{On: gitserver.Push, Before: func() {
		gate.hold(of("prod", "shop"))
		o.commit(gitserver.Change{Files: map[string]string{"README.md": "theirs\n"}})
	}})
	r, err := w.Write(t.Context(), tasksOf([]gitops.Update{u, other}))
	if err != nil || len(r.Transitions) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	wantHeld(t, r, u)
	gate.balance("the branch had moved", 3)
	o.check(r.Transitions...)

	// The other way round: what was held is free when the plan is made again.
	gate.hold(of("prod", "shop"))
	o.server.Inject(gitserver.Fault{On: gitserver.Push, Before: func() {
		gate.hold(nil)
		o.commit(gitserver.Change{Files: map[string]string{"README.md": "theirs again\n"}})
	}})
	o.check(o.write(w, u, o.update("dev", "shop", "main-0000002"))...)
}

// Who cannot tell what is held pushes nothing; that is an outage of all.
func TestNothingIsPushedWhenTheHoldsCannotBeRead(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	gate, with := gated(t)
	w := o.writer(with)
	gate.err = errors.New("no connection to 10.0.0.7")
	u := o.update("prod", "shop", "v1")
	r, err := w.Write(t.Context(), tasksOf([]gitops.Update{u}))
	if gitops.CodeOf(err) != gitops.Unavailable || gitops.PublicOf(err) != "nothing was pushed: the holds could not be read" || len(r.Transitions)+len(r.Held) != 0 {
		t.Errorf("got %+v and %v", r, err)
	}
	gate.balance("an error", 1)
	if n := o.pushes(); n != 0 {
		t.Errorf("%d pushes", n)
	}
	gate.err = nil
	o.check(o.write(w, u)...)
}

// What the gate says of updates that it was not asked about is not heeded.
func TestAGateThatHoldsWhatIsNotThere(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer(func(c *Config) {
		c.Gate = func(context.Context, []gitops.Update) ([]gitops.Held, func(), error) {
			return []gitops.Held{{Update: "another"}}, nil, nil
		}
	})
	o.check(o.write(w, o.update("prod", "shop", "v1"))...)
}

// A branch that takes nothing is an outage, also when some of what is tried alone is held.
func TestABranchThatTakesNothingWhileSomethingIsHeld(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.rejectPaths(".", "GH006: Protected branch update failed")
	gate, with := gated(t)
	gate.hold(func(u gitops.Update) bool { return len(gate.asked) > 0 && u.App == "shop" })
	shop := o.update("dev", "shop", "main-1")
	r, err := o.writer(with).Write(t.Context(), tasksOf([]gitops.Update{shop, o.update("dev", "cart", "main-1"), o.update("dev", "mail", "main-1")}))
	if gitops.CodeOf(err) != gitops.Rejected || len(r.Refused) != 0 {
		t.Errorf("got %+v and %v, want an outage", r, err)
	}
	wantHeld(t, r, shop)
	gate.balance("an outage", len(gate.asked))
}

// Samples that are all held by now tell nothing of the others, which are taken apart.
func TestSamplesThatAreHeldAreNoOutage(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	updates := o.many("dev", samples+2)
	o.rejectPaths("app-04", "not this one")
	gate, with := gated(t)
	gate.hold(func(u gitops.Update) bool { return len(gate.asked) > 0 && u.App <= "app-02" })
	w := o.writer(with, func(c *Config) { c.Jitter = func(time.Duration) time.Duration { return 0 } })
	r, err := w.Write(t.Context(), tasksOf(updates))
	if err != nil || len(r.Transitions) != 1 || len(r.Refused) != 1 || r.Refused[0].Update != updates[4].ID {
		t.Errorf("got %+v and %v, want one written and one refused", r, err)
	}
	wantHeld(t, r, updates[:samples]...)
}
