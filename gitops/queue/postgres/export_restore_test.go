package postgres_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
)

// TestABackupBesideARestore begins a backup while a restore has moved the tables and not
// yet committed: it has what was restored, and not nothing.
func TestABackupBesideARestore(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	accept(t, s, order("old", "api"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	d := gitops.Delivery{Source: "github", ID: "new", ReceivedAt: time.Now(), Outcome: gitops.OutcomeIgnored}
	moved, goOn, restored := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := postgres.Import(t.Context(), a, func(yield func(queue.Entry, error) bool) {
			close(moved)
			<-goOn
			yield(queue.Entry{Delivery: &d}, nil)
		}, queue.ImportOptions{Replace: true})
		restored <- err
	}()
	<-moved
	backup := make(chan []string, 1)
	go func() {
		var ids []string
		for e, err := range postgres.ExportLate(t.Context(), a) {
			if err != nil {
				t.Error(err)
			} else if e.Delivery != nil {
				ids = append(ids, e.Delivery.ID)
			}
		}
		backup <- ids
	}()
	watcher := connect(t, schema(t))
	for waiting := false; !waiting && len(backup) == 0; {
		const text = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND (query LIKE 'LOCK TABLE%' OR query LIKE 'SELECT max(number)%'))`
		if err := watcher.QueryRow(t.Context(), text).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	close(goOn)
	if err := <-restored; err != nil {
		t.Fatal(err)
	}
	if ids := <-backup; len(ids) != 1 || ids[0] != "new" {
		t.Errorf("the backup has %q", ids)
	}
}
