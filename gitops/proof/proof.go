// Package proof says which commits are tallyman's. Whoever may write the branch can
// make a commit whose trailers name any update; what they cannot make is the last line
// of such a commit,
//
//	Tallyman-Proof: KEY MAC
//
// where MAC is an HMAC-SHA256 under a key of the store, which no commit and no answer of
// the API has. It is over the commit's tree, its parents, its author, and all of the
// message before that line: what is rebased, picked onto another commit, amended or
// squashed has no proof any more. The dates and the committer are left out, and so is the
// commit's signature, which is made afterwards.
package proof

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync/atomic"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// Prover makes and verifies proofs. Safe for concurrent use.
type Prover struct {
	keys atomic.Pointer[[]gitops.ProofKey]
}

// New makes a prover with keys, the oldest first, or with none until [Prover.SetKeys].
func New(keys ...gitops.ProofKey) *Prover {
	p := new(Prover)
	p.SetKeys(keys)
	return p
}

// SetKeys gives the prover the keys of the store, the oldest first.
func (p *Prover) SetKeys(keys []gitops.ProofKey) { p.keys.Store(&keys) }

// Sign returns the line that proves a commit, with its end, to be put at the end of the
// commit's message: under the newest key. Without a key it is an error: a commit without
// a proof would not be found again.
func (p *Prover) Sign(c git.Commit) (line string, err error) {
	keys := *p.keys.Load()
	if len(keys) == 0 {
		return "", gitops.Errorf(gitops.Unavailable, "the store's key that proves commits has not been read yet")
	}
	k := keys[len(keys)-1]
	return gitops.TrailerProof + ": " + k.ID + " " + hex.EncodeToString(mac(k.Secret, c, c.Message)) + "\n", nil
}

// Verify reports whether a commit has a proof under one of the keys, and names the key.
func (p *Prover) Verify(c git.Commit) (key string, ok bool) {
	message, ended := bytes.CutSuffix(c.Message, []byte("\n"))
	at := bytes.LastIndexByte(message, '\n') + 1
	value, isProof := bytes.CutPrefix(message[at:], []byte(gitops.TrailerProof+": "))
	id, digits, two := bytes.Cut(value, []byte(" "))
	if !ended || !isProof || !two || len(digits) != hex.EncodedLen(sha256.Size) {
		return "", false
	}
	given, err := hex.DecodeString(string(digits))
	if err != nil {
		return "", false
	}
	for _, k := range *p.keys.Load() {
		if k.ID == string(id) && hmac.Equal(given, mac(k.Secret, c, c.Message[:at])) {
			return k.ID, true
		}
	}
	return "", false
}

// domain keeps these MACs apart from any others under the same key.
const domain = "tallyman proof of a commit, version 1"

// mac is the proof of a commit with a message. Each part comes after its length, so no
// two commits have the same bytes.
func mac(secret gitops.ProofSecret, c git.Commit, message []byte) []byte {
	h := hmac.New(sha256.New, secret[:])
	part := func(b []byte) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(b)))
		h.Write(length[:])
		h.Write(b)
	}
	part([]byte(domain))
	part(c.Tree[:])
	var parents []byte
	for _, parent := range c.Parents {
		parents = append(parents, parent[:]...)
	}
	part(parents)
	part([]byte(c.Author.Name))
	part([]byte(c.Author.Email))
	part(message)
	return h.Sum(nil)
}
