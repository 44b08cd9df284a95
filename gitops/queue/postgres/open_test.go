package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
)

// open opens the store at the address, and closes it when the test ends.
func open(t *testing.T, a postgres.Address) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), a, postgres.Options{Logger: testLogger(t)})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// order is a delivery that asks for one update of app in dev.
func order(id, app string) gitops.Delivery {
	return gitops.Delivery{
		Source: "github", ID: id, ReceivedAt: time.Now(), Outcome: gitops.OutcomeAccepted, Body: []byte("{}"),
		Updates: []gitops.Update{{Environment: "dev", App: app, Tag: "main-1a2b3c4"}},
	}
}

// idOf is the id of the only update of order.
func idOf(id, app string) string {
	return gitops.UpdateID(gitops.DeliveryKey{Source: "github", ID: id}, "dev", app)
}

// claim claims one name, which must be free.
func claim(t *testing.T, s *postgres.Store, holder, name string, ttl time.Duration) queue.Lease {
	t.Helper()
	claimed, err := s.Claim(t.Context(), holder, []string{name}, ttl)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("%s claims %s: %+v, %v", holder, name, claimed, err)
	}
	return claimed[0]
}

func committed(id string) queue.Report {
	return queue.Report{Transitions: []gitops.Transition{{Update: id, Action: gitops.ActionCommit, Commit: "abc"}}}
}

func accept(t *testing.T, s *postgres.Store, d gitops.Delivery) gitops.Delivery {
	t.Helper()
	got, duplicate, err := s.Accept(t.Context(), d)
	if err != nil || duplicate {
		t.Fatalf("Accept(%s): duplicate %t, error %v", d.ID, duplicate, err)
	}
	return got
}

// connect is a connection that knows the store's tables.
func connect(t *testing.T, a postgres.Address) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), a.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execute(t *testing.T, a postgres.Address, text string) {
	t.Helper()
	if _, err := connect(t, a).Exec(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

func TestAddress(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ url, passwordFile, says string }{
		{"postgres://tallyman@127.0.0.1/x", "", ""},
		{"postgresql://tallyman@localhost:5433/x", file("secret\n"), ""},
		{"postgres:///x?host=/run/postgresql", "", ""},
		{"postgres://tallyman@db.example/x?sslmode=verify-full", "", ""},
		{"postgres://tallyman@db.example/x?sslmode=disable", "", ""},
		{"postgres://tallyman@db.example/x", "", "store: must say sslmode for a server on another machine"},
		{"postgres://tallyman@127.0.0.1,db.example/x", "", "store: must say sslmode for a server on another machine"},
		{"postgres://tallyman:s3cret@127.0.0.1/x", "", "store: must not hold the password"},
		{"postgres://tallyman@127.0.0.1/x?password=s3cret", "", "store: must not hold the password"},
		{"postgres://tallyman:s3c%ret@127.0.0.1/x", "", "store: must be an address such as"},
		{"mysql://tallyman@127.0.0.1/x", "", "store: must be an address such as"},
		{"postgres://tallyman@127.0.0.1/x?sslmode=sometimes", "", "store: is no address of a PostgreSQL database: "},
		{"postgres://tallyman@127.0.0.1/x?pool_max_conns=many", "", "store: is no address of a PostgreSQL database: "},
		{"postgres://tallyman@127.0.0.1/x", "/nowhere/password", "storePasswordFile: /nowhere/password cannot be read, or is empty"},
		{"postgres://tallyman@127.0.0.1/x", file("\n"), "storePasswordFile: "},
	} {
		err := postgres.Address{URL: c.url, PasswordFile: c.passwordFile}.Validate()
		if c.says == "" && err != nil || c.says != "" && (gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(gitops.PublicOf(err), c.says)) {
			t.Errorf("%s: %v; want %q", c.url, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "s3c") {
			t.Errorf("%s: the error gives the password away: %v", c.url, err)
		}
	}
}

// TestOpenRefuses holds Open and Check to saying what is wrong, and to leaving
// the database as it is.
func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(a *postgres.Address)
		says  string
	}{
		{"no server", func(a *postgres.Address) { a.URL = "postgres://tallyman@127.0.0.1:1/postgres" }, "the store's server cannot be reached"},
		{"no database", func(a *postgres.Address) { a.URL = strings.Replace(a.URL, "/postgres?", "/nowhere?", 1) }, "the store's database does not exist"},
		{"no user", func(a *postgres.Address) { a.URL = strings.Replace(a.URL, "tallyman@", "nobody@", 1) }, "the store's server refuses the login"},
		{"no password", func(a *postgres.Address) { a.PasswordFile = "/nowhere/password" }, "storePasswordFile: /nowhere/password cannot be read"},
		{"another program's", func(a *postgres.Address) { execute(t, *a, `CREATE TABLE updates (note text)`) }, "has a table updates of another program"},
		{"newer", func(a *postgres.Address) {
			if err := open(t, *a).Close(); err != nil {
				t.Fatal(err)
			}
			execute(t, *a, `INSERT INTO tallyman_migrations (version, program) VALUES (1000, 'v9')`)
		}, "written by a newer tallyman (schema 1000; this one knows up to "},
		{"another transition table", func(a *postgres.Address) {
			if err := open(t, *a).Close(); err != nil {
				t.Fatal(err)
			}
			execute(t, *a, `UPDATE transitions SET to_state = 'failed' WHERE action = 'dismiss'`)
		}, "whose table of an update's states is not that of this one"},
		{"another state", func(a *postgres.Address) {
			if err := open(t, *a).Close(); err != nil {
				t.Fatal(err)
			}
			execute(t, *a, `INSERT INTO states VALUES ('melted', true, false)`)
		}, "start that version, or begin with an empty database or schema"},
		{"may not create", func(a *postgres.Address) {
			execute(t, *a, `DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN END $$`)
			a.URL = strings.Replace(a.URL, "tallyman@", "reader@", 1)
		}, "the store's user "},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := schema(t)
			c.spoil(&a)
			if _, err := postgres.Check(t.Context(), a); gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), c.says) {
				t.Errorf("Check: %v; want %q", err, c.says)
			}
			s, err := postgres.Open(t.Context(), a, postgres.Options{})
			if err == nil {
				s.Close()
			}
			if gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), c.says) {
				t.Errorf("Open: %v; want %q", err, c.says)
			}
		})
	}
}

