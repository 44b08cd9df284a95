package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// TestReadersLeaveConnectionsFree has more questions than there are connections,
// and none is answered: what is accepted and what holds a lane goes on.
func TestReadersLeaveConnectionsFree(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	accept(t, s, order("1", "api"))
	l := claim(t, s, "one", "dev", time.Hour)
	holder, watcher := connect(t, a), connect(t, a)
	for _, text := range []string{`BEGIN`, `LOCK TABLE deliveries, steps IN ACCESS EXCLUSIVE MODE`} {
		if _, err := holder.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var asked sync.WaitGroup
	for range 20 {
		asked.Go(func() { _, _ = s.Changes(ctx, "", 10) })
		asked.Go(func() { _, _, _ = s.Updates(ctx, queue.UpdateFilter{}, queue.Page{Limit: 1}) })
	}
	for waiting := 0; waiting < 4; {
		const text = `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation IN ('deliveries'::regclass, 'steps'::regclass)`
		if err := watcher.QueryRow(t.Context(), text).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	if kept, err := s.Extend(t.Context(), []queue.Lease{l}, time.Hour); err != nil || len(kept) != 1 {
		t.Errorf("Extend: %+v, %v", kept, err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
	if n := s.Connections(); n > 4 {
		t.Errorf("%d connections are in use for 40 questions", n)
	}
	cancel()
	asked.Wait()
	if _, err := holder.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
}

// TestATokenGivenTwice is a standby that took over without the last claim: the
// next holder gets the same token, and the first must not do anything with it.
func TestATokenGivenTwice(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	d := accept(t, s, order("1", "api"))
	ctx := t.Context()
	lost := claim(t, s, "one", "dev", time.Hour)
	execute(t, a, `UPDATE lanes SET token = token - 1, lease = 'lost'`)
	l := claim(t, s, "two", "dev", time.Hour)
	if l.Token != lost.Token {
		t.Fatalf("%+v after %+v", l, lost)
	}
	if kept, err := s.Extend(ctx, []queue.Lease{lost}, time.Hour); err != nil || len(kept) > 0 {
		t.Errorf("Extend: %+v, %v", kept, err)
	}
	if _, err := s.Take(ctx, lost, queue.TakeOptions{Limit: 1}); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("Take: %v", err)
	}
	if _, err := s.Report(ctx, lost, committed(d.Updates[0].ID)); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("Report: %v", err)
	}
	if _, err := s.ReportRollouts(ctx, lost, nil); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("ReportRollouts: %v", err)
	}
	if err := s.Release(ctx, lost, true); err != nil {
		t.Error(err)
	}
	if _, err := s.Report(ctx, l, committed(d.Updates[0].ID)); err != nil {
		t.Errorf("the holder: %v", err)
	}
}

// TestPruningTogether is two replicas that have found the same to forget.
func TestPruningTogether(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	for _, id := range []string{"1", "2", "3"} {
		accept(t, s, order(id, "api"))
	}
	execute(t, a, `UPDATE updates SET state = 'committed', finished_at = accepted_at`)
	conn := connect(t, a)
	for _, want := range []int{3, 0} {
		var gone int
		err := conn.QueryRow(t.Context(), `SELECT prune(array_agg(n), now() + interval '1 hour', now()) FROM generate_series(1, 3) AS n`).Scan(&gone)
		if err != nil || gone != want {
			t.Errorf("forgot %d, want %d: %v", gone, want, err)
		}
	}
}

// TestTimesWithoutAYear are deliveries that JSON cannot tell the server about: they
// are refused, and do not hold up those that come with them.
func TestTimesWithoutAYear(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	for _, at := range []string{"9999-12-31T23:59:59-12:00", "0000-06-01T00:00:00Z", "0000-01-01T00:00:00+12:00"} {
		d := order(at, "api")
		var err error
		if d.EventTime, err = time.Parse(time.RFC3339, at); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Accept(t.Context(), d); gitops.CodeOf(err) != gitops.Invalid {
			t.Errorf("%s: %v", at, err)
		}
	}
	for _, at := range []string{"0001-01-01T00:00:01Z", "9999-12-31T23:59:59Z"} {
		d := order(at, "api")
		d.EventTime, _ = time.Parse(time.RFC3339, at)
		accept(t, s, d)
	}
}

// TestPruneDuringARetry is an update that is made pending while Prune, which has found
// that it was final, is about to forget it. Prune does not wait, and leaves it.
func TestPruneDuringARetry(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	id := accept(t, s, order("1", "api")).Updates[0].ID
	fail := gitops.Transition{Update: id, Action: gitops.ActionFail, Code: gitops.NotFound, Reason: "no such file"}
	if _, err := s.Report(t.Context(), claim(t, s, "one", "dev", time.Hour), queue.Report{Transitions: []gitops.Transition{fail}}); err != nil {
		t.Fatal(err)
	}
	retrying := connect(t, a)
	const entry = `{"act": "retry", "principal": "", "actor": "ann", "credential": "", "remote": "", "right": "retry", "rule": "", "update": "", "reason": "", "config": ""}`
	for _, text := range []string{`BEGIN`, `SELECT decide(NULL, '` + id + `', 'retry', 'ann', '', '` + entry + `', false)`} {
		if _, err := retrying.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Prune(t.Context(), time.Now().Add(time.Hour), 10); err != nil || n != 0 {
		t.Errorf("forgot %d deliveries, %v", n, err)
	}
	if _, err := retrying.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Prune(t.Context(), time.Now().Add(time.Hour), 10); err != nil || n != 0 {
		t.Errorf("forgot %d deliveries, %v", n, err)
	}
	if u, err := s.Update(t.Context(), id); err != nil || u.State != gitops.Pending {
		t.Errorf("what was retried: %+v, %v", u, err)
	}
}

// TestARetryDuringPrune is an update that Prune forgets while a person retries it: it is
// gone, and so are its steps.
func TestARetryDuringPrune(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	id := accept(t, s, order("1", "api")).Updates[0].ID
	execute(t, a, `UPDATE updates SET state = 'failed', finished_at = accepted_at`)
	pruning, watcher := connect(t, a), connect(t, a)
	for _, text := range []string{`BEGIN`, `SELECT prune('{1}', now() + interval '1 hour', now())`} {
		if _, err := pruning.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	decided := make(chan error, 1)
	go func() {
		_, err := s.Decide(t.Context(), queue.Decision{Update: id, Action: gitops.ActionRetry, Actor: "ann"})
		decided <- err
	}()
	for waiting := false; !waiting; {
		const text = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FROM decide(%')`
		if err := watcher.QueryRow(t.Context(), text).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pruning.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := <-decided; gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("Decide: %v", err)
	}
	var steps int
	if err := watcher.QueryRow(t.Context(), `SELECT count(*) FROM steps`).Scan(&steps); err != nil || steps != 0 {
		t.Errorf("%d steps are left, %v", steps, err)
	}
}
