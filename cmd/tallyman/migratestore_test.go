package main

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
)

// A store of SQLite, some of whose updates are on the branch and some wait, is
// moved to PostgreSQL: what waited is written by replicas, and what was answered
// before is known to them. What held before holds there.
func TestMigrateStore(t *testing.T) {
	server := postgrestest.Start(t)
	url := server.Schema(t)
	f := newTraffic(t, 60)
	from := "sqlite://" + f.dir + "/tallyman.db"
	f.hold(from)
	held := f.holds(from)
	f.begin()
	migrate := []string{"migrate-store", "--from", from, "--to", url}
	send := func(deliveries []*delivery) {
		t.Helper()
		for _, d := range deliveries {
			f.must(f.send(http.DefaultClient, d))
		}
	}
	send(f.deliveries[:30])
	f.drained()
	f.git.Inject(gitserver.Fault{On: gitserver.Push, Times: -1, Status: http.StatusServiceUnavailable})
	send(f.deliveries[30:])
	_, errs, exit := run(t, migrate...)
	if exit != exitFailed {
		t.Errorf("from a store in use: exit %d", exit)
	}
	expect(t, "from a store in use", errs, "the store is in use by another process")
	f.must(f.down().stop())

	out, errs, exit := run(t, migrate...)
	if exit != 0 {
		t.Fatalf("exit %d: %s", exit, errs)
	}
	expect(t, "migrate-store", out, "deliveries: 60, updates: 60, ", " lanes: 3, ", " audit entries: ", " remembered deliveries: ", ", holds: 3, lifts: 1, seen images: 0: all counted in the database")
	_, errs, exit = run(t, migrate...)
	if exit != exitFailed {
		t.Errorf("into a database that holds something: exit %d", exit)
	}
	expect(t, "into a database that holds something", errs, "the store is not empty (deliveries: 60, ")

	f.git.Heal()
	text, err := os.ReadFile(f.config())
	f.must(err)
	f.must(os.WriteFile(f.config(), bytes.Replace(text, []byte("store: "+from), []byte("store: "+url), 1), 0o600))
	f.begin()
	for _, d := range f.deliveries {
		again := *d
		if f.must(f.send(http.DefaultClient, &again)); again.update != d.update {
			t.Errorf("%s is not known any more", d.id)
		}
	}
	f.drained()
	f.must(f.down().stop())
	f.check(nil)
	f.holdsKept(held, url)
}

func TestMigrateStoreRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"from: must be sqlite://":          {"--to", "postgres://tallyman@127.0.0.1/x"},
		"to: must not hold the password":   {"--from", "sqlite:///x", "--to", "postgres://tallyman:s3cret@127.0.0.1/x"},
		"toPasswordFile: /nowhere cannot ": {"--from", "sqlite:///x", "--to", "postgres://tallyman@127.0.0.1/x", "--to-password-file", "/nowhere"},
	} {
		_, errs, exit := run(t, append([]string{"migrate-store"}, args...)...)
		if exit != exitBadInput || strings.Contains(errs, "s3cret") {
			t.Errorf("%v: exit %d: %s", args, exit, errs)
		}
		expect(t, "migrate-store", errs, want)
	}
	_, errs, exit := run(t, "migrate-store", "--from", "sqlite:///nowhere/x.db", "--to", "postgres://tallyman@127.0.0.1/x")
	if exit != exitFailed {
		t.Errorf("exit %d", exit)
	}
	expect(t, "migrate-store", errs, "there is no store at /nowhere/x.db")
}
