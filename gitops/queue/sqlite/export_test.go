package sqlite

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// TestExport has something of every kind in the store, and expects all of it in
// the order in which it happened, also what is not told at other times: blocks
// that have lifted, and leases of jobs.
func TestExport(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "queue.db"), Options{Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var errs []error
	accept := func(i int, app string) gitops.Update {
		d := numbered(i)
		d.ReceivedAt, d.Updates[0].App, d.Body = at, app, []byte("{}")
		d, _, err := s.Accept(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		return d.Updates[0]
	}
	written, blocked := accept(1, "api"), accept(2, "web")
	l := s.claim(t, "one")
	_, err = s.Claim(t.Context(), "one", []string{"job/missed"}, time.Hour)
	refused := []gitops.Block{{Kind: gitops.BlockRefused, Reason: "protected", Until: at.Add(time.Second)}}
	away := &queue.Outage{Code: gitops.Unavailable, Reason: "the git server is away"}
	_, reportErr := s.Report(t.Context(), l, queue.Report{
		Transitions: []gitops.Transition{{Update: written.ID, Action: gitops.ActionCommit, Commit: "c0ffee"}},
		Blocks:      []queue.Blocked{{Update: blocked.ID, BlockedBy: refused}}, Outage: away,
	})
	errs = append(errs, err, reportErr,
		s.SetCheckpoint(t.Context(), "sweep", "7"), s.UseOnce(t.Context(), "token", written.Delivery, at))
	_, err = s.Decide(t.Context(), queue.Decision{Update: blocked.ID, Action: gitops.ActionCancel, Actor: "ann", Reason: "wrong"})
	errs = append(errs, err)
	later := accept(3, "api")
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}

	accepted := at
	at = at.Add(time.Minute) // the block has lifted
	written.State, written.Commit, written.Attempts, written.FinishedAt = gitops.Committed, "c0ffee", 1, accepted
	blocked.Attempts, blocked.BlockedBy, blocked.CancelRequest = 1, refused, &gitops.CancelRequest{Actor: "ann", Reason: "wrong"}
	blocked.BlockedBy[0].Since = accepted
	keys, err := s.ProofKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	delivery := func(i int, u gitops.Update) queue.Entry {
		d := numbered(i)
		d.ReceivedAt, d.Body, d.Updates = accepted, []byte("{}"), []gitops.Update{u}
		return queue.Entry{Delivery: &d}
	}
	step := func(id string, step gitops.Step) queue.Entry {
		step.At = accepted
		return queue.Entry{Step: &queue.StepEntry{Update: id, Step: step}}
	}
	head := func(app string, u gitops.Update) queue.Entry {
		return queue.Entry{Head: &queue.HeadEntry{After: u.ID, Head: gitops.Head{
			Environment: "dev", App: app, NewestReceipt: accepted, OrderReceipt: accepted, Written: u.Sequence, WrittenID: u.ID, WrittenTag: u.Tag,
		}}}
	}
	want := []queue.Entry{
		delivery(1, written), delivery(2, blocked),
		step(written.ID, gitops.Step{Attempts: 1, State: gitops.Committed, Commit: "c0ffee"}),
		step(blocked.ID, gitops.Step{Attempts: 1, State: gitops.Pending, Reason: "protected", RetryAt: refused[0].Until}),
		step(blocked.ID, gitops.Step{State: gitops.Pending, Reason: "wrong", Actor: "ann"}),
		{Audit: &gitops.AuditEntry{
			Sequence: 3 * sequencesEach, At: accepted, Act: gitops.ActCancel, Actor: "ann", Right: gitops.RightCancel, Environment: "dev", App: "web",
			Update: blocked.ID, Delivery: blocked.Delivery.String(), Reason: "wrong", Before: "pending", After: "cancellation requested",
		}},
		delivery(3, later),
		head("api", written), head("web", gitops.Update{}),
		{Lane: &queue.LaneState{Environment: "dev", Token: 1, Holder: "one", Backlog: queue.Backlog{LastProgress: accepted, LastSuccess: accepted, Outage: away, OutageSince: accepted}}},
		{Lane: &queue.LaneState{Environment: "job/missed", Token: 1, Holder: "one"}},
		{Checkpoint: &queue.Checkpoint{Name: "sweep", Value: "7"}},
		{UsedToken: &queue.UsedToken{Credential: "token", By: written.Delivery, Until: accepted}},
		{ProofKey: &keys[0]},
		{Holds: &queue.HoldsState{}},
	}
	var got []queue.Entry
	for e, err := range s.Export(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for range s.Export(t.Context()) {
		break // whoever reads may stop
	}
}

// TestAFileThatIsReplacedWhileItIsOpened is a backup that opens the file which a restore
// moves away at that moment: what it reads may lack the WAL.
func TestAFileThatIsReplacedWhileItIsOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	replaced := func() os.FileInfo {
		t.Helper()
		if err := os.WriteFile(path+".new", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	old := replaced()
	if err := checkSame(path, old); err != nil {
		t.Errorf("of the same file: %v", err)
	}
	replaced()
	if err := checkSame(path, old); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("of another file: %v", err)
	}
}
