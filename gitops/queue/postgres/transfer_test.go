package postgres_test

import (
	"errors"
	"iter"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

func TestTransferFromPostgres(t *testing.T) {
	queuetest.Transfer(t, &instance{t, schema(t)}, &instance{t, schema(t)})
}

// TestImportIsAllOrNothing breaks an import off behind its last entry, and gives
// one a step that belongs to nothing: the store is as empty as before, and the
// next import has all.
func TestImportIsAllOrNothing(t *testing.T) {
	a := schema(t)
	d := order("1", "api")
	d.Updates[0].ID, d.Updates[0].State, d.Updates[0].AcceptedAt = "update-1", gitops.Pending, time.Now()
	entries := func(last queue.Entry, err error) iter.Seq2[queue.Entry, error] {
		return func(yield func(queue.Entry, error) bool) {
			_ = yield(queue.Entry{Delivery: &d}, nil) && yield(queue.Entry{Checkpoint: &queue.Checkpoint{Name: "a", Value: "b"}}, nil) && yield(last, err)
		}
	}
	gone := errors.New("the source is gone")
	if _, err := postgres.Import(t.Context(), a, entries(queue.Entry{}, gone), queue.ImportOptions{}); !errors.Is(err, gone) {
		t.Errorf("an import whose source fails: %v", err)
	}
	stray := queue.Entry{Step: &queue.StepEntry{Update: "missing", Step: gitops.Step{At: time.Now()}}}
	if _, err := postgres.Import(t.Context(), a, entries(stray, nil), queue.ImportOptions{}); err == nil {
		t.Error("a step of no update was taken")
	}
	done, err := postgres.Import(t.Context(), a, entries(queue.Entry{Checkpoint: &queue.Checkpoint{Name: "c"}}, nil), queue.ImportOptions{})
	if want := (queue.Imported{Counts: queue.Counts{Deliveries: 1, Updates: 1, Checkpoints: 2}}); err != nil || done != want {
		t.Errorf("the next import: %+v, %v", done, err)
	}
	s := open(t, a)
	if d := accept(t, s, order("2", "api")); d.Updates[0].Sequence <= updateOf(t, s, "update-1").Sequence {
		t.Error("what is accepted after an import comes before it")
	}
}

// TestAReplacedStoreIsKept has a store make room for an empty one: what it held is in
// another schema, where it opens and goes on. An import that fails leaves it where it is.
func TestAReplacedStoreIsKept(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	accept(t, s, order("1", "api"))
	keys, err := s.ProofKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Import(t.Context(), a, queuetest.Each(nil), queue.ImportOptions{Replace: true}); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("while it is open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	gone := errors.New("the source is gone")
	broken := func(yield func(queue.Entry, error) bool) { yield(queue.Entry{}, gone) }
	if _, err := postgres.Import(t.Context(), a, broken, queue.ImportOptions{Replace: true}); !errors.Is(err, gone) {
		t.Errorf("an import whose source fails: %v", err)
	}
	updateOf(t, open(t, a), idOf("1", "api"))

	b := schema(t)
	if err := open(t, b).Close(); err != nil { // tables that hold nothing are in nobody's way
		t.Fatal(err)
	}
	if done, err := postgres.Import(t.Context(), b, queuetest.Each(nil), queue.ImportOptions{}); err != nil || done.Aside != "" {
		t.Errorf("into empty tables: %+v, %v", done, err)
	}
	accept(t, open(t, b), order("2", "api"))
	_, err = postgres.Import(t.Context(), b, queuetest.Each(nil), queue.ImportOptions{})
	if gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("over a store: %v", err)
	}

	c := schema(t)
	s = open(t, c)
	accept(t, s, order("3", "api"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	done, err := postgres.Import(t.Context(), c, queuetest.Each(nil), queue.ImportOptions{Replace: true})
	if err != nil || !strings.HasPrefix(done.Aside, "tallyman_replaced_") {
		t.Fatalf("in the place of a store: %+v, %v", done, err)
	}
	now := open(t, c)
	if _, err := now.Update(t.Context(), idOf("3", "api")); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("the new store has the old one's update: %v", err)
	}
	accept(t, now, order("3", "api"))
	old := open(t, postgres.Address{URL: shared.URL(done.Aside)})
	if moved, made := objectsOf(t, postgres.Address{URL: shared.URL(done.Aside)}), objectsOf(t, c); !slices.Equal(moved, made) {
		t.Errorf("moved were %q, and made %q", moved, made)
	}
	updateOf(t, old, idOf("3", "api"))
	accept(t, old, order("4", "api"))
	if kept, err := old.ProofKeys(t.Context()); err != nil || len(kept) != 1 || len(keys) != 1 {
		t.Errorf("its keys are %v, %v", kept, err)
	}
}

func TestImportOfContradictions(t *testing.T) {
	queuetest.Contradictions(t, &instance{t, schema(t)})
}

// TestAStoreBehindAnotherSchema has a schema made that comes first in the search path of a
// store, as one with the user's name does by default. The store is found, and its tables
// are not made a second time in front of it.
func TestAStoreBehindAnotherSchema(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	accept(t, s, order("1", "api"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	first, err := url.Parse(schema(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	was := u.Query().Get("search_path")
	u.RawQuery = url.Values{"search_path": {first.Query().Get("search_path") + "," + was}}.Encode()
	_, err = postgres.Import(t.Context(), postgres.Address{URL: u.String()}, queuetest.Each(nil), queue.ImportOptions{Replace: true})
	if gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "search_path="+was) {
		t.Errorf("%v", err)
	}
	updateOf(t, open(t, a), idOf("1", "api"))
}

// objectsOf are the names of all that is in the address's schema.
func objectsOf(t *testing.T, a postgres.Address) []string {
	t.Helper()
	const objects = `SELECT relname || relkind::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace
		UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace ORDER BY 1`
	found, err := connect(t, a).Query(t.Context(), objects)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil || len(names) < 50 {
		t.Fatalf("%d objects, %v", len(names), err)
	}
	return names
}

func updateOf(t *testing.T, s queue.Reader, id string) gitops.Update {
	t.Helper()
	u, err := s.Update(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