func TestCheckChangesNothing(t *testing.T) {
	a := schema(t)
	for range 2 {
		if _, err := postgres.Check(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	var tables int
	count := func() int {
		if err := connect(t, a).QueryRow(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()`).Scan(&tables); err != nil {
			t.Fatal(err)
		}
		return tables
	}
	if n := count(); n != 0 {
		t.Errorf("Check made %d tables", n)
	}
	open(t, a)
	if _, err := postgres.Check(t.Context(), a); err != nil {
		t.Errorf("Check of a store in use: %v", err)
	}
}

// TestReplicasStartTogether has many replicas find an empty database at once.
func TestReplicasStartTogether(t *testing.T) {
	a := schema(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			s, err := postgres.Open(t.Context(), a, postgres.Options{Logger: testLogger(t)})
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}
			defer s.Close()
			if _, _, err := s.Accept(t.Context(), order(fmt.Sprint(i), "api")); err != nil {
				t.Errorf("Accept: %v", err)
			}
		})
	}
	all.Wait()
}

// TestPasswordIsReadForEachConnection changes the password of a running store:
// what it has open goes on, and what it opens later has the new one.
func TestPasswordIsReadForEachConnection(t *testing.T) {
	a := schema(t)
	u, _ := url.Parse(a.URL)
	name := u.Query().Get("search_path")
	execute(t, a, fmt.Sprintf(`CREATE ROLE %[1]s LOGIN PASSWORD 'first'; ALTER SCHEMA %[1]s OWNER TO %[1]s`, name))
	shared.RequirePassword(t, name)
	u.User = url.User(name)
	a.URL, a.PasswordFile = u.String(), filepath.Join(t.TempDir(), "password")
	write := func(password string) {
		if err := os.WriteFile(a.PasswordFile, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("wrong")
	_, err := postgres.Open(t.Context(), a, postgres.Options{})
	if gitops.PublicOf(err) != "the store's server refuses the login" || strings.Contains(err.Error(), "wrong") {
		t.Errorf("with a wrong password: %v", err)
	}
	write("first")
	s := open(t, a)
	accept(t, s, order("1", "api"))
	shared.Exec(t, fmt.Sprintf(`ALTER ROLE %s PASSWORD 'second'`, name))
	write("second")
	cutOff(t, name)
	again(t, func() error { _, _, err := s.Accept(t.Context(), order("2", "api")); return err })
}

// cutOff ends all sessions of the user.
func cutOff(t *testing.T, user string) {
	t.Helper()
	shared.Exec(t, fmt.Sprintf(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '%s' AND application_name = 'tallyman'`, user))
}

// again calls until it works: what fails before must be Unavailable.
func again(t *testing.T, call func() error) {
	t.Helper()
	for t.Context().Err() == nil {
		err := call()
		if err == nil {
			return
		}
		if gitops.CodeOf(err) != gitops.Unavailable {
			t.Fatal(err)
		}
	}
}
