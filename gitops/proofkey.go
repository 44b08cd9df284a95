package gitops

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"
)

// TrailerProof is the last line of every commit that tallyman makes: it proves that
// the commit is tallyman's. Package gitops/proof has its value.
const TrailerProof = "Tallyman-Proof"

// ProofKey is a key with which commits are proved to be those of an installation. It
// is kept in the store and goes with its backups.
type ProofKey struct {
	ID     string // in every trailer; says nothing of the secret
	Secret ProofSecret
	MadeAt time.Time
}

// ProofSecret is the secret half of a [ProofKey]. However it is printed or encoded,
// it does not show.
type ProofSecret [32]byte

// NewProofKey makes a key.
func NewProofKey(at time.Time) ProofKey {
	var secret ProofSecret
	_, _ = rand.Read(secret[:]) // never fails: see crypto/rand
	return ProofKeyOf(secret, at)
}

// ProofKeyOf returns the key that has a secret.
func ProofKeyOf(secret ProofSecret, at time.Time) ProofKey {
	id := sha256.Sum256(append([]byte("tallyman proof key id\x00"), secret[:]...))
	return ProofKey{ID: hex.EncodeToString(id[:4]), Secret: secret, MadeAt: at}
}

// StoredProofKey returns a key as a store has it. A secret that is cut short, or is not
// the one that the id is of, is an error: whoever changed it could prove commits.
func StoredProofKey(id string, secret []byte, at time.Time) (ProofKey, error) {
	if len(secret) == len(ProofSecret{}) {
		if k := ProofKeyOf(ProofSecret(secret), at); k.ID == id {
			return k, nil
		}
	}
	return ProofKey{}, Errorf(Internal, "the store's proof key %q is damaged: put the store back from a backup, or delete that row of proof_keys, after which the commits that it proved have no proof", id)
}

const hiddenSecret = "[secret]"

// Format implements [fmt.Formatter] for every verb.
func (ProofSecret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hiddenSecret) }

// MarshalText implements [encoding.TextMarshaler], for JSON and for logs.
func (ProofSecret) MarshalText() ([]byte, error) { return []byte(hiddenSecret), nil }
