package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
)

// A replica whose database goes away says so to senders, to the readiness probe and
// to check, and goes on by itself when the database is back.
func TestDatabaseThatIsAway(t *testing.T) {
	server := postgrestest.Start(t)
	f := newFleet(t, 3, 1, server.Schema(t))
	m := f.members[0]
	f.up(m)
	f.sendSome(0, 1)
	if out, errs, exit := run(t, "check", "--offline", "--config", f.config()); exit != 0 {
		t.Errorf("check: exit %d: %s%s", exit, out, errs)
	}
	f.must(server.Stop(postgrestest.Fast))

	req, err := f.deliveries[1].request(m.base, f.secret, f.deliveries[1].id)
	f.must(err)
	resp, err := http.DefaultClient.Do(req.WithContext(f.ctx))
	f.must(err)
	body, err := io.ReadAll(resp.Body)
	f.must(err)
	f.must(resp.Body.Close())
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || bytes.Contains(body, []byte("postgres://")) {
		t.Errorf("a delivery is answered %s, Retry-After %q: %s", resp.Status, resp.Header.Get("Retry-After"), body)
	}
	if status := get(t, m.child.probes(t)+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz: %d", status)
	}
	if status := get(t, m.child.probes(t)+"/livez"); status != http.StatusOK {
		t.Errorf("/livez: %d", status)
	}
	_, errs, exit := run(t, "check", "--offline", "--config", f.config())
	if exit != exitFailed {
		t.Errorf("check: exit %d", exit)
	}
	expect(t, "check", errs, "the store's server cannot be reached")

	f.must(server.Start())
	f.sendSome(1, 3)
	if status := get(t, m.child.probes(t)+"/readyz"); status != http.StatusOK {
		t.Errorf("/readyz afterwards: %d", status)
	}
	f.awaitDrained(m)
	f.must(f.away(m).stop())
	f.check(nil)
}

// The password of a database is in a file alone: neither the configuration nor
// the log has it.
func TestDatabasePasswordInTheConfiguration(t *testing.T) {
	s := newSite(t, 1)
	text, err := os.ReadFile(s.config())
	s.must(err)
	s.must(os.WriteFile(s.config(), bytes.Replace(text, []byte("sqlite://"+s.dir+"/tallyman.db"), []byte("postgres://tallyman:s3cret-of-the-store@127.0.0.1/x"), 1), 0o600))
	for _, command := range []string{"serve", "check"} {
		out, errs, exit := run(t, command, "--config", s.config())
		if exit != exitBadInput || bytes.Contains([]byte(out+errs), []byte("s3cret")) {
			t.Errorf("%s: exit %d: %s%s", command, exit, out, errs)
		}
		expect(t, command, errs, "store: must not hold the password: use storePasswordFile")
	}
}
