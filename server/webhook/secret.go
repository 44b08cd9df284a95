package webhook

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/tallyman-dev/tallyman/gitops"
)

// CheckSecrets refuses a source without a secret, or with an empty one: such a
// source would take anybody's word. The error names the field.
func CheckSecrets(field string, secrets [][]byte) error {
	if len(secrets) == 0 {
		return gitops.FieldErrorf(field, "must name at least one file: a source without a secret is not started")
	}
	for _, secret := range secrets {
		if len(secret) == 0 {
			return gitops.FieldErrorf(field, "holds an empty secret")
		}
	}
	return nil
}

// minSecret is the shortest secret, in bytes. Whoever sees one signed body can try
// secrets on a machine of their own, so a short one is found.
const minSecret = 16

// CheckSecretLength refuses a secret that can be guessed.
func CheckSecretLength(secret []byte) error {
	if len(secret) < minSecret {
		return gitops.Errorf(gitops.Invalid, "holds a secret of %d characters, and one needs %d: make one with openssl rand -hex 32, and give it to the sender, too", len(secret), minSecret)
	}
	return nil
}

// MatchesAny reports whether got is one of the secrets, in a time that depends
// on neither the secrets' bytes nor their lengths.
func MatchesAny(got []byte, secrets [][]byte) bool {
	sum := sha256.Sum256(got)
	match := 0
	for _, secret := range secrets {
		want := sha256.Sum256(secret)
		match |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	return match == 1
}
