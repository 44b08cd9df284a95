package postgres_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// TestConformanceOverReplicas runs the suite on two replicas as if they were
// one store: each call goes to the other one, and hints are asked of one alone.
func TestConformanceOverReplicas(t *testing.T) {
	queuetest.Run(t, func(t *testing.T) queuetest.Instance {
		return &replicas{instance{t: t, address: schema(t)}}
	})
}

type replicas struct{ instance }

func (r *replicas) Open(now func() time.Time) (queue.Queue, error) {
	s := &spread{}
	for range 2 {
		q, err := r.instance.Open(now)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.replicas = append(s.replicas, q)
	}
	return s, nil
}

// spread is several replicas as one queue.
type spread struct {
	replicas []queue.Queue
	calls    atomic.Int64
}

func (s *spread) next() queue.Queue { return s.replicas[int(s.calls.Add(1))%len(s.replicas)] }

func (s *spread) Close() error {
	var errs []error
	for _, q := range s.replicas {
		errs = append(errs, q.Close())
	}
	return errors.Join(errs...)
}

func (s *spread) Wake(environment string) <-chan struct{} { return s.replicas[0].Wake(environment) }
func (s *spread) Changed() <-chan struct{}                { return s.replicas[0].Changed() }

func (s *spread) Accept(ctx context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	return s.next().Accept(ctx, d)
}
func (s *spread) Claim(ctx context.Context, environment, holder string, ttl time.Duration) (queue.Lease, error) {
	return s.next().Claim(ctx, environment, holder, ttl)
}
func (s *spread) Extend(ctx context.Context, l queue.Lease, ttl time.Duration) (queue.Lease, error) {
	return s.next().Extend(ctx, l, ttl)
}
func (s *spread) Release(ctx context.Context, l queue.Lease, clean bool) error {
	return s.next().Release(ctx, l, clean)
}
func (s *spread) Pending(ctx context.Context, l queue.Lease, limit int) ([]gitops.Update, error) {
	return s.next().Pending(ctx, l, limit)
}
func (s *spread) Settle(ctx context.Context, l queue.Lease, settlements []gitops.Settlement) error {
	return s.next().Settle(ctx, l, settlements)
}
func (s *spread) Defer(ctx context.Context, l queue.Lease, d queue.Deferral) error {
	return s.next().Defer(ctx, l, d)
}
func (s *spread) Delivery(ctx context.Context, key gitops.DeliveryKey) (gitops.Delivery, error) {
	return s.next().Delivery(ctx, key)
}
func (s *spread) Update(ctx context.Context, id string) (gitops.Update, error) {
	return s.next().Update(ctx, id)
}
func (s *spread) Backlogs(ctx context.Context) ([]queue.Backlog, error) {
	return s.next().Backlogs(ctx)
}
func (s *spread) Deliveries(ctx context.Context, f queue.DeliveryFilter, p queue.Page) ([]gitops.Delivery, string, error) {
	return s.next().Deliveries(ctx, f, p)
}
func (s *spread) Updates(ctx context.Context, f queue.UpdateFilter, p queue.Page) ([]gitops.Update, string, error) {
	return s.next().Updates(ctx, f, p)
}
func (s *spread) Changes(ctx context.Context, after string, limit int) ([]queue.Change, error) {
	return s.next().Changes(ctx, after, limit)
}
func (s *spread) Latest(ctx context.Context) (string, error) { return s.next().Latest(ctx) }
func (s *spread) Retry(ctx context.Context, id, actor string) (gitops.Update, error) {
	return s.next().Retry(ctx, id, actor)
}
func (s *spread) Known(ctx context.Context, source string, ids []string) ([]string, error) {
	return s.next().Known(ctx, source, ids)
}
func (s *spread) Mark(ctx context.Context, name string) (string, error) {
	return s.next().Mark(ctx, name)
}
func (s *spread) SetMark(ctx context.Context, name, value string) error {
	return s.next().SetMark(ctx, name, value)
}
func (s *spread) Spend(ctx context.Context, credential string, by gitops.DeliveryKey, until time.Time) error {
	return s.next().Spend(ctx, credential, by, until)
}
func (s *spread) Prune(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.next().Prune(ctx, before, limit)
}
func (s *spread) Ping(ctx context.Context) error { return s.next().Ping(ctx) }

