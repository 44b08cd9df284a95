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
// one store: each call goes to the other one, and hints are asked of one alone. It leaves
// out what takes long and asks for many lists, or fills the store, each by statements that
// know nothing of replicas, and what TestRandomOverReplicas does.
func TestConformanceOverReplicas(t *testing.T) {
	queuetest.Run(t, func(t *testing.T) queuetest.Instance {
		return &replicas{instance{t: t, address: schema(t)}}
	}, append(onOneReplica, "Random")...)
}

// onOneReplica is what the suite leaves out over replicas.
var onOneReplica = []string{
	"Decisions/Refusals", "Reader/Lists", "Audit/Filters", "Scope/Lists", "Holds/Listed", "Holds/TooMany",
	"Accept/Bounds", "Accept/OnlyUpOutOfOrder", "Waiting/Bound", "Upkeep/Prune",
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
func (s *spread) Nudge(ctx context.Context, environments []string) error {
	return s.next().Nudge(ctx, environments)
}
func (s *spread) Changed() <-chan struct{} { return s.replicas[0].Changed() }

func (s *spread) Accept(ctx context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	return s.next().Accept(ctx, d)
}
func (s *spread) WaitingDeliveries(ctx context.Context, p queue.Page) ([]gitops.Delivery, string, error) {
	return s.next().WaitingDeliveries(ctx, p)
}
func (s *spread) WaitingCount(ctx context.Context) (queue.WaitingCount, error) {
	return s.next().WaitingCount(ctx)
}
func (s *spread) Settle(ctx context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	return s.next().Settle(ctx, d)
}
func (s *spread) Claim(ctx context.Context, holder string, names []string, ttl time.Duration) ([]queue.Lease, error) {
	return s.next().Claim(ctx, holder, names, ttl)
}
func (s *spread) Extend(ctx context.Context, leases []queue.Lease, ttl time.Duration) ([]queue.Lease, error) {
	return s.next().Extend(ctx, leases, ttl)
}
func (s *spread) Release(ctx context.Context, l queue.Lease, clean bool) error {
	return s.next().Release(ctx, l, clean)
}
func (s *spread) Ready(ctx context.Context, environments []string) ([]string, error) {
	return s.next().Ready(ctx, environments)
}
func (s *spread) Take(ctx context.Context, l queue.Lease, o queue.TakeOptions) ([]gitops.Update, error) {
	return s.next().Take(ctx, l, o)
}
func (s *spread) Report(ctx context.Context, l queue.Lease, r queue.Report) ([]gitops.Update, error) {
	return s.next().Report(ctx, l, r)
}
func (s *spread) ReportRollouts(ctx context.Context, l queue.Lease, reports []queue.RolloutReport) ([]gitops.Rollout, error) {
	return s.next().ReportRollouts(ctx, l, reports)
}
func (s *spread) OpenRollouts(ctx context.Context) ([]gitops.Update, error) {
	return s.next().OpenRollouts(ctx)
}
func (s *spread) NotRunning(ctx context.Context) ([]gitops.Update, error) {
	return s.next().NotRunning(ctx)
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
func (s *spread) Failures(ctx context.Context) ([]queue.Failure, error) {
	return s.next().Failures(ctx)
}
func (s *spread) Overtaken(ctx context.Context, ids []string) (map[string]string, error) {
	return s.next().Overtaken(ctx, ids)
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
func (s *spread) Head(ctx context.Context, environment, app string) (gitops.Head, error) {
	return s.next().Head(ctx, environment, app)
}
func (s *spread) Heads(ctx context.Context, environment string, apps []string) ([]gitops.Head, error) {
	return s.next().Heads(ctx, environment, apps)
}
func (s *spread) SeenImages(ctx context.Context, repository string, tags []string) ([]gitops.SeenImage, error) {
	return s.next().SeenImages(ctx, repository, tags)
}
func (s *spread) RecordImages(ctx context.Context, seen []gitops.SeenImage) error {
	return s.next().RecordImages(ctx, seen)
}
func (s *spread) Decide(ctx context.Context, d queue.Decision) (gitops.Update, error) {
	return s.next().Decide(ctx, d)
}
func (s *spread) ExistingIDs(ctx context.Context, source string, ids []string) ([]string, error) {
	return s.next().ExistingIDs(ctx, source, ids)
}
func (s *spread) Checkpoint(ctx context.Context, name string) (string, error) {
	return s.next().Checkpoint(ctx, name)
}
func (s *spread) ProofKeys(ctx context.Context) ([]gitops.ProofKey, error) {
	return s.next().ProofKeys(ctx)
}
func (s *spread) BeginParsing(ctx context.Context, holder string, objects []gitops.ParsedObject, deaths int) ([]gitops.Suspect, error) {
	return s.next().BeginParsing(ctx, holder, objects, deaths)
}
func (s *spread) EndParsing(ctx context.Context, holder string, objects []string) error {
	return s.next().EndParsing(ctx, holder, objects)
}
func (s *spread) Suspects(ctx context.Context) ([]gitops.Suspect, error) {
	return s.next().Suspects(ctx)
}
func (s *spread) ClearSuspect(ctx context.Context, object string, by gitops.AuditEntry) (gitops.Suspect, error) {
	return s.next().ClearSuspect(ctx, object, by)
}
func (s *spread) SetCheckpoint(ctx context.Context, name, value string) error {
	return s.next().SetCheckpoint(ctx, name, value)
}
func (s *spread) UseOnce(ctx context.Context, credential string, by gitops.DeliveryKey, until time.Time) error {
	return s.next().UseOnce(ctx, credential, by, until)
}
func (s *spread) Prune(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.next().Prune(ctx, before, limit)
}
func (s *spread) AppendAudit(ctx context.Context, entries []gitops.AuditEntry) error {
	return s.next().AppendAudit(ctx, entries)
}
func (s *spread) AuditEntries(ctx context.Context, f queue.AuditFilter, p queue.Page) ([]gitops.AuditEntry, string, error) {
	return s.next().AuditEntries(ctx, f, p)
}
func (s *spread) HoldsInForce(ctx context.Context) (queue.InForce, error) {
	return s.next().HoldsInForce(ctx)
}
func (s *spread) HoldsRevision(ctx context.Context) (int64, error) {
	return s.next().HoldsRevision(ctx)
}
func (s *spread) Place(ctx context.Context, p queue.Placement) (queue.Placed, error) {
	return s.next().Place(ctx, p)
}
func (s *spread) Lift(ctx context.Context, l queue.Lifting) (queue.Lifted, error) {
	return s.next().Lift(ctx, l)
}
func (s *spread) Rejudge(ctx context.Context, kind gitops.BlockKind, environments []string) error {
	return s.next().Rejudge(ctx, kind, environments)
}
func (s *spread) HoldsListed(ctx context.Context, f queue.HoldFilter, p queue.Page) ([]gitops.Hold, string, error) {
	return s.next().HoldsListed(ctx, f, p)
}
func (s *spread) Ping(ctx context.Context) error                 { return s.next().Ping(ctx) }
func (s *spread) Usage(ctx context.Context) (queue.Usage, error) { return s.next().Usage(ctx) }

// TestLeasesRunByTheServersClock has no clock injected: what a replica thinks the
// time is does not matter.
func TestLeasesRunByTheServersClock(t *testing.T) {
	a := schema(t)
	first, second := open(t, a), open(t, a)
	ctx := t.Context()
	claim(t, first, "one", "dev", time.Hour)
	if claimed, err := second.Claim(ctx, "two", []string{"dev"}, time.Hour); err != nil || len(claimed) > 0 {
		t.Errorf("the second Claim: %+v, %v", claimed, err)
	}
	short := claim(t, first, "one", "prod", time.Millisecond)
	var claimed []queue.Lease
	for len(claimed) == 0 {
		var err error
		if claimed, err = second.Claim(ctx, "two", []string{"dev", "prod"}, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if len(claimed) > 1 || claimed[0].Name != "prod" || claimed[0].Token <= short.Token {
		t.Errorf("after a lease ran out: %+v", claimed)
	}
	if _, err := first.Report(ctx, short, queue.Report{}); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("the first holder reports: %v", err)
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
	existing, err := s.ExistingIDs(t.Context(), "github", []string{"other", d.ID})
	if err != nil || len(existing) != 1 || existing[0] != d.ID {
		t.Errorf("ExistingIDs: %q, %v", existing, err)
	}
}

// TestBadRequestFailsAlone is a delivery that the server refuses, in a group with
// others.
func TestBadRequestFailsAlone(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	execute(t, a, `ALTER TABLE deliveries ADD CHECK (id <> 'bad')`)
	release := holdTurn(t, a)
	errs := make(chan error, 6)
	for i := range cap(errs) {
		d := order([]string{"a", "b", "bad", "c", "d", "e"}[i], "api")
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

// holdTurn keeps every delivery of every replica waiting until release.
func holdTurn(t *testing.T, a postgres.Address) (release func()) {
	t.Helper()
	conn := connect(t, a)
	for _, text := range []string{`BEGIN`, `SELECT take_turn()`} {
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
