package sqlite

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// TestAuditIsAppendOnly tries to change and to delete what the audit is made of. Only
// Prune may take an entry, and none that is younger than 400 days.
func TestAuditIsAppendOnly(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), nil)
	defer s.Close()
	for n := range 2 {
		if _, _, err := s.Accept(t.Context(), numbered(n)); err != nil {
			t.Fatal(err)
		}
	}
	r := queue.Report{Transitions: []gitops.Transition{{Update: updateOf(0), Action: gitops.ActionCommit}}}
	if _, err := s.Report(t.Context(), s.claim(t, "one"), r); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Prune(t.Context(), time.Now().Add(time.Hour), 10); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	for _, text := range []string{
		`UPDATE audit SET actor = 'eve'`, `DELETE FROM audit`, `UPDATE deliveries SET remote = ''`, `UPDATE updates SET tag = 'v2'`,
		`UPDATE updates SET rule = ''`, `UPDATE updates SET terms = '{}'`, `DELETE FROM updates`, `DELETE FROM deliveries`, `UPDATE senders SET actor = 'eve'`, `DELETE FROM senders`,
		`INSERT OR REPLACE INTO audit SELECT sequence, 0, act, principal, 'eve', credential, remote, asked, rule, environment, app, update_id, delivery, reason, was, became, config FROM audit`,
	} {
		err := s.writer.do(t.Context(), func(tx *tx) error { return tx.exec(text) })
		if err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", text, err)
		}
	}
	found, _, err := s.AuditEntries(t.Context(), queue.AuditFilter{}, queue.Page{Limit: 10})
	if err != nil || len(found) != 2 {
		t.Errorf("%d entries, %v", len(found), err)
	}
}
