package queuetest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Transfer plays random events on the first store, moves everything into the
// second, and goes on with the second as if nothing had been.
func Transfer(t *testing.T, from, to Instance) {
	s := begin(t, from)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := player{script: s, Rand: rand.New(rand.NewPCG(seed, 0))}
	s.variety()
	for range 60 {
		r.step()
	}
	ctx := t.Context()
	key := gitops.DeliveryKey{Source: "oidc", ID: "1"}
	s.spend("a", key)
	s.code("SetMark", s.q.SetMark(ctx, "github", "x'; --"), "")

	source := s.q
	target, err := to.Open(s.clock.now)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	exporter, importer := source.(queue.Exporter), target.(queue.Importer)
	held, err := importer.Import(ctx, exporter.Export(ctx))
	s.code("Import", err, "")
	want, got := s.entries(source), s.entries(target)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(gitops.Update{}, "Sequence")); diff != "" {
		t.Fatalf("the stores' contents differ: -first +second:\n%s", diff)
	}
	var counts queue.Counts
	for _, e := range want {
		counts.Add(e)
	}
	s.same("the counts", held, counts)
	_, err = importer.Import(ctx, exporter.Export(ctx))
	s.code("Import into a store that is not empty", err, gitops.Conflict)

	s.code("Close", source.Close(), "")
	s.instance, s.q, s.leases, s.followed, s.seen = to, target, nil, "", 0
	s.model.reopened()
	s.renumber()
	s.check()
	s.spend("a", gitops.DeliveryKey{Source: "oidc", ID: "2"})
	mark, err := s.q.Mark(ctx, "github")
	s.code("Mark", err, "")
	s.same("Mark", mark, "x'; --")
	for range 40 {
		r.step()
	}
	s.end()
}

func (s *script) entries(q queue.Queue) (all []queue.Entry) {
	s.t.Helper()
	for e, err := range q.(queue.Exporter).Export(s.t.Context()) {
		s.code("Export", err, "")
		all = append(all, e)
	}
	return all
}

// renumber takes the sequences that the store has given, which must have the
// order that the model's have.
func (s *script) renumber() {
	s.t.Helper()
	var all []*gitops.Update
	for _, u := range s.model.updates {
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b *gitops.Update) int { return int(a.Sequence - b.Sequence) })
	through, highest := make(map[string]int64), make(map[string]int64)
	for _, u := range all {
		got, err := s.q.Update(s.t.Context(), u.ID)
		s.code("Update", err, "")
		if got.Sequence <= highest[u.Environment] {
			s.t.Fatalf("update %s has sequence %d behind %d", u.ID, got.Sequence, highest[u.Environment])
		}
		highest[u.Environment] = got.Sequence
		if u.Sequence <= s.model.lane(u.Environment).through {
			through[u.Environment] = got.Sequence
		}
		u.Sequence = got.Sequence
	}
	for environment, l := range s.model.lanes {
		l.through, l.highest = through[environment], highest[environment]
	}
}
