package postgres_test

import (
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

func TestTransferFromPostgres(t *testing.T) {
	queuetest.Transfer(t, &instance{t, schema(t)}, &instance{t, schema(t)})
}

// TestImportIsAllOrNothing breaks an import off behind its last entry, and gives
// one a step that belongs to nothing: the store is as empty as before, and the
// next import has all.
func TestImportIsAllOrNothing(t *testing.T) {
	s := open(t, schema(t))
	d := order("1", "api")
	d.Updates[0].ID, d.Updates[0].State, d.Updates[0].AcceptedAt = "update-1", gitops.Pending, time.Now()
	entries := func(last queue.Entry, err error) iter.Seq2[queue.Entry, error] {
		return func(yield func(queue.Entry, error) bool) {
			_ = yield(queue.Entry{Delivery: &d}, nil) && yield(queue.Entry{Checkpoint: &queue.Checkpoint{Name: "a", Value: "b"}}, nil) && yield(last, err)
		}
	}
	gone := errors.New("the source is gone")
	if _, err := s.Import(t.Context(), entries(queue.Entry{}, gone)); !errors.Is(err, gone) {
		t.Errorf("an import whose source fails: %v", err)
	}
	stray := queue.Entry{Step: &queue.StepEntry{Update: "missing", Step: gitops.Step{At: time.Now()}}}
	if _, err := s.Import(t.Context(), entries(stray, nil)); err == nil {
		t.Error("a step of no update was taken")
	}
	held, err := s.Import(t.Context(), entries(queue.Entry{Checkpoint: &queue.Checkpoint{Name: "c"}}, nil))
	if want := (queue.Counts{Deliveries: 1, Updates: 1, Checkpoints: 2}); err != nil || held != want {
		t.Errorf("the next import: %+v, %v", held, err)
	}
	if d := accept(t, s, order("2", "api")); d.Updates[0].Sequence <= updateOf(t, s, "update-1").Sequence {
		t.Error("what is accepted after an import comes before it")
	}
}

func updateOf(t *testing.T, s queue.Reader, id string) gitops.Update {
	t.Helper()
	u, err := s.Update(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
