package image

import "crypto"

// Key is a public key that signs images. It does not change: whoever holds the same pointer
// holds the same key.
type Key struct {
	Public crypto.PublicKey // *ecdsa.PublicKey, *rsa.PublicKey or ed25519.PublicKey
	Name   string           // of its file, for sentences
	ID     string           // of the key itself, in hexadecimal: the SHA-256 of its PKIX form
}
