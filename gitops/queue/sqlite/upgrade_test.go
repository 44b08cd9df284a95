package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// firstVersion is what a store of the schema's first version has: one update that
// failed at its third attempt, and one that waits.
const firstVersion = `
INSERT INTO deliveries VALUES
	(7, 'github', 'old-1', 1000000, NULL, 'ann', 'accepted', '', ''),
	(8, 'github', 'old-2', 2000000, NULL, 'ann', 'accepted', '', '');
INSERT INTO bodies VALUES (7, x'7b7d'), (8, x'7b7d');
INSERT INTO lanes (environment, used, token, holder, lease) VALUES ('dev', 1, 3, 'gone', 'free');
INSERT INTO updates (sequence, id, environment, app, repository, tag, digest, state, code, reason, attempts, accepted_at, settled_at) VALUES
	(7 * 65536, 'failed', 'dev', 'api', '', 'v1', '', 'failed', 'not_found', 'no such file', 3, 1000000, 1500000),
	(8 * 65536, 'waits', 'dev', 'web', '', 'v1', '', 'pending', '', 'the server does not answer', 2, 2000000, NULL);
INSERT INTO releases VALUES ('dev', 'api', 1000000), ('dev', 'web', 2000000)`

// TestUpgrade opens a store that an older version wrote: what is in it is told,
// listed and worked on as if it had come since.
func TestUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	if _, err := createFile(path); err != nil {
		t.Fatal(err)
	}
	c, err := connect(path, writerSetup...)
	if err != nil {
		t.Fatal(err)
	}
	err = migrate(c, 1, "migrations/0001_queue.sql", time.Now())
	if err == nil {
		err = c.exec(firstVersion)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}

	ctx := t.Context()
	s := openFile(t, path, nil)
	defer s.Close()
	if found, _, err := s.Updates(ctx, queue.UpdateFilter{App: "api", State: gitops.Failed}, queue.Page{Limit: 10}); err != nil || len(found) != 1 || found[0].Attempts != 3 {
		t.Errorf("what had failed is listed as %+v, %v", found, err)
	}
	if found, _, err := s.Deliveries(ctx, queue.DeliveryFilter{Source: "github"}, queue.Page{Limit: 10}); err != nil || len(found) != 2 || found[0].ID != "old-2" {
		t.Errorf("the deliveries are listed as %+v, %v", found, err)
	}
	if waits, err := s.Backlogs(ctx); err != nil || len(waits) != 1 || waits[0].Pending != 1 {
		t.Errorf("what waits: %+v, %v", waits, err)
	}
	d, _, err := s.Accept(ctx, numbered(1))
	if err != nil || d.Updates[0].Sequence <= 8*updatesEach {
		t.Errorf("a new delivery: %+v, %v", d, err)
	}
	if _, err := s.Retry(ctx, "failed", "ann"); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("Retry behind the new delivery: %v", err)
	}
	changes, err := s.Changes(ctx, "", 10)
	if err != nil || len(changes) != 3 {
		t.Errorf("the changes: %+v, %v", changes, err)
	}
	l, err := s.Claim(ctx, "dev", "one", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(ctx, l, []gitops.Settlement{{Update: "waits", State: gitops.Committed, Commit: "c0ffee"}}); err != nil {
		t.Fatal(err)
	}
	changes, err = s.Changes(ctx, changes[2].Cursor, 10)
	if err != nil || len(changes) != 1 || changes[0].Update == nil || changes[0].Update.Attempts != 3 {
		t.Errorf("the change since: %+v, %v", changes, err)
	}
}
