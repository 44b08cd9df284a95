package postgres_test

import (
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/clocktest"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
)

// TestDeadHoldersLeasesAreFreeAtOnce cuts a replica off for good, as its kernel does
// when the process is killed. Another gets its leases although they had an hour to go,
// and learns what may have been pushed.
func TestDeadHoldersLeasesAreFreeAtOnce(t *testing.T) {
	a := schema(t)
	behind := a
	p := startProxy(t, &behind)
	killed, other := open(t, behind), open(t, a)
	id := accept(t, other, order("1", "api")).Updates[0].ID
	lost := claim(t, killed, "one", "dev", time.Hour)
	job := claim(t, killed, "one", "job/missed", time.Hour)
	if claimed, err := other.Claim(t.Context(), "two", []string{"dev", "job/missed"}, time.Hour); err != nil || len(claimed) > 0 {
		t.Fatalf("while the holder is alive: %+v, %v", claimed, err)
	}
	began := time.Now()
	p.kill()
	claimed := claimUntil(t, other, "two", "dev", "job/missed")
	if took := time.Since(began); took > time.Second {
		t.Errorf("the leases of a dead holder could be claimed after %v", took)
	}
	if claimed[0].Token <= lost.Token || claimed[1].Token <= job.Token {
		t.Errorf("claimed %+v after %+v and %+v", claimed, lost, job)
	}
	taken, err := other.Take(t.Context(), claimed[0], queue.TakeOptions{Limit: 1})
	if err != nil || len(taken) != 1 || !taken[0].MaybePushed {
		t.Errorf("what the dead holder may have pushed: %+v, %v", taken, err)
	}
	if _, err := other.Report(t.Context(), lost, committed(id)); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("a report of the dead holder that comes late: %v", err)
	}
}

// claimUntil claims until it gets all the names.
func claimUntil(t *testing.T, s *postgres.Store, holder string, names ...string) (all []queue.Lease) {
	t.Helper()
	for len(all) < len(names) {
		claimed, err := s.Claim(t.Context(), holder, names[len(all):], time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, claimed...)
	}
	return all
}

// TestPausedHolder is a holder whose session lives and who does nothing, as under
// SIGSTOP: its lease is its own until it runs out, and then nothing that it reports is
// recorded.
func TestPausedHolder(t *testing.T) {
	a := schema(t)
	clock := clocktest.New()
	paused, other := openAt(t, a, clock.Now), openAt(t, a, clock.Now)
	id := accept(t, other, order("1", "api")).Updates[0].ID
	lost := claim(t, paused, "one", "dev", 30*time.Second)
	clock.Pass(30*time.Second - time.Microsecond)
	if claimed, err := other.Claim(t.Context(), "two", []string{"dev"}, time.Hour); err != nil || len(claimed) > 0 {
		t.Fatalf("before the lease has run out: %+v, %v", claimed, err)
	}
	clock.Pass(time.Microsecond)
	l := claim(t, other, "two", "dev", time.Hour)
	if _, err := paused.Report(t.Context(), lost, committed(id)); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("the paused holder reports: %v", err)
	}
	if kept, err := paused.Extend(t.Context(), []queue.Lease{lost}, time.Hour); err != nil || len(kept) > 0 {
		t.Errorf("the paused holder extends: %+v, %v", kept, err)
	}
	if _, err := other.Report(t.Context(), l, committed(id)); err != nil {
		t.Error(err)
	}
}

