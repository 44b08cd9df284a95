package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// TestADamagedProofKeyIsRefused has secrets in the file that others could know: one that
// was cut short counts as one with zeros, and one that was put there is somebody's.
func TestADamagedProofKeyIsRefused(t *testing.T) {
	for _, text := range []string{
		`UPDATE proof_keys SET secret = x''`, `UPDATE proof_keys SET secret = substr(secret, 1, 8)`, `UPDATE proof_keys SET secret = zeroblob(32)`,
		`UPDATE proof_keys SET secret = randomblob(32)`, `UPDATE proof_keys SET id = '00000000'`,
	} {
		s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), nil)
		if _, err := s.ProofKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, damage := range []string{`PRAGMA ignore_check_constraints = on`, text} {
			if err := s.writer.conn.exec(damage); err != nil {
				t.Fatal(err)
			}
		}
		if keys, err := s.ProofKeys(t.Context()); gitops.CodeOf(err) != gitops.Internal || keys != nil {
			t.Errorf("%s: %d keys, %v", text, len(keys), err)
		}
		exported := error(nil)
		for _, err := range s.Export(t.Context()) {
			exported = err
		}
		if gitops.CodeOf(exported) != gitops.Internal {
			t.Errorf("%s: it is exported, %v", text, exported)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
