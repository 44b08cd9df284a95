package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// storeOfFailures has 100,000 failed updates: 1,000 each of 100 apps. All are overtaken
// but those of the last app.
func storeOfFailures(tb testing.TB) *Store {
	tb.Helper()
	const failed = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
		INSERT INTO updates (sequence, id, sender, environment, app, repository, tag, version, only_up, digest, rule, state, reason, accepted_at, finished_at)
		SELECT ?1 + i, randomblob(16), sender, environment, printf('app-%02d', i % 100), '', 'v1', '', 0, '', '', 'failed', 'no such file', accepted_at, accepted_at + i
		FROM n, updates WHERE sequence = ?1`
	const overtaken = `INSERT INTO heads (environment, app, pushed_version, written, written_id, written_tag, accepted_version)
		SELECT DISTINCT environment, app, '', 9223372036854775807, 'later', 'v2', '' FROM updates WHERE app LIKE 'app-%' AND app <> 'app-99'`
	s := openFile(tb, filepath.Join(tb.TempDir(), "queue.db"), nil)
	for n := range 2 {
		d, _, err := s.Accept(tb.Context(), numbered(n))
		if err == nil {
			err = s.writer.do(tb.Context(), func(tx *tx) error { return tx.exec(failed, d.Updates[0].Sequence) })
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	err := s.writer.do(tb.Context(), func(tx *tx) error { return tx.exec(overtaken) })
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// 100,000 failed updates are asked for within what a scrape waits, which looks for each
// of the apps in all that failed would exceed.
func TestManyFailures(t *testing.T) {
	s := storeOfFailures(t)
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	got, err := s.Failures(ctx)
	if err != nil || len(got) != 1 || got[0].Newest == "" || got[0].Oldest.IsZero() {
		t.Fatalf("the failures are %+v, %v", got, err)
	}
	got[0].Newest, got[0].Oldest = "", time.Time{}
	want := queue.Failure{Environment: "dev", App: "app-99", Count: 1000}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// BenchmarkFailures is what a scrape and a status ask.
func BenchmarkFailures(b *testing.B) {
	s := storeOfFailures(b)
	defer s.Close()
	for b.Loop() {
		if _, err := s.Failures(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// What is open between two failed updates overtakes the older one alone.
func TestFailuresAroundWhatIsOpen(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), nil)
	defer s.Close()
	var ids []string
	for n := range 3 {
		d, _, err := s.Accept(t.Context(), numbered(n))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.Updates[0].ID)
	}
	var r queue.Report
	for _, i := range []int{0, 2} {
		r.Transitions = append(r.Transitions, gitops.Transition{Update: ids[i], Action: gitops.ActionFail, Code: gitops.NotFound, Reason: "no such file"})
	}
	if _, err := s.Report(t.Context(), s.claim(t, "one"), r); err != nil {
		t.Fatal(err)
	}
	found, err := s.Failures(t.Context())
	if err != nil || len(found) != 1 || found[0].Count != 1 || found[0].Newest != ids[2] {
		t.Errorf("the failures are %+v, %v", found, err)
	}
	by, err := s.Overtaken(t.Context(), ids)
	if diff := cmp.Diff(map[string]string{ids[0]: ids[1]}, by); err != nil || diff != "" {
		t.Errorf("overtaken, %v: -want +got:\n%s", err, diff)
	}
	if _, err := s.Decide(t.Context(), queue.Decision{Update: ids[0], Action: gitops.ActionRetry, Actor: "ann"}); gitops.PublicOf(err) != fmt.Sprintf(
		"update %s of api in dev was accepted after this one: an old release does not overwrite a newer one", ids[1]) {
		t.Errorf("a retry of what is overtaken: %v", err)
	}
}
