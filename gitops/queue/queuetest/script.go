package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// script is a test under way. Each of its methods is one event: it does the same
// to the store and to the model and ends with check.
type script struct {
	t        *testing.T
	instance Instance
	q        queue.Queue
	clock    clock
	model    *model
	leases   []queue.Lease // every one that was handed out since the store was opened
	ids      int
	followed string // where the follower of the changes is
	seen     int    // the number of the last change that it saw
}

func begin(t *testing.T, instance Instance) *script {
	s := &script{t: t, instance: instance, model: newModel()}
	s.clock.at = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	s.open()
	return s
}

func (s *script) open() {
	s.t.Helper()
	q, err := s.instance.Open(s.clock.now)
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
		Source: "github", ID: fmt.Sprintf("delivery-%d", s.ids), ReceivedAt: s.clock.now(), Actor: "octocat",
		Remote: "192.0.2.7", Credential: "webhook secret",
		Outcome: gitops.OutcomeAccepted, Body: fmt.Appendf(nil, `{"n":%d}`, s.ids),
	}
	for _, target := range targets {
		s.ids++
		environment, name, _ := strings.Cut(target, "/")
		d.Updates = append(d.Updates, gitops.Update{
			ID: fmt.Sprintf("update-%d", s.ids), Environment: environment, App: name,
			Repository: "registry.example/" + name, Tag: fmt.Sprintf("main-%07d", s.ids),
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

// accept brings the delivery in and returns it as stored.
func (s *script) accept(d gitops.Delivery) gitops.Delivery {
	s.t.Helper()
	got, duplicate, err := s.q.Accept(s.t.Context(), d)
	s.code("Accept", err, "")
	_, known := s.model.deliveries[d.Key()]
	if duplicate != known {
		s.t.Fatalf("Accept(%s): duplicate is %t", d.Key(), duplicate)
	}
	if !known {
		s.ordered(got)
		s.model.accept(d, got, s.clock.now())
	}
	s.same("Accept", got, s.model.delivery(d.Key()))
	s.check()
	return got
}

// ordered fails unless the new updates come after all that their lanes have, in
// the order in which they were planned.
func (s *script) ordered(d gitops.Delivery) {
	s.t.Helper()
	highest := make(map[string]int64)
	for _, u := range d.Updates {
		h, ok := highest[u.Environment]
		if !ok {
			h = s.model.lane(u.Environment).highest
		}
		if u.Sequence <= h {
			s.t.Fatalf("update %s of %s has sequence %d; its lane already had %d", u.ID, u.Environment, u.Sequence, h)
		}
		highest[u.Environment] = u.Sequence
	}
}

// claim claims the lane, and expects what the model says: a lease, or Conflict.
func (s *script) claim(environment, holder string, ttl time.Duration) queue.Lease {
	s.t.Helper()
	now, l := s.clock.now(), s.model.lane(environment)
	got, err := s.q.Claim(s.t.Context(), environment, holder, ttl)
	taken := s.model.taken(environment, holder, now)
	if taken && l.orphan && err == nil {
		taken = false // the store knows that the holder is gone
	}
	if taken {
		s.code("Claim", err, gitops.Conflict)
		var e *gitops.Error
		if errors.As(err, &e); e.RetryAfter != l.expires.Sub(now) {
			s.t.Fatalf("Claim: the error's RetryAfter is %v, the rest of the lease %v", e.RetryAfter, l.expires.Sub(now))
		}
		s.check()
		return queue.Lease{}
	}
	s.code("Claim", err, "")
	if got.Token <= l.token {
		s.t.Fatalf("Claim: token %d after %d", got.Token, l.token)
	}
	s.same("Claim", got, queue.Lease{Environment: environment, Holder: holder, Token: got.Token, ExpiresAt: now.Add(ttl)})
	s.model.claim(got)
	s.leases = append(s.leases, got)
	s.check()
	return got
}

// need is the code that a call with this lease must fail with.
func (s *script) need(l queue.Lease) gitops.Code {
	if s.model.mine(l) {
		return ""
	}
	return gitops.Conflict
}

func (s *script) extend(l queue.Lease, ttl time.Duration) queue.Lease {
	s.t.Helper()
	want := s.need(l)
	got, err := s.q.Extend(s.t.Context(), l, ttl)
	s.code("Extend", err, want)
	if err != nil {
		s.check()
		return l
	}
	l.ExpiresAt = s.clock.now().Add(ttl)
	s.same("Extend", got, l)
	s.model.lane(l.Environment).expires = l.ExpiresAt
	s.check()
	return got
}

func (s *script) release(l queue.Lease, clean bool) {
	s.t.Helper()
	s.code("Release", s.q.Release(s.t.Context(), l, clean), "")
	s.model.release(l, clean)
	s.check()
}

func (s *script) settle(l queue.Lease, settlements ...gitops.Settlement) {
	s.t.Helper()
	var ids []string
	for _, e := range settlements {
		ids = append(ids, e.Update)
	}
	want := s.changes(l, ids)
	s.code("Settle", s.q.Settle(s.t.Context(), l, settlements), want)
	if want == "" {
		s.model.settle(l.Environment, settlements, s.clock.now())
	}
	s.check()
}

// postpone defers the updates for a minute.
func (s *script) postpone(l queue.Lease, reason string, ids ...string) {
	s.t.Helper()
	want := s.changes(l, ids)
	d := queue.Deferral{Updates: ids, Code: gitops.Unavailable, Reason: reason, RetryAt: s.clock.now().Add(time.Minute)}
	s.code("Defer", s.q.Defer(s.t.Context(), l, d), want)
	if want == "" {
		s.model.deferred(l.Environment, d, s.clock.now())
	}
	s.check()
}

// changes is the code that a change of these updates must fail with.
func (s *script) changes(l queue.Lease, ids []string) gitops.Code {
	if want := s.need(l); want != "" {
		return want
	}
	if !s.model.inLane(l.Environment, ids) {
		return gitops.NotFound
	}
	return ""
}

func (s *script) advance(d time.Duration) {
	s.t.Helper()
	s.clock.advance(d)
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
	s.model.reopened()
	s.leases = nil
	s.open()
	s.check()
}

// check asks the store everything and compares it with the model.
func (s *script) check() {
	s.t.Helper()
	ctx := s.t.Context()
	for key := range s.model.deliveries {
		got, err := s.q.Delivery(ctx, key)
		s.code("Delivery", err, "")
		s.same("Delivery", got, s.model.delivery(key))
		if got.ReceivedAt.Location() != time.UTC {
			s.t.Fatalf("Delivery(%s): the time of receipt is not in UTC", key)
		}
	}
	for id := range s.model.updates {
		got, err := s.q.Update(ctx, id)
		s.code("Update", err, "")
		s.same("Update", got, s.model.story(id))
		if got.State == gitops.Superseded && got.Reason == "" {
			s.t.Fatalf("Update(%s): superseded, without a reason", id)
		}
	}
	for _, l := range s.leases {
		got, err := s.q.Pending(ctx, l, 1000)
		if s.code("Pending", err, s.need(l)); err == nil {
			s.same("Pending", got, s.model.pending(l.Environment))
		}
	}
	got, err := s.q.Backlogs(ctx)
	s.code("Backlogs", err, "")
	slices.SortFunc(got, func(a, b queue.Backlog) int { return strings.Compare(a.Environment, b.Environment) })
	want := s.model.backlogs()
	for i, b := range got {
		if i < len(want) && s.model.lane(b.Environment).orphan && b.Holder == "" {
			want[i].Holder = "" // the store knows that the holder is gone
		}
	}
	s.same("Backlogs", got, want)
	s.checkLists()
	s.checkChanges()
	s.code("Ping", s.q.Ping(ctx), "")
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

func (s *script) same(call string, got, want any) {
	s.t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		s.t.Fatalf("%s: -want +got:\n%s", call, diff)
	}
}
