package queuetest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// The model is held to what it holds others to.
func TestConformance(t *testing.T) {
	queuetest.Run(t, func(*testing.T) queuetest.Instance { return new(instance) })
}

// instance opens what the model before held, in another.
type instance struct{ last *queuetest.Model }

func (i *instance) Open(now func() time.Time) (queue.Queue, error) {
	m := queuetest.NewModel(now, queuetest.Hooks{})
	if i.last != nil {
		m.Restore(i.last.Snapshot())
		for _, holder := range m.Holders() {
			m.KillHolder(holder)
		}
	}
	i.last = m
	return m, nil
}

func (*instance) Crash(q queue.Queue) error { return q.Close() }

// order is a delivery for one app.
func order(id string) gitops.Delivery {
	return gitops.Delivery{
		Source: "github", ID: id, ReceivedAt: time.Now(), Outcome: gitops.OutcomeAccepted,
		Updates: []gitops.Update{{Environment: "dev", App: "api", Tag: id}},
	}
}

// TestHooks has each hook called once for what it is about.
func TestHooks(t *testing.T) {
	var calls []string
	called := func(format string, args ...any) { calls = append(calls, fmt.Sprintf(format, args...)) }
	m := queuetest.NewModel(time.Now, queuetest.Hooks{
		Accepted: func(d gitops.Delivery, duplicate bool) {
			called("accepted %s, duplicate is %t, %d updates", d.Key(), duplicate, len(d.Updates))
		},
		Claimed: func(l queue.Lease) { called("claimed %s by %s, token %d", l.Name, l.Holder, l.Token) },
		Fenced:  func(call string, l queue.Lease, passed bool) { called("%s under token %d: %t", call, l.Token, passed) },
		Changed: func(l queue.Lease, before, after gitops.Update) {
			called("%s to %s under token %d, steps %d to %d", before.State, after.State, l.Token, len(before.Steps), len(after.Steps))
		},
	})
	ctx := t.Context()
	d := accept(t, m, order("v1"))
	accept(t, m, order("v1"))
	first := claim(t, m, "one")
	report := queue.Report{Transitions: []gitops.Transition{{Update: d.Updates[0].ID, Action: gitops.ActionFail, Code: gitops.NotFound}}}
	if _, err := m.Report(ctx, first, report); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Decide(ctx, queue.Decision{Update: d.Updates[0].ID, Action: gitops.ActionRetry, Actor: "ann"}); err != nil {
		t.Fatal(err)
	}
	confirm := queue.Report{Transitions: []gitops.Transition{{Update: d.Updates[0].ID, Action: gitops.ActionConfirm}}}
	if _, err := m.Report(ctx, first, confirm); err != nil {
		t.Fatal(err)
	}
	rollout := []queue.RolloutReport{{Update: d.Updates[0].ID, Rollout: gitops.Rollout{State: gitops.RolloutHealthy}}}
	for _, l := range []queue.Lease{first, first, {}} { // the first is the last word
		if _, err := m.ReportRollouts(ctx, l, rollout); err != nil {
			t.Fatal(err)
		}
	}
	claim(t, m, "one")
	if _, err := m.Report(ctx, first, report); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("a report under an old token: %v", err)
	}
	want := []string{
		"accepted github/v1, duplicate is false, 1 updates",
		"accepted github/v1, duplicate is true, 1 updates",
		"claimed dev by one, token 1",
		"Report under token 1: true",
		"pending to failed under token 1, steps 0 to 1",
		"failed to pending under token 0, steps 1 to 2",
		"Report under token 1: true",
		"pending to unchanged under token 1, steps 2 to 3",
		"ReportRollouts under token 1: true",
		"unchanged to unchanged under token 1, steps 3 to 4",
		"ReportRollouts under token 1: true",
		"claimed dev by one, token 2",
		"Report under token 1: false",
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func accept(t *testing.T, m *queuetest.Model, d gitops.Delivery) gitops.Delivery {
	t.Helper()
	stored, _, err := m.Accept(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func claim(t *testing.T, m *queuetest.Model, holder string) queue.Lease {
	t.Helper()
	leases, err := m.Claim(t.Context(), holder, []string{"dev"}, time.Hour)
	if err != nil || len(leases) != 1 {
		t.Fatalf("%s claimed %v: %v", holder, leases, err)
	}
	return leases[0]
}

// TestRestore puts a model back: what came after the snapshot is gone, and what was
// changed after it is as it was then. The snapshot stays what it is.
func TestRestore(t *testing.T) {
	ctx := t.Context()
	m := queuetest.NewModel(time.Now, queuetest.Hooks{})
	id := accept(t, m, order("v1")).Updates[0].ID
	l := claim(t, m, "one")
	snapshot := m.Snapshot()
	for range 2 {
		later := accept(t, m, order("v2")).Updates[0].ID
		if _, err := m.Report(ctx, l, queue.Report{Transitions: []gitops.Transition{{Update: later, Action: gitops.ActionCommit}}}); err != nil {
			t.Fatal(err)
		}
		above, err := m.Latest(ctx)
		if err != nil {
			t.Fatal(err)
		}
		changed := m.Changed()
		m.Restore(snapshot)
		<-changed
		<-m.Wake("dev")
		if u, err := m.Update(ctx, id); err != nil || u.State != gitops.Pending || len(u.Steps) > 0 {
			t.Errorf("the update from before is %+v, %v", u, err)
		}
		if _, err := m.Update(ctx, later); gitops.CodeOf(err) != gitops.NotFound {
			t.Errorf("the update from after the snapshot: %v", err)
		}
		if h, err := m.Head(ctx, "dev", "api"); err != nil || h.Written != 0 {
			t.Errorf("the head is %+v, %v", h, err)
		}
		if _, err := m.Changes(ctx, above, 1); gitops.CodeOf(err) != gitops.Invalid {
			t.Errorf("the cursor of a change that was lost: %v", err)
		}
	}
}

// TestKillHolder has a lease claimed at once after its holder's death, and used by
// the holder until then.
func TestKillHolder(t *testing.T) {
	m := queuetest.NewModel(time.Now, queuetest.Hooks{})
	l := claim(t, m, "one")
	if diff := cmp.Diff([]string{"one"}, m.Holders()); diff != "" {
		t.Errorf("holders: -want +got:\n%s", diff)
	}
	m.KillHolder("one")
	if holders := m.Holders(); len(holders) > 0 {
		t.Errorf("after its death %v hold something", holders)
	}
	if _, err := m.Take(t.Context(), l, queue.TakeOptions{Limit: 1}); err != nil {
		t.Errorf("before the next claim: %v", err)
	}
	claim(t, m, "two")
	if _, err := m.Take(t.Context(), l, queue.TakeOptions{Limit: 1}); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("after the next claim: %v", err)
	}
}

func TestRace(t *testing.T) {
	m := queuetest.NewModel(time.Now, queuetest.Hooks{})
	queuetest.Race(t, []queue.Queue{m, m})
}
