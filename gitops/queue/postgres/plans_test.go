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

// TestBlockedUpdatesCostNothing has 50,000 blocked updates in a lane and 5 ready ones.
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
		blocked_by = '[{"kind": "stale", "reason": "old", "since": "2026-03-01T12:00:00Z"}]'`)
	for round, text := range []string{`VACUUM updates`, `VACUUM ANALYZE`} { // entries that the statement above left in the indexes cost the first who comes
		execute(t, a, text)
		for n := range 5 {
			accept(t, s, order(fmt.Sprintf("ready-%d-%d", round, n), fmt.Sprintf("app-%d-%d", round, n)))
		}
		checkCosts(t, a, s)
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
		{"Backlogs", func() error {
			backlogs, err := s.Backlogs(ctx)
			if err == nil && backlogs[0].Held[gitops.BlockStale] < 49_990 {
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
