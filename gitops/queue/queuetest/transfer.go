package queuetest

import (
	"bytes"
	"context"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/archive"
)

// Target is a store that can be made of what another one held.
type Target interface {
	Instance
	Import(ctx context.Context, entries iter.Seq2[queue.Entry, error], o queue.ImportOptions) (queue.Imported, error)
}

// Transfer plays random events on the first store, moves everything into the
// second, by way of a backup, and goes on with the second as if nothing had been.
func Transfer(t *testing.T, from Instance, to Target) {
	s := begin(t, from)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := player{script: s, Rand: rand.New(rand.NewPCG(seed, 0))}
	s.variety()
	for range 20 {
		r.step()
	}
	ctx := t.Context()
	s.use("a", gitops.DeliveryKey{Source: "oidc", ID: "1"})
	s.code("SetCheckpoint", s.q.SetCheckpoint(ctx, "github", "x'; --"), "")

	keys, err := s.q.ProofKeys(ctx)
	s.code("ProofKeys", err, "")

	source := s.q
	backup := s.backup(source)
	imported, err := to.Import(ctx, s.restored(backup), queue.ImportOptions{})
	s.code("Import", err, "")
	_, err = to.Import(ctx, s.restored(backup), queue.ImportOptions{})
	s.code("Import into a store that is not empty", err, gitops.Conflict)
	target, err := to.Open(s.clock.Now)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	_, err = to.Import(ctx, s.restored(backup), queue.ImportOptions{Replace: true})
	s.code("Import into a store that is open", err, gitops.Conflict)
	want, got := s.entries(source), s.entries(target)
	numbers := cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreFields(gitops.Update{}, "Sequence"), cmpopts.IgnoreFields(gitops.Head{}, "Written", "Healthy"),
		cmpopts.IgnoreFields(gitops.AuditEntry{}, "Sequence")}
	if diff := cmp.Diff(want, got, numbers); diff != "" {
		t.Fatalf("the stores' contents differ: -first +second:\n%s", diff)
	}
	var counts queue.Counts
	for _, e := range want {
		counts.Add(e)
	}
	s.same("what was imported", imported, nil, queue.Imported{Counts: counts}, nil)

	s.code("Close", source.Close(), "")
	clear(s.model.parsing) // what a process parses is not carried
	for _, holder := range s.model.Holders() {
		s.model.KillHolder(holder)
	}
	s.instance, s.q, s.leases, s.followed = to, target, nil, followers{}
	s.renumber(want)
	s.audited = nil
	s.revision, err = target.HoldsRevision(ctx)
	s.code("HoldsRevision", err, "")
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

// backup is what the store holds, as a backup of it.
func (s *script) backup(q queue.Queue) []byte {
	s.t.Helper()
	var backup bytes.Buffer
	_, err := archive.Write(s.t.Context(), &backup, archive.Info{MadeAt: s.clock.Now()}, q.(queue.Exporter).Export(s.t.Context()))
	s.code("a backup", err, "")
	return backup.Bytes()
}

// restored are the entries of a backup.
func (s *script) restored(backup []byte) iter.Seq2[queue.Entry, error] {
	s.t.Helper()
	r, err := archive.NewReader(bytes.NewReader(backup))
	s.code("reading a backup", err, "")
	return r.Entries()
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
