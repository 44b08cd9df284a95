package image

import "crypto"

// Key is a public key that signs images.
type Key struct {
	Public crypto.PublicKey
}
