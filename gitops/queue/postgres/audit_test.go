package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// TestAuditIsAppendOnly tries to change and to delete what the audit is made of. Only
// Prune may take an entry, and none that is younger than 400 days.
func TestAuditIsAppendOnly(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	first := accept(t, s, order("1", "api")).Updates[0].ID
	accept(t, s, order("2", "web"))
	if _, err := s.Report(t.Context(), claim(t, s, "one", "dev", time.Hour), committed(first)); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Prune(t.Context(), time.Now().Add(time.Hour), 10); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	conn := connect(t, a)
	for _, text := range []string{
		`UPDATE audit SET actor = 'eve'`, `DELETE FROM audit`, `TRUNCATE audit`, `UPDATE deliveries SET actor = 'eve'`, `UPDATE updates SET tag = 'v2'`,
		`UPDATE updates SET rule = ''`, `DELETE FROM updates`, `TRUNCATE updates`, `DELETE FROM deliveries`, `TRUNCATE deliveries`,
	} {
		if _, err := conn.Exec(t.Context(), text); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", text, err)
		}
	}
	found, _, err := s.AuditEntries(t.Context(), queue.AuditFilter{}, queue.Page{Limit: 10})
	if err != nil || len(found) != 2 {
		t.Errorf("%d entries, %v", len(found), err)
	}
}
