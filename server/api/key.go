package api

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/tallyman-dev/tallyman/gitops"
)

// keyField names the header in errors.
const keyField = "header Idempotency-Key"

// maxKey is the longest Idempotency-Key, in bytes: an id has 128 at most.
const maxKey = 128 - idPrefix

// idPrefix is the length of what [DeliveryID] puts in front: 16 hexadecimal digits, and
// a hyphen. Who wants to meet another's key must find a principal with the same 64
// bits, and principals are what the configuration names.
const idPrefix = 17

// DeliveryID is the id of the delivery that a caller orders with an Idempotency-Key. It
// begins with a hash of the principal, so that two callers never meet: neither can
// block, repeat or learn of an order of the other by its key.
func DeliveryID(p gitops.Principal, key string) string {
	sum := sha256.Sum256([]byte(p.ID()))
	return hex.EncodeToString(sum[:8]) + "-" + key
}

// checkKey reports what is wrong with an Idempotency-Key.
func checkKey(key string) error {
	if err := gitops.CheckDeliveryID(keyField, key); err != nil || len(key) > maxKey {
		return gitops.FieldErrorf(keyField, "must be 1 to %d of A-Z a-z 0-9 . _ : - and begin with a letter or digit", maxKey)
	}
	return nil
}
