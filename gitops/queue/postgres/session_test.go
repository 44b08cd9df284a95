package postgres_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
)

// TestCommitsWaitForTheDisk is a database whose default is not to: it would lose
// what was answered. A default that waits for more than the disk is kept.
func TestCommitsWaitForTheDisk(t *testing.T) {
	for configured, want := range map[string]string{"off": "on", "on": "on", "remote_apply": "remote_apply"} {
		a := schema(t)
		a.URL += "&synchronous_commit=" + configured
		got, err := open(t, a).Setting(t.Context(), "synchronous_commit")
		if err != nil || got != want {
			t.Errorf("%s became %q, want %s: %v", configured, got, want, err)
		}
	}
}

// TestAServerThatTakesNoChangesIsRefused is a standby, as far as a client can tell:
// what only reads would work there.
func TestAServerThatTakesNoChangesIsRefused(t *testing.T) {
	a := schema(t)
	open(t, a)
	a.URL += "&default_transaction_read_only=on"
	s, err := postgres.Open(t.Context(), a, postgres.Options{})
	if gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("Open: %v", err)
	}
	if err == nil {
		t.Error(s.Close())
	}
}

// TestHintAfterReconnecting cuts the session. What was told meanwhile was not heard, so
// everybody looks when it is there again.
func TestHintAfterReconnecting(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	wake := s.Wake("dev")
	execute(t, a, `SELECT pg_terminate_backend(`+sessionOf(t, a, s)+`)`)
	select {
	case <-wake:
	case <-time.After(20 * time.Second):
		t.Error("no hint")
	}
}

// sessionOf is the process id of the server's side of the store's session, as text.
func sessionOf(t *testing.T, a postgres.Address, s *postgres.Store) string {
	t.Helper()
	const text = `SELECT pid::text FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND (classid::bigint << 32) | objid::bigint = $1`
	var pid string
	if err := connect(t, a).QueryRow(t.Context(), text, s.SessionKey()).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	return pid
}
