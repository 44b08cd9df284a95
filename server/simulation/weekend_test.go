package simulation

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/server/holds"
)

// counted is a store that counts what a lane asks of it about updates and holds.
type counted struct {
	*queuetest.Model
	mu    sync.Mutex
	calls map[string]int
}

func (c *counted) count(call string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[call]++
}

func (c *counted) counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.calls)
}

func (c *counted) Take(ctx context.Context, l queue.Lease, o queue.TakeOptions) ([]gitops.Update, error) {
	c.count("Take")
	return c.Model.Take(ctx, l, o)
}

func (c *counted) Report(ctx context.Context, l queue.Lease, r queue.Report) ([]gitops.Update, error) {
	c.count("Report")
	return c.Model.Report(ctx, l, r)
}

func (c *counted) HoldsRevision(ctx context.Context) (int64, error) {
	c.count("HoldsRevision")
	return c.Model.HoldsRevision(ctx)
}

func (c *counted) HoldsInForce(ctx context.Context) (queue.InForce, error) {
	c.count("HoldsInForce")
	return c.Model.HoldsInForce(ctx)
}

// pen writes whatever it is given, and remembers each app's tags.
type pen struct {
	mu      sync.Mutex
	written map[string][]string
}

func (p *pen) Write(_ context.Context, tasks []gitops.WriteTask) (r gitops.WriteResult, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range tasks {
		if !t.SearchOnly {
			p.written[t.Update.App] = append(p.written[t.Update.App], t.Update.Tag)
			r.Transitions = append(r.Transitions, gitops.Transition{Update: t.Update.ID, Action: gitops.ActionCommit, Commit: "c1"})
		}
	}
	return r, nil
}

func (p *pen) count() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, tags := range p.written {
		n += len(tags)
	}
	return n
}

func (*pen) LastStep() time.Time                   { return time.Now() }
func (*pen) Away(string) ([]string, *queue.Outage) { return nil, nil }

// Once a lane has found updates held by a freeze, it asks nothing about them, nor does the
// process that comes after it. On Monday each app's newest is written within 10 s and the others are superseded, or all
// are written in their order, where the environment is configured so.
func TestAWeekendOfHeldUpdates(t *testing.T) {
	for name, c := range map[string]struct {
		newest     bool
		apps, tags int
	}{"newest": {true, 334, 30}, "all": {false, 334, 3}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { weekend(t, c.newest, c.apps, c.tags) })
		})
	}
}

func weekend(t *testing.T, newest bool, apps, tags int) {
	store := &counted{Model: queuetest.NewModel(time.Now, queuetest.Hooks{}), calls: make(map[string]int)}
	freezes := must(gate.Compile([]gate.FreezeConfig{{Field: "freezes[0]", Name: "weekend", Zone: "Europe/Berlin", Weekly: []gate.Span{{From: "Fri 16:00", Until: "Mon 08:00"}}}}))
	book := holds.New(func() holds.Rules { return holds.Rules{Freezes: freezes} })
	book.Use(store)
	written := &pen{written: make(map[string][]string)}
	config := lane.Config{
		Holder: "r0", Environments: []lane.Environment{{Name: "prod", NewestHeld: newest}}, Configured: func(string, string) bool { return true },
		Queue: store, Writer: written, Holds: book, Recorder: uncounted{}, Logger: silent,
	}
	for tag := range tags { // it is Saturday
		d := gitops.Delivery{Source: "github", ID: fmt.Sprint(tag), Outcome: gitops.OutcomeAccepted, ReceivedAt: time.Now()}
		for app := range apps {
			d.Updates = append(d.Updates, gitops.Update{Environment: "prod", App: fmt.Sprint("app", app), Tag: fmt.Sprint("v", tag)})
		}
		must(first(store.Accept(t.Context(), d)))
	}
	saturday := lane.NewReplica(config)
	saturday.Start()
	time.Sleep(time.Minute)
	if n := store.counts()["Report"]; n == 0 || n > apps*tags/100 {
		t.Errorf("that %d updates are held was reported in %d calls", apps*tags, n)
	}
	saturday.Stop(t.Context())
	monday := time.Date(2000, 1, 3, 7, 0, 0, 0, time.UTC)
	time.Sleep(time.Until(monday.Add(-2 * time.Minute)))
	replica := lane.NewReplica(config)
	replica.Start()
	defer replica.Stop(t.Context())
	time.Sleep(10 * time.Second)
	before := store.counts()
	time.Sleep(time.Until(monday.Add(-time.Second)))
	if after := store.counts(); !maps.Equal(before, after) || written.count() > 0 {
		t.Errorf("what is held cost %v, %v before, and %d were written", after, before, written.count())
	}
	time.Sleep(time.Until(monday.Add(10 * time.Second)))
	checkMonday(t, store, written, newest, apps, tags)
}

func checkMonday(t *testing.T, store *counted, written *pen, newest bool, apps, tags int) {
	t.Helper()
	var want []string
	for tag := range tags {
		if !newest || tag == tags-1 {
			want = append(want, fmt.Sprint("v", tag))
		}
	}
	written.mu.Lock()
	defer written.mu.Unlock()
	for app := range apps {
		if got := written.written[fmt.Sprint("app", app)]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("of app%d were written %v, want %v", app, got, want)
		}
	}
	for _, state := range []gitops.State{gitops.Pending, gitops.Committed, gitops.Superseded} {
		n := map[gitops.State]int{gitops.Committed: apps * len(want), gitops.Superseded: apps * (tags - len(want))}[state]
		found := 0
		for cursor := ""; ; {
			page, next, err := store.Updates(t.Context(), queue.UpdateFilter{State: state}, queue.Page{Limit: 1000, Cursor: cursor})
			if err != nil {
				t.Fatal(err)
			}
			if found += len(page); next == "" {
				break
			}
			cursor = next
		}
		if found != n {
			t.Errorf("%d updates are %s, want %d", found, state, n)
		}
	}
}

// first leaves out whether it was known.
func first(d gitops.Delivery, _ bool, err error) (gitops.Delivery, error) { return d, err }
