package queuetest

import (
	"slices"
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
)

// proofKeys asks for the keys many times at once, and again after a crash: it is one
// key, and always the same.
func proofKeys(s *script) {
	const callers = 16
	began := s.clock.Now()
	answers, errs := make([][]gitops.ProofKey, callers), make([]error, callers)
	var done sync.WaitGroup
	for i := range callers {
		done.Go(func() { answers[i], errs[i] = s.q.ProofKeys(s.t.Context()) })
	}
	done.Wait()
	first := answers[0]
	for i, keys := range answers {
		s.code("ProofKeys", errs[i], "")
		if len(keys) != 1 || !slices.Equal(keys, first) {
			s.t.Fatalf("one caller has the keys %v, another %v", first, keys)
		}
	}
	if k := first[0]; k != gitops.ProofKeyOf(k.Secret, k.MadeAt) || k.Secret == (gitops.ProofSecret{}) || !k.MadeAt.Equal(began) {
		s.t.Fatalf("the key %s was made at %s, not %s, or is not of its secret", k.ID, k.MadeAt, began)
	}
	s.advance(1)
	s.crash()
	again, err := s.q.ProofKeys(s.t.Context())
	s.same("ProofKeys", again, err, first, nil)
}
