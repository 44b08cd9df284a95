package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
)

// rowsRead is how many versions of rows the server looks at, in the schema's tables and
// for their indexes, while call runs. The store has one connection.
func rowsRead(t *testing.T, a postgres.Address, s *postgres.Store, call func() error) (read int) {
	t.Helper()
	conn := connect(t, a)
	count := func() (n int) {
		t.Helper()
		const text = `SELECT sum(seq_tup_read) + sum(coalesce(idx_tup_fetch, 0)) + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = current_schema())
			FROM pg_stat_user_tables WHERE schemaname = current_schema()`
		if err := s.FlushStatistics(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := conn.QueryRow(t.Context(), text).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	if err := call(); err != nil {
		t.Fatal(err)
	}
	return count() - before
}

// oneConnection is an address whose store has one connection beside its session.
func oneConnection(a postgres.Address) postgres.Address {
	a.URL += "&pool_max_conns=1"
	return a
}

// TestBlockedUpdatesCostNothing has 50,000 held updates in a lane and 5 ready ones. When
// the hold is lifted all are ready at once.
func TestBlockedUpdatesCostNothing(t *testing.T) {
	a := schema(t)
	s := open(t, oneConnection(a))
	for n := range 10 {
		d := order(fmt.Sprint(n), "")
		d.Updates = nil
		for i := range queue.MaxUpdates {
			d.Updates = append(d.Updates, gitops.Update{Environment: "dev", App: fmt.Sprintf("app-%d-%d", n, i), Tag: "v1"})
		}
		accept(t, s, d)
	}
	execute(t, a, `UPDATE updates SET ready_at = CASE sequence % 2 WHEN 0 THEN 'infinity' ELSE now() + interval '1 hour' END,
		blocked_by = '[{"kind": "freeze", "reason": "closed", "since": "2026-03-01T12:00:00Z"}]'`)
	for round, text := range []string{`VACUUM updates`, `VACUUM ANALYZE`} { // entries that the statement above left in the indexes cost the first who comes
		execute(t, a, text)
		for n := range 5 {
			accept(t, s, order(fmt.Sprintf("ready-%d-%d", round, n), fmt.Sprintf("app-%d-%d", round, n)))
		}
		checkCosts(t, a, s)
	}
	checkRelease(t, s)
}

// checkRelease lifts what holds 50,000 updates, and another hold that holds nothing.
func checkRelease(t *testing.T, s *postgres.Store) {
	t.Helper()
	freeze := gitops.Hold{Kind: gitops.HoldFreeze, Environments: []string{"dev"}, Principal: "token:ann", Actor: "token:ann", Reason: "closed", Until: time.Now().Add(time.Hour)}
	pin := freeze
	pin.Kind, pin.Apps, pin.Tag = gitops.HoldPin, []string{"app-1-1"}, "v1"
	placed, err := s.Place(t.Context(), queue.Placement{Holds: []gitops.Hold{freeze, pin}})
	if err != nil {
		t.Fatal(err)
	}
	lift := func(h gitops.Hold) int {
		t.Helper()
		began := time.Now()
		lifted, err := s.Lift(t.Context(), queue.Lifting{IDs: []string{h.ID}, Principal: "token:ann", Actor: "token:ann"})
		if took := time.Since(began); err != nil || took > 25*time.Second {
			t.Fatalf("a lift took %s: %v", took, err)
		}
		t.Logf("%d updates were ready after %s", lifted.Ready, time.Since(began))
		return lifted.Ready
	}
	if ready := lift(placed.Holds[1]); ready != 0 {
		t.Errorf("the lift of a pin made %d updates ready that a freeze holds", ready)
	}
	if ready := lift(placed.Holds[0]); ready < 49_990 {
		t.Errorf("%d updates became ready", ready)
	}
	l := claim(t, s, "one", "dev", time.Hour)
	began := time.Now()
	taken, err := s.Take(t.Context(), l, queue.TakeOptions{Limit: 500, NewestHeld: true})
	if err != nil || len(taken) != 500 {
		t.Fatalf("%d were taken, %v", len(taken), err)
	}
	t.Logf("500 of them were taken in %s", time.Since(began))
	for _, u := range taken {
		if u.HeldUntil.IsZero() || len(u.BlockedBy) > 0 {
			t.Fatalf("taken was %+v", u)
		}
	}
}

// checkCosts holds each call of a lane with five ready updates to looking at few rows. In
// the end there are none: the calls of a report write all of them.
func checkCosts(t *testing.T, a postgres.Address, s *postgres.Store) {
	t.Helper()
	l := claim(t, s, "one", "dev", time.Hour)
	ctx := t.Context()
	for _, c := range []struct {
		what string
		call func() error
	}{
		{"Ready", func() error {
			ready, err := s.Ready(ctx, []string{"dev"})
			return expect(err, len(ready), 1)
		}},
		{"Take", func() error {
			taken, err := s.Take(ctx, l, queue.TakeOptions{Limit: 500})
			return expect(err, len(taken), 5)
		}},
		{"Take of the newest", func() error {
			taken, err := s.Take(ctx, l, queue.TakeOptions{Limit: 500, NewestOnly: true})
			return expect(err, len(taken), 5)
		}},
		{"Take of the newest that were held", func() error {
			taken, err := s.Take(ctx, l, queue.TakeOptions{Limit: 500, NewestHeld: true})
			return expect(err, len(taken), 5)
		}},
		{"Rejudge of what waits for images", func() error { return s.Rejudge(ctx, gitops.BlockImage, []string{"dev"}) }},
		{"HoldsRevision", func() error {
			_, err := s.HoldsRevision(ctx)
			return err
		}},
		{"Backlogs", func() error {
			backlogs, err := s.Backlogs(ctx)
			if err == nil && backlogs[0].Held[gitops.BlockFreeze] < 49_990 {
				err = fmt.Errorf("the backlogs are %+v", backlogs)
			}
			return expect(err, len(backlogs), 1)
		}},
		{"Report", func() error {
			taken, err := s.Take(ctx, l, queue.TakeOptions{Limit: 500})
			var r queue.Report
			for _, u := range taken {
				r.Transitions = append(r.Transitions, committed(u.ID).Transitions...)
			}
			superseded, reportErr := s.Report(ctx, l, r)
			return errors.Join(err, reportErr, expect(nil, len(superseded), 5))
		}},
		{"an idle Claim", func() error {
			claimed, err := s.Claim(ctx, "two", []string{"dev"}, time.Hour)
			return expect(err, len(claimed), 0)
		}},
	} {
		if n := rowsRead(t, a, s, c.call); n > 500 {
			t.Errorf("%s: the server looked at %d rows", c.what, n)
		}
	}
	if err := s.Release(ctx, l, true); err != nil {
		t.Fatal(err)
	}
}

// expect is err, or says that a call returned another number than it should.
func expect(err error, got, want int) error {
	if err == nil && got != want {
		err = fmt.Errorf("returned %d; want %d", got, want)
	}
	return err
}

// TestOldSnapshotSlowsNoAccept accepts while a transaction elsewhere keeps all versions
// of rows: what one costs does not grow with what was accepted since.
func TestOldSnapshotSlowsNoAccept(t *testing.T) {
	a := schema(t)
	s := open(t, oneConnection(a))
	accept(t, s, order("first", "api"))
	old, err := connect(t, a).BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := old.Exec(t.Context(), `SELECT FROM deliveries`); err != nil {
		t.Fatal(err)
	}
	n := 0
	next := func() error {
		n++
		_, _, err := s.Accept(t.Context(), order(fmt.Sprint(n), fmt.Sprint("app-", n)))
		return err
	}
	before := rowsRead(t, a, s, next)
	for range 500 {
		if err := next(); err != nil {
			t.Fatal(err)
		}
	}
	if after := rowsRead(t, a, s, next); after > before+20 {
		t.Errorf("an accept looks at %d rows, and at %d when 500 others came before", before, after)
	}
}