// TestLeasesRunByTheServersClock has no clock injected: what a replica thinks the
// time is does not matter.
func TestLeasesRunByTheServersClock(t *testing.T) {
	a := schema(t)
	first, second := open(t, a), open(t, a)
	ctx := t.Context()
	if _, err := first.Claim(ctx, "dev", "one", time.Hour); err != nil {
		t.Fatal(err)
	}
	_, err := second.Claim(ctx, "dev", "two", time.Hour)
	var taken *gitops.Error
	if !errors.As(err, &taken) || taken.Code != gitops.Conflict || taken.RetryAfter <= 0 || taken.RetryAfter > time.Hour {
		t.Errorf("the second Claim: %v", err)
	}
	short, err := first.Claim(ctx, "prod", "one", time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	var l queue.Lease
	for l, err = second.Claim(ctx, "prod", "two", time.Hour); gitops.CodeOf(err) == gitops.Conflict; {
		l, err = second.Claim(ctx, "prod", "two", time.Hour)
	}
	if err != nil || l.Token <= short.Token {
		t.Errorf("after a lease ran out: %+v, %v", l, err)
	}
	if err := first.Settle(ctx, short, nil); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("the first holder settles: %v", err)
	}
}

// TestReceiptAheadOfTheServersClock is a replica whose clock is fast: what it
// receives must not make late what really comes later.
func TestReceiptAheadOfTheServersClock(t *testing.T) {
	s := open(t, schema(t))
	ahead := order("1", "api")
	ahead.ReceivedAt = time.Now().Add(time.Hour)
	accept(t, s, ahead)
	later := order("2", "api")
	later.EventTime, later.ReceivedAt = time.Now().Add(time.Minute), time.Now().Add(2*time.Minute)
	if got := accept(t, s, later); got.Updates[0].State != gitops.Pending {
		t.Errorf("what came later is %s: %s", got.Updates[0].State, got.Updates[0].Reason)
	}
}

// TestTextThatPostgresCannotHold is a sender's id and name with the byte 0 and
// with what is not UTF-8: the delivery is taken, and found again.
func TestTextThatPostgresCannotHold(t *testing.T) {
	s := open(t, schema(t))
	d := order("a\x00b\xff", "api")
	d.Actor = "oct\x00cat"
	got := accept(t, s, d)
	again, duplicate, err := s.Accept(t.Context(), d)
	if err != nil || !duplicate || again.ID != got.ID || again.Actor != "oct\uFFFDcat" {
		t.Errorf("sent again: %+v, duplicate %t, %v", again, duplicate, err)
	}
	if _, err := s.Delivery(t.Context(), d.Key()); err != nil {
		t.Error(err)
	}
	known, err := s.Known(t.Context(), "github", []string{"other", d.ID})
	if err != nil || len(known) != 1 || known[0] != d.ID {
		t.Errorf("Known: %q, %v", known, err)
	}
}

// TestBadRequestFailsAlone is a delivery that the server refuses, in a group with
// others.
func TestBadRequestFailsAlone(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	release := holdCounter(t, a)
	errs := make(chan error, 6)
	for i := range cap(errs) {
		d := order([]string{"a", "b", "bad", "c", "d", "e"}[i], "api")
		if d.ID == "bad" {
			d.Updates = append(d.Updates, d.Updates[0]) // one id twice
		}
		go func() {
			_, _, err := s.Accept(context.WithoutCancel(t.Context()), d)
			if code := gitops.CodeOf(err); d.ID == "bad" && err != nil && code == gitops.Internal {
				err = nil
			}
			errs <- err
		}()
	}
	release()
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Delivery(t.Context(), gitops.DeliveryKey{Source: "github", ID: "bad"}); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("the bad delivery: %v", err)
	}
}

// holdCounter keeps every delivery of every replica waiting until release.
func holdCounter(t *testing.T, a postgres.Address) (release func()) {
	t.Helper()
	conn := connect(t, a)
	for _, text := range []string{`BEGIN`, `UPDATE counter SET number = number`} {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		t.Helper()
		if _, err := conn.Exec(t.Context(), `ROLLBACK`); err != nil {
			t.Fatal(err)
		}
	}
}
