package queuetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/clocktest"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// script is a test under way. Each of its methods is one event: it does the same
// to the store and to the model and ends with check.
type script struct {
	t         *testing.T
	instance  Instance
	create    func(t *testing.T) Instance
	q         queue.Queue
	clock     *clocktest.Clock
	model     *Model
	leases    []lent           // every one that was handed out since the store was opened
	sequences map[string]int64 // what the store gave, by update
	audited   []int64          // the sequences of the audit, newest first, as it was last asked
	quiet     bool             // no checks: a script fills the store with what others have checked
	ids       int
	followed  followers
	revision  int64 // of the holds, as the store last gave it
}

// lent is a lease as the store and as the model gave it.
type lent struct{ store, model queue.Lease }

// followers are where those are who follow the changes of the store and of the
// model.
type followers struct{ store, model string }

func begin(t *testing.T, instance Instance) *script {
	s := &script{t: t, instance: instance, sequences: make(map[string]int64)}
	s.clock = clocktest.At(began)
	s.model = NewModel(s.clock.Now, Hooks{})
	s.open()
	return s
}

func (s *script) open() {
	s.t.Helper()
	q, err := s.instance.Open(s.clock.Now)
	if err != nil {
		s.t.Fatalf("Open: %v", err)
	}
	s.q = q
}

func (s *script) end() {
	if err := s.q.Close(); err != nil {
		s.t.Errorf("Close: %v", err)
	}
}

// order is a new delivery without an event time, for targets of the form
// environment/app.
func (s *script) order(targets ...string) gitops.Delivery {
	s.ids++
	d := gitops.Delivery{
		Source: "github", ID: fmt.Sprintf("delivery-%d", s.ids), ReceivedAt: s.clock.Now(), Actor: "octocat",
		Principal: []string{"dispatch:1", "dispatch:2", "token:ops"}[s.ids%3],
		Remote:    "192.0.2.7", Credential: "webhook secret", Config: "c0ffee",
		Outcome: gitops.OutcomeAccepted, Body: fmt.Appendf(nil, `{"n":%d}`, s.ids),
	}
	for _, target := range targets {
		environment, name, _ := strings.Cut(target, "/")
		d.Updates = append(d.Updates, gitops.Update{
			Environment: environment, App: name, Repository: "registry.example/" + name, Tag: fmt.Sprintf("main-%07d", s.ids),
			Rule: fmt.Sprintf("access[%d]", s.ids%4),
		})
	}
	return d
}

// event is a new delivery of something that happened at the given time.
func (s *script) event(at time.Time, targets ...string) gitops.Delivery {
	d := s.order(targets...)
	d.Source, d.EventTime = "eventbridge", at
	return d
}

// advance sets the clock, and checks what time alone changes.
func (s *script) advance(d time.Duration) {
	s.t.Helper()
	s.clock.Pass(d)
	s.check()
}

// reopen closes the store and opens it again.
func (s *script) reopen() {
	s.t.Helper()
	if err := s.q.Close(); err != nil {
		s.t.Fatalf("Close: %v", err)
	}
	s.again()
}

// crash ends the store's process and opens the store in another.
func (s *script) crash() {
	s.t.Helper()
	if err := s.instance.Crash(s.q); err != nil {
		s.t.Fatalf("Crash: %v", err)
	}
	s.again()
}

func (s *script) again() {
	s.t.Helper()
	for _, holder := range s.model.Holders() {
		s.model.KillHolder(holder)
	}
	s.leases = nil
	s.open()
	s.check()
}

// check asks the store everything and compares it with the model.
func (s *script) check() {
	s.t.Helper()
	if s.quiet {
		return
	}
	ctx := s.t.Context()
	for _, key := range slices.SortedFunc(maps.Keys(s.model.deliveries), func(a, b gitops.DeliveryKey) int { return strings.Compare(a.String(), b.String()) }) {
		got, err := s.q.Delivery(ctx, key)
		want, _ := s.model.Delivery(ctx, key)
		s.same("Delivery", got, err, want, nil)
		if got.ReceivedAt.Location() != time.UTC {
			s.t.Fatalf("Delivery(%s): the time of receipt is not in UTC", key)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.model.updates)) {
		got, err := s.q.Update(ctx, id)
		want, _ := s.model.Update(ctx, id)
		s.same("Update", got, err, want, nil)
		s.numbered(got)
		if got.State == gitops.Superseded && got.Reason == "" {
			s.t.Fatalf("Update(%s): superseded, without a reason", id)
		}
	}
	for _, t := range slices.SortedFunc(maps.Keys(s.model.heads), func(a, b target) int { return strings.Compare(a.environment+"/"+a.app, b.environment+"/"+b.app) }) {
		s.checkHead(t.environment, t.app)
	}
	s.checkHeads("dev", "web", "missing", "api", "web")
	for _, l := range s.leases {
		s.checkTake(l, queue.TakeOptions{Limit: everything})
	}
	environments := slices.Sorted(maps.Keys(s.model.lanes))
	got, err := s.q.Ready(ctx, environments)
	want, _ := s.model.Ready(ctx, environments)
	s.same("Ready", got, err, want, nil)
	s.checkBacklogs()
	s.checkFailures()
	s.checkLists()
	s.checkWaiting()
	s.checkChanges()
	s.checkAudit()
	s.checkSuspects()
	s.checkHolds()
	s.checkImages()
	s.checkRollouts()
	s.code("Ping", s.q.Ping(ctx), "")
}

