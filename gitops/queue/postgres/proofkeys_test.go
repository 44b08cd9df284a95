package postgres_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// TestADamagedProofKeyIsRefused has a secret in the database that somebody put there.
// One that is cut short the database does not take.
func TestADamagedProofKeyIsRefused(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	if _, err := s.ProofKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, a)
	if _, err := conn.Exec(t.Context(), `UPDATE proof_keys SET secret = substr(secret, 1, 8)`); err == nil || !strings.Contains(err.Error(), "check constraint") {
		t.Errorf("a short secret is taken: %v", err)
	}
	if _, err := conn.Exec(t.Context(), `UPDATE proof_keys SET secret = decode(repeat('00', 32), 'hex')`); err != nil {
		t.Fatal(err)
	}
	if keys, err := s.ProofKeys(t.Context()); gitops.CodeOf(err) != gitops.Internal || keys != nil {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}
