package postgres_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
)

// with is the address with one more parameter.
func with(a postgres.Address, name, value string) postgres.Address {
	a.URL += "&" + name + "=" + url.PathEscape(value)
	return a
}

// begin begins a transaction that reads, and keeps its snapshot until the test ends.
func begin(t *testing.T, a postgres.Address, text string) *pgx.Conn {
	t.Helper()
	conn := connect(t, a)
	for _, text := range []string{`BEGIN ISOLATION LEVEL REPEATABLE READ`, text} {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// TestOldTransactionsAreNamed has one of each kind keep old versions of rows: an idle
// session, a prepared transaction, and the slot of a standby that is gone.
func TestOldTransactionsAreNamed(t *testing.T) {
	if shared == nil {
		t.Skip("POSTGRESQL IS NOT TESTED: it is not installed; `make test-deps` installs it")
	}
	server := postgrestest.Start(t, "fsync=off", "max_prepared_transactions=2")
	a := postgres.Address{URL: server.Schema(t)}
	s := open(t, a)
	accept(t, s, order("1", "api"))
	if found, err := s.OldTransactions(t.Context(), 0); err != nil || len(found) > 0 {
		t.Fatalf("with nobody else there: %v, %v", found, err)
	}
	idle := begin(t, with(a, "application_name", "a report"), `SELECT 'a secret of the query' FROM deliveries`)
	begin(t, a, `INSERT INTO checkpoints VALUES ('other', '')`).Exec(t.Context(), `PREPARE TRANSACTION 'half'`)
	holdSlot(t, a, "gone")

	want := []string{
		fmt.Sprintf("session %d, user tallyman, application a report, state idle in transaction", idle.PgConn().PID()),
		"prepared transaction half, user tallyman, state prepared",
		"replication slot gone, state inactive",
	}
	var found []queue.OldTransaction
	for range 2 {
		var err error
		if found, err = s.OldTransactions(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for _, o := range found {
		names = append(names, o.String())
		if age := time.Since(o.Since); age < 0 || age > time.Minute {
			t.Errorf("%s has been there for %s", o, age)
		}
	}
	if slices.Sort(names); !slices.Equal(names, slices.Sorted(slices.Values(want))) {
		t.Errorf("found %q, want %q", names, want)
	}
	if found, err := s.OldTransactions(t.Context(), time.Minute); err != nil || len(found) > 0 {
		t.Errorf("older than a minute: %v, %v", found, err)
	}
	// What is a moment old is no reason to warn; a slot that nobody uses is.
	warnings, err := postgres.Check(t.Context(), a)
	if err != nil || strings.Contains(fmt.Sprint(warnings), "session") {
		t.Errorf("Check warns of %q, %v", warnings, err)
	}
}

// holdSlot makes a slot for a standby, and says as that standby that it still reads
// what the oldest transaction may see. Then the standby is gone.
func holdSlot(t *testing.T, a postgres.Address, name string) {
	t.Helper()
	execute(t, a, fmt.Sprintf(`SELECT pg_create_physical_replication_slot('%s', true)`, name))
	var xmin uint32
	watcher := connect(t, a)
	if err := watcher.QueryRow(t.Context(), `SELECT pg_current_xact_id()::text::bigint`).Scan(&xmin); err != nil {
		t.Fatal(err)
	}
	conn, err := pgconn.Connect(t.Context(), with(a, "replication", "true").URL)
	if err != nil {
		t.Fatal(err)
	}
	conn.Frontend().Send(&pgproto3.Query{String: fmt.Sprintf(`START_REPLICATION SLOT %s PHYSICAL 0/1000000`, name)})
	feedback := []byte{'h'}
	feedback = binary.BigEndian.AppendUint64(feedback, 0)    // the standby's clock
	feedback = binary.BigEndian.AppendUint32(feedback, xmin) // then its epoch, and the same of the catalog
	feedback = append(feedback, make([]byte, 12)...)
	conn.Frontend().Send(&pgproto3.CopyData{Data: feedback})
	if err := conn.Frontend().Flush(); err != nil {
		t.Fatal(err)
	}
	for held := false; !held; {
		if err := watcher.QueryRow(t.Context(), `SELECT xmin IS NOT NULL FROM pg_replication_slots WHERE slot_name = $1`, name).Scan(&held); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	for active := true; active; {
		if err := watcher.QueryRow(t.Context(), `SELECT active FROM pg_replication_slots WHERE slot_name = $1`, name).Scan(&active); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCheckWarnsOfWhatItCannotSee has a user without the right to see others' sessions.
func TestCheckWarnsOfWhatItCannotSee(t *testing.T) {
	a := schema(t)
	if warnings, err := postgres.Check(t.Context(), a); err != nil || len(warnings) > 0 {
		t.Errorf("as a superuser: %q, %v", warnings, err)
	}
	execute(t, a, `DO $$ BEGIN CREATE ROLE plain LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
		DO $$ BEGIN EXECUTE format('GRANT ALL ON SCHEMA %I TO plain', current_schema()); END $$`)
	u, err := url.Parse(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User("plain")
	warnings, err := postgres.Check(t.Context(), postgres.Address{URL: u.String()})
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "GRANT pg_read_all_stats") {
		t.Errorf("as a plain user: %q, %v", warnings, err)
	}
}

// TestUsageOfADatabase grows with what is stored, and is of the store's schema alone.
func TestUsageOfADatabase(t *testing.T) {
	a := schema(t)
	s, other := open(t, a), open(t, schema(t))
	before, err := s.Usage(t.Context())
	if err != nil || before.Bytes <= 0 || before.File != nil {
		t.Fatalf("of an empty store: %+v, %v", before, err)
	}
	d := order("1", "api")
	d.Body = make([]byte, 1<<20)
	for i := range d.Body {
		d.Body[i] = byte(i*i>>3) ^ byte(i>>8) // which is not compressed away
	}
	accept(t, s, d)
	after, err := s.Usage(t.Context())
	if err != nil || after.Bytes < before.Bytes+100<<10 {
		t.Errorf("of a store with a megabyte: %d after %d bytes, %v", after.Bytes, before.Bytes, err)
	}
	if u, err := other.Usage(t.Context()); err != nil || u.Bytes > before.Bytes {
		t.Errorf("of another store: %d bytes, %v", u.Bytes, err)
	}
}

// answers is a recorder of whether the server answers.
type answers struct {
	mu   sync.Mutex
	told map[queue.CallKind][]bool
}

func (*answers) Committed(int, time.Duration) {}

func (r *answers) Answered(kind queue.CallKind, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told[kind] = append(r.told[kind], ok)
}

// last forgets all that was told of a kind, and returns what came last, if anything did.
func (r *answers) last(kind queue.CallKind) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	told := r.told[kind]
	delete(r.told, kind)
	if len(told) == 0 {
		return ""
	}
	return fmt.Sprint(told[len(told)-1])
}

// TestAnswersAreTold has calls answered, refused, given up and left without an answer.
func TestAnswersAreTold(t *testing.T) {
	a := schema(t)
	p := startProxy(t, &a)
	r := &answers{told: make(map[queue.CallKind][]bool)}
	s, err := postgres.Open(t.Context(), a, postgres.Options{Logger: testLogger(t), Recorder: r})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	expect := func(what string, kind queue.CallKind, want string, call func()) {
		t.Helper()
		r.last(kind)
		call()
		if got := r.last(kind); got != want {
			t.Errorf("%s: told %q, want %q", what, got, want)
		}
	}
	expect("a delivery", queue.Writing, "true", func() { accept(t, s, order("1", "api")) })
	expect("a question", queue.Reading, "true", func() { _, _ = s.Latest(t.Context()) })
	expect("what is not there", queue.Reading, "true", func() { _, _ = s.Update(t.Context(), idOf("9", "api")) })
	expect("a lost lease", queue.Writing, "true", func() { _, _ = s.Report(t.Context(), queue.Lease{Name: "dev", Token: 7}, committed(idOf("1", "api"))) })
	expect("a question that was given up", queue.Reading, "", func() { _, _ = s.Latest(ended) })
	p.kill()
	expect("a delivery to a server that is gone", queue.Writing, "false", func() { _, _, _ = s.Accept(t.Context(), order("2", "api")) })
	expect("a question to a server that is gone", queue.Reading, "false", func() { _, _ = s.Latest(t.Context()) })
}