// numbered fails when the store has given the update another sequence before.
func (s *script) numbered(u gitops.Update) {
	s.t.Helper()
	if given, ok := s.sequences[u.ID]; ok && given != u.Sequence {
		s.t.Fatalf("update %s has sequence %d; it had %d", u.ID, u.Sequence, given)
	}
	s.sequences[u.ID] = u.Sequence
}

func (s *script) checkHead(environment, app string) {
	s.t.Helper()
	got, err := s.q.Head(s.t.Context(), environment, app)
	want, _ := s.model.Head(s.t.Context(), environment, app)
	s.same("Head", got, err, want, nil)
	// The update may be forgotten, and taken in again since.
	for id, sequence := range map[string]int64{got.WrittenID: got.Written, got.HealthyID: got.Healthy} {
		if given, known := s.sequences[id]; (sequence > 0) != (id != "") || known && sequence > given {
			s.t.Fatalf("the head of %s in %s is %+v, and update %q has sequence %d", app, environment, got, id, given)
		}
	}
}

// checkTake compares what a lease's holder is told to work on.
func (s *script) checkTake(l lent, o queue.TakeOptions) []gitops.Update {
	s.t.Helper()
	got, err := s.q.Take(s.t.Context(), l.store, o)
	want, wantErr := s.model.Take(s.t.Context(), l.model, o)
	s.same(fmt.Sprintf("Take %+v of %s", o, l.store.Name), got, err, want, wantErr)
	return want
}

func (s *script) checkBacklogs() {
	s.t.Helper()
	got, err := s.q.Backlogs(s.t.Context())
	want, _ := s.model.Backlogs(s.t.Context())
	slices.SortFunc(got, func(a, b queue.Backlog) int { return strings.Compare(a.Environment, b.Environment) })
	s.same("Backlogs", got, err, want, nil)
}

// checkFailures asks what failed, and of every update whether it is overtaken.
func (s *script) checkFailures() {
	s.t.Helper()
	got, err := s.q.Failures(s.t.Context())
	want, _ := s.model.Failures(s.t.Context())
	s.same("Failures", got, err, want, nil)
	ids := append(slices.Sorted(maps.Keys(s.model.updates)), "missing")
	overtaken, err := s.q.Overtaken(s.t.Context(), ids)
	wanted, _ := s.model.Overtaken(s.t.Context(), ids)
	s.same("Overtaken", overtaken, err, wanted, nil)
}

// code fails unless err has the code; "" is no error.
func (s *script) code(call string, err error, want gitops.Code) {
	s.t.Helper()
	var e *gitops.Error
	switch {
	case err == nil && want == "":
	case err == nil:
		s.t.Fatalf("%s: no error; want %s", call, want)
	case !errors.As(err, &e):
		s.t.Fatalf("%s: %v is not a gitops.Error", call, err)
	case e.Code != want:
		s.t.Fatalf("%s: %v is %s; want %q", call, err, e.Code, want)
	}
}

// same fails unless the store's answer to a call is the model's.
func (s *script) same(call string, got any, gotErr error, want any, wantErr error) {
	s.t.Helper()
	var code gitops.Code
	if wantErr != nil {
		code = gitops.CodeOf(wantErr)
	}
	s.code(call, gotErr, code)
	if wantErr != nil {
		return
	}
	if diff := cmp.Diff(want, got, freedom); diff != "" {
		s.t.Fatalf("%s: -want +got:\n%s", call, diff)
	}
}

// reported begins each reason that a script reports.
const reported = "reported: "

// freedom is what the contract leaves to a store: the numbers that it gives, and
// the words in which it says why it superseded an update itself.
var freedom = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreFields(gitops.Update{}, "Sequence"),
	cmpopts.IgnoreFields(gitops.Head{}, "Written", "Healthy"),
	cmpopts.IgnoreFields(queue.Lease{}, "Token"),
	cmpopts.IgnoreFields(queue.InForce{}, "Revision"),
	cmpopts.IgnoreFields(queue.Change{}, "Cursor"),
	cmpopts.IgnoreFields(gitops.AuditEntry{}, "Sequence"),
	cmpopts.AcyclicTransformer("update", func(u gitops.Update) gitops.Update {
		u.Reason = withoutOwnWords(u.State, u.Reason)
		return u
	}),
	cmpopts.AcyclicTransformer("step", func(step gitops.Step) gitops.Step {
		step.Reason = withoutOwnWords(step.State, step.Reason)
		return step
	}),
}

// withoutOwnWords is a reason, or "*" for the words of the store.
func withoutOwnWords(state gitops.State, reason string) string {
	if state == gitops.Superseded && reason != "" && !strings.HasPrefix(reason, reported) {
		return "*"
	}
	return reason
}
