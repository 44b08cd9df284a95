package notify_test

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/logtest"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/server/notify"
)

func now() time.Time { return time.Now().UTC() }

// world is managers with the model as their store and receivers in memory. All of it lives in
// a synctest bubble, so its clock is moved and not waited for.
type world struct {
	t     *testing.T
	store *store
	log   logtest.Log

	mu        sync.Mutex
	receivers map[string]*receiver // by notifier
	counted   map[string]int       // by notifier and result
	behind    map[string]time.Time
	orders    int
}

func play(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newWorld(t)) })
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, receivers: make(map[string]*receiver), counted: make(map[string]int), behind: make(map[string]time.Time)}
	w.store = &store{Model: queuetest.NewModel(now, queuetest.Hooks{})}
	return w
}

// process is one replica.
type process struct {
	*notify.Manager
	w    *world
	name string
	dead atomic.Bool
}

// start starts a replica with notifiers.
func (w *world) start(name string, all ...notify.Notifier) *process {
	w.t.Helper()
	p := w.prepare(name)
	p.configure(all...)
	synctest.Wait()
	return p
}

// prepare makes a replica that has no notifiers yet.
func (w *world) prepare(name string) *process {
	p := &process{w: w, name: name}
	p.Manager = notify.New(notify.Config{
		Store: &replica{w.store, p}, Recorder: w, Logger: slog.New(slog.NewJSONHandler(io.MultiWriter(&w.log, &said), nil)), Holder: name, Now: now,
		Jitter: rand.N[time.Duration],
		CommitURL: func(u gitops.Update) string {
			if u.Commit == "" {
				return ""
			}
			return "https://git.example/commit/" + u.Commit
		},
	})
	return p
}

// configure has the replica's messages go through it, so that a dead one sends none.
func (p *process) configure(all ...notify.Notifier) {
	for i := range all {
		all[i].Receiver = &sending{p, p.w.receiver(all[i].Name)}
	}
	p.Configure(all)
}

// kill ends a replica as a crash does: nothing that it does from now on counts.
func (p *process) kill() {
	p.dead.Store(true)
	p.w.store.KillHolder(p.name)
}

func (w *world) expect(notifier string, want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.receiver(notifier).all()); diff != "" {
		w.t.Errorf("%s: %s", notifier, diff)
	}
}

func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// Count implements [notify.Recorder].
func (w *world) Count(notifier string, r notify.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counted[notifier+" "+string(r)]++
}

// Behind implements [notify.Recorder].
func (w *world) Behind(notifier string, since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.behind[notifier] = since
}

// waitsSince is what the recorder was last told of a notifier.
func (w *world) waitsSince(notifier string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.behind[notifier]
}

func (w *world) count(notifier string, r notify.Result) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counted[notifier+" "+string(r)]
}

// everything is a notifier for every kind.
func everything(name string) notify.Notifier {
	text, err := notify.ParseText("", nil)
	if err != nil {
		panic(err)
	}
	return notify.Notifier{Name: name, Text: text, Kinds: notify.Kinds()}
}

// order has an update accepted, and returns its id.
func (w *world) order(environment, app, tag string, terms *gitops.Terms) string {
	w.t.Helper()
	w.mu.Lock()
	w.orders++
	key := gitops.DeliveryKey{Source: "api", ID: fmt.Sprint("order-", w.orders)}
	w.mu.Unlock()
	_, _, err := w.store.Accept(w.t.Context(), gitops.Delivery{
		Source: key.Source, ID: key.ID, ReceivedAt: now(), Actor: "ann", Principal: "token:ops", Outcome: gitops.OutcomeAccepted,
		Updates: []gitops.Update{{Environment: environment, App: app, Tag: tag, Terms: terms}},
	})
	w.must(err)
	return gitops.UpdateID(key, environment, app)
}

// report has the lane of prod report.
func (w *world) report(r queue.Report) {
	w.t.Helper()
	leases, err := w.store.Claim(w.t.Context(), "lanes", []string{"prod"}, time.Minute)
	w.must(err)
	_, err = w.store.Report(w.t.Context(), leases[0], r)
	w.must(err)
	w.must(w.store.Release(w.t.Context(), leases[0], true))
}

func (w *world) ends(id string, a gitops.Action, reason string) {
	w.t.Helper()
	transition := gitops.Transition{Update: id, Action: a, Reason: reason}
	switch a {
	case gitops.ActionCommit:
		transition.Commit = "2a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
	case gitops.ActionFail:
		transition.Code = gitops.Rejected
	}
	w.report(queue.Report{Transitions: []gitops.Transition{transition}})
}

// fail has an update of prod fail: one message.
func (w *world) fail(app, tag string) {
	w.t.Helper()
	w.ends(w.order("prod", app, tag, nil), gitops.ActionFail, "no such key")
}

func (w *world) rollout(id string, state gitops.RolloutState, reason string) {
	w.t.Helper()
	_, err := w.store.ReportRollouts(w.t.Context(), queue.Lease{}, []queue.RolloutReport{{Update: id, Rollout: gitops.Rollout{
		State: state, Reason: reason, By: "argocd", Places: []gitops.RolloutPlace{{Name: "shop/argocd/web", URL: "https://argocd.example/web", State: state}},
	}}})
	w.must(err)
}