func openAt(t *testing.T, a postgres.Address, now func() time.Time) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), a, postgres.Options{Now: now, Logger: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestSessionIsReplaced ends the session of a store that lives: its leases follow it to
// the next one.
func TestSessionIsReplaced(t *testing.T) {
	a := schema(t)
	s, other := open(t, a), open(t, a)
	l := claim(t, s, "one", "dev", time.Hour)
	broken, restored := s.SessionKey(), s.Wake("dev")
	execute(t, a, `SELECT pg_terminate_backend(`+sessionOf(t, a, s)+`)`)
	<-restored
	if key := s.SessionKey(); key == broken || key == 0 {
		t.Errorf("the session's key was %d and is %d", broken, key)
	}
	if claimed, err := other.Claim(t.Context(), "two", []string{"dev"}, time.Hour); err != nil || len(claimed) > 0 {
		t.Errorf("another claims: %+v, %v", claimed, err)
	}
	if kept, err := s.Extend(t.Context(), []queue.Lease{l}, time.Hour); err != nil || len(kept) != 1 {
		t.Errorf("the holder extends: %+v, %v", kept, err)
	}
}

// TestExtendBindsToTheSession is a lease that was claimed while its holder had no
// session: only time ends it, until it is extended.
func TestExtendBindsToTheSession(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	l := claim(t, s, "one", "dev", time.Hour)
	execute(t, a, `UPDATE lanes SET session = NULL`)
	if claimed, err := open(t, a).Claim(t.Context(), "two", []string{"dev"}, time.Hour); err != nil || len(claimed) > 0 {
		t.Errorf("another claims: %+v, %v", claimed, err)
	}
	if _, err := s.Extend(t.Context(), []queue.Lease{l}, time.Hour); err != nil {
		t.Fatal(err)
	}
	var session *int64
	if err := connect(t, a).QueryRow(t.Context(), `SELECT session FROM lanes`).Scan(&session); err != nil || session == nil || *session != s.SessionKey() {
		t.Errorf("the lease is bound to %v, %v", session, err)
	}
}

// TestClosedStoresLeasesAreFreeAtOnce is a store that is closed without giving its
// leases back.
func TestClosedStoresLeasesAreFreeAtOnce(t *testing.T) {
	a := schema(t)
	first, second := open(t, a), open(t, a)
	claim(t, first, "one", "dev", time.Hour)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	claim(t, second, "two", "dev", time.Hour)
}

// TestIdleClaim asks for what others hold, as every replica does once a second: it
// neither waits for anybody nor writes.
func TestIdleClaim(t *testing.T) {
	a := schema(t)
	first, second := open(t, a), open(t, a)
	names := []string{"dev", "prod", "staging"}
	if claimed, err := first.Claim(t.Context(), "one", names, time.Hour); err != nil || len(claimed) != 3 {
		t.Fatalf("%+v, %v", claimed, err)
	}
	conn := connect(t, a)
	versions := func() (all []string) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), `SELECT array_agg(concat(ctid, xmin, ' ', xmax) ORDER BY name) FROM lanes`).Scan(&all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := versions()
	release := holdTurn(t, a)
	if _, err := conn.Exec(t.Context(), `BEGIN`); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `SELECT FROM lanes WHERE name = 'dev' FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	claimed, err := second.Claim(t.Context(), "two", names, time.Hour)
	if err != nil || len(claimed) > 0 {
		t.Errorf("%+v, %v", claimed, err)
	}
	if _, err := conn.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	release()
	before[0] = versions()[0] // this test has locked it
	if after := versions(); !slices.Equal(before, after) {
		t.Errorf("the rows were %q and are %q", before, after)
	}
}

// TestClaimsRace has replicas claim the same names at once: each name goes to one.
func TestClaimsRace(t *testing.T) {
	a := schema(t)
	var names []string
	for n := range 20 {
		names = append(names, strconv.Itoa(n))
	}
	claimed := make([][]queue.Lease, 4)
	var all sync.WaitGroup
	for i := range claimed {
		s := open(t, a)
		all.Go(func() {
			var err error
			if claimed[i], err = s.Claim(t.Context(), strconv.Itoa(i), names, time.Hour); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var got []string
	for _, l := range slices.Concat(claimed...) {
		got = append(got, l.Name)
		if l.Token != 1 {
			t.Errorf("%s was given as %d", l.Name, l.Token)
		}
	}
	slices.Sort(got)
	slices.Sort(names)
	if !slices.Equal(got, names) {
		t.Errorf("claimed were %q", got)
	}
}

// TestClaimMarksWhatIsBeingAccepted begins a claim while an update is accepted and not
// yet committed. The last holder may take that update and push it before the claim is
// committed, so the claim must mark it.
func TestClaimMarksWhatIsBeingAccepted(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	id := accept(t, s, order("1", "api")).Updates[0].ID
	lost := claim(t, s, "one", "dev", time.Nanosecond)
	accepting, watcher := connect(t, a), connect(t, a)
	for _, text := range []string{`BEGIN`, `SELECT take_turn()`,
		`INSERT INTO deliveries SELECT 1000, source, 'other', received_at, event_time, actor, principal, remote, recovered, credential, outcome, field, reason, environment,
			app, config
			FROM deliveries`,
		`INSERT INTO updates (sequence, id, environment, app, repository, tag, digest, rule, state, reason, accepted_at)
			SELECT 1000 * 65536, 'other', environment, app, repository, tag, digest, rule, state, reason, accepted_at FROM updates`,
	} {
		if _, err := accepting.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan queue.Lease, 1)
	go func() {
		claimed, err := s.Claim(t.Context(), "two", []string{"dev"}, time.Hour)
		if err != nil || len(claimed) != 1 {
			t.Errorf("Claim: %+v, %v", claimed, err)
			claimed = make([]queue.Lease, 1)
		}
		done <- claimed[0]
	}()
	for waiting := false; !waiting && len(done) == 0; {
		const text = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FROM claim(%')`
		if err := watcher.QueryRow(t.Context(), text).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := accepting.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	l := <-done
	if _, err := s.Report(t.Context(), lost, committed(id)); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("the last holder reports: %v", err)
	}
	taken, err := s.Take(t.Context(), l, queue.TakeOptions{Limit: 10})
	if err != nil || len(taken) != 2 || !taken[0].MaybePushed || !taken[1].MaybePushed {
		t.Errorf("taken: %+v, %v", taken, err)
	}
}
