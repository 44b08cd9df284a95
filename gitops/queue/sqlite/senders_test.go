package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// TestRunsOfAJobAreOneSender has a job order in one run after another: what is kept for
// ever, and what a list of the job's own goes through, does not grow with its runs.
func TestRunsOfAJobAreOneSender(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), nil)
	defer s.Close()
	const runs = 20
	for run := range runs {
		d := numbered(run)
		d.Principal, d.Actor, d.Config = "job:17@https://issuer", "github:ann@o/r", "c0ffee"
		d.Credential = fmt.Sprintf("OIDC token of o/r, run %d, attempt 1", run)
		if _, _, err := s.Accept(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	senders := int64(0)
	err := s.read(t.Context(), func(ctx context.Context, c *connection) error {
		_, err := c.one(ctx, `SELECT count(*) FROM senders`, nil, func(r row) { senders = r.number(0) })
		return err
	})
	if err != nil || senders != 1 {
		t.Errorf("%d senders, %v", senders, err)
	}
	found, _, err := s.AuditEntries(t.Context(), queue.AuditFilter{Principal: "job:17@https://issuer"}, queue.Page{Limit: 100})
	if err != nil || len(found) != runs || found[0].Credential != fmt.Sprintf("OIDC token of o/r, run %d, attempt 1", runs-1) {
		t.Errorf("the audit has %d entries, %v", len(found), err)
	}
}
