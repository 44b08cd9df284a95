package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// TestADamagedProofKeyIsRefused has secrets in the file that others could know. One that
// is cut short the file does not take.
func TestADamagedProofKeyIsRefused(t *testing.T) {
	for _, text := range []string{
		`UPDATE proof_keys SET secret = zeroblob(32)`, `UPDATE proof_keys SET secret = randomblob(32)`, `UPDATE proof_keys SET id = '00000000'`,
	} {
		path := filepath.Join(t.TempDir(), "queue.db")
		s := openFile(t, path, nil)
		if _, err := s.ProofKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		c, err := connect(path, text)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.exec(`UPDATE proof_keys SET secret = substr(secret, 1, 8)`); err == nil || !strings.Contains(err.Error(), "CHECK") {
			t.Errorf("a short secret is taken: %v", err)
		}
		if err := c.close(); err != nil {
			t.Fatal(err)
		}
		s = openFile(t, path, nil)
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
