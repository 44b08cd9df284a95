package queuetest

import (
	"math/rand/v2"
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
	s.use("a", gitops.DeliveryKey{Source: "oidc", ID: "1"})
	s.code("SetCheckpoint", s.q.SetCheckpoint(ctx, "github", "x'; --"), "")

	keys, err := s.q.ProofKeys(ctx)
	s.code("ProofKeys", err, "")

	source := s.q
	target, err := to.Open(s.clock.now)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	exporter, importer := source.(queue.Exporter), target.(queue.Importer)
	held, err := importer.Import(ctx, exporter.Export(ctx))
	s.code("Import", err, "")
	want, got := s.entries(source), s.entries(target)
	numbers := cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreFields(gitops.Update{}, "Sequence"), cmpopts.IgnoreFields(gitops.Head{}, "Written"),
		cmpopts.IgnoreFields(gitops.AuditEntry{}, "Sequence")}
	if diff := cmp.Diff(want, got, numbers); diff != "" {
		t.Fatalf("the stores' contents differ: -first +second:\n%s", diff)
	}
	var counts queue.Counts
	for _, e := range want {
		counts.Add(e)
	}
	s.same("the counts", held, nil, counts, nil)
	_, err = importer.Import(ctx, exporter.Export(ctx))
	s.code("Import into a store that is not empty", err, gitops.Conflict)

	s.code("Close", source.Close(), "")
	for _, holder := range s.model.Holders() {
		s.model.KillHolder(holder)
	}
	s.instance, s.q, s.leases, s.followed = to, target, nil, followers{}
	s.renumber(want)
	s.audited = nil
	s.check()
	s.use("a", gitops.DeliveryKey{Source: "oidc", ID: "2"})
	checkpoint, err := s.q.Checkpoint(ctx, "github")
	s.same("Checkpoint", checkpoint, err, "x'; --", nil)
	moved, err := s.q.ProofKeys(ctx)
	s.same("ProofKeys", moved, err, keys, nil)
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

// renumber takes the sequences that the second store has given, which must have the
// order of the first one's.
func (s *script) renumber(entries []queue.Entry) {
	s.t.Helper()
	clear(s.sequences)
	highest := make(map[string]int64)
	for _, e := range entries {
		if e.Delivery == nil {
			continue
		}
		for _, u := range e.Delivery.Updates {
			got, err := s.q.Update(s.t.Context(), u.ID)
			s.code("Update", err, "")
			if got.Sequence <= highest[u.Environment] {
				s.t.Fatalf("update %s has sequence %d after %d", u.ID, got.Sequence, highest[u.Environment])
			}
			highest[u.Environment] = got.Sequence
			s.numbered(got)
		}
	}
}
