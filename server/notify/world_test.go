package notify_test

import (
	"context"
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

// sending is a receiver as one replica has it.
type sending struct {
	p *process
	r *receiver
}

func (s *sending) Send(ctx context.Context, m notify.Message) error {
	if s.p.dead.Load() {
		return gitops.Errorf(gitops.Unavailable, "the process is dead")
	}
	return s.r.take(ctx, m, s.p)
}

// receiver remembers what it took.
type receiver struct {
	mu       sync.Mutex
	got      []string // kind, app or hold, and tag
	ids      []string
	at       []time.Time
	last     notify.Message
	attempts int
	err      error         // that it answers
	taken    bool          // it takes what it answers with an error, too
	takes    time.Duration // that it takes to answer
	before   func(n int)   // called before the nth message is taken
	after    func(n int)   // called after that
}

func (w *world) receiver(notifier string) *receiver {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.receivers[notifier] == nil {
		w.receivers[notifier] = new(receiver)
	}
	return w.receivers[notifier]
}

func (r *receiver) take(ctx context.Context, m notify.Message, p *process) error {
	r.mu.Lock()
	r.attempts++
	n, takes, before, after := r.attempts, r.takes, r.before, r.after
	r.mu.Unlock()
	if before != nil {
		before(n)
	}
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.mu.Lock()
	if !p.dead.Load() && (r.err == nil || r.taken) {
		r.got, r.ids, r.at = append(r.got, shown(m)), append(r.ids, m.ID), append(r.at, now())
		r.last = m
	}
	err := r.err
	r.mu.Unlock()
	if after != nil {
		after(n)
	}
	return err
}

// answers has it answer an error from now on; nil for none.
func (r *receiver) answers(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func shown(m notify.Message) string {
	if m.Hold != nil {
		return fmt.Sprintf("%s %s %s", m.Kind, m.Hold.Kind, m.Hold.ID)
	}
	return fmt.Sprintf("%s %s %s", m.Kind, m.Update.App, m.Update.Tag)
}

// once is what a receiver that drops doubles by their ids has.
func (r *receiver) once() (got []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := make(map[string]bool)
	for i, id := range r.ids {
		if !seen[id] {
			got = append(got, r.got[i])
		}
		seen[id] = true
	}
	return got
}

// all is what it took, doubles too.
func (r *receiver) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.got...)
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
