package queue

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// UnacceptedFor is how long a rejected or ignored delivery is kept, when Prune is not
// told to forget it earlier. It changed nothing, and anybody who is authenticated can
// send as much of it as he likes.
const UnacceptedFor = 7 * 24 * time.Hour

// KeyHash is what is left of a delivery's key after Prune forgot the delivery.
func KeyHash(key gitops.DeliveryKey) [32]byte {
	return sha256.Sum256([]byte(key.Source + "\x00" + key.ID))
}

// CountsOnce reports whether the body of d counts once: an order that was accepted, or
// waits to be.
func CountsOnce(d gitops.Delivery) bool {
	return d.BodyDigest != nil && (d.Outcome == gitops.OutcomeAccepted || d.Outcome == gitops.OutcomeWaiting)
}

// Forgotten is the answer to a delivery that Prune forgot: its key and when it was
// received are all that is left.
func Forgotten(key gitops.DeliveryKey, receivedAt time.Time) gitops.Delivery {
	return gitops.Delivery{
		Source: key.Source, ID: key.ID, ReceivedAt: receivedAt, Outcome: gitops.OutcomeIgnored, Updates: []gitops.Update{},
		Reason: fmt.Sprintf("this delivery was received before, on %s, and its details are no longer kept", receivedAt.UTC().Format(time.DateOnly)),
	}
}
