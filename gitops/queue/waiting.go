package queue

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// MaxWaiting is how many deliveries wait at most. With its event and the first KiB of its
// body each takes up to some 20 KiB.
const MaxWaiting = 10_000

// Waiting keeps deliveries whose events name no app that is known yet. Accept stores one
// as any other ([gitops.OutcomeWaiting]), with its event and without updates. It is not
// pruned, and its key and the digest of its body are known, as those of one that was
// accepted. Safe for concurrent use.
type Waiting interface {
	// WaitingDeliveries returns a page of the deliveries that wait, oldest first, with
	// their bodies and events, and the cursor of the next page, "" when there is none.
	// What is settled between two calls moves no other.
	WaitingDeliveries(ctx context.Context, p Page) (found []gitops.Delivery, next string, err error)

	// WaitingCount returns how many wait, and since when.
	WaitingCount(ctx context.Context) (WaitingCount, error)

	// Settle ends the wait of the delivery with d's key: in one transaction d takes its
	// place as Accept would store it at this moment, with [gitops.Delivery.DecidedAt] set
	// to the store's time. Its updates are compared with newer releases as those of a
	// recovered delivery are. Settled is false, and nothing is changed, when it does not
	// wait any more, because another replica was first: then the delivery is returned as
	// it stands. Whatever dies before or after, one that waited waits or is settled, once.
	//
	// The error's code is Invalid when d is to wait, and NotFound when there is no such
	// delivery.
	Settle(ctx context.Context, d gitops.Delivery) (stored gitops.Delivery, settled bool, err error)
}

// WaitingCount is how many deliveries wait, and when the oldest was received; zero when
// there is none.
type WaitingCount struct {
	Count  int
	Oldest time.Time
}

// ErrTooManyWait is Accept's error for a delivery that would wait where [MaxWaiting] do.
// Of several that are accepted at once the last may get it a few too early.
func ErrTooManyWait() *gitops.Error {
	return gitops.Errorf(gitops.TooLarge, "%d deliveries wait for apps that are not known yet, and no more are kept", MaxWaiting)
}

// WaitingSince is d as Accept stores it. The event of a delivery that waits happened now,
// by the store's clock, unless it is said to have happened before: without a time it would
// count as newer than what is accepted while it waits, and the clock of the replica that
// received it may be wrong.
func WaitingSince(d gitops.Delivery, now time.Time) gitops.Delivery {
	if d.Outcome == gitops.OutcomeWaiting && (d.EventTime.IsZero() || d.EventTime.After(now)) {
		d.EventTime = now
	}
	return d
}

// Settled is d as [Waiting.Settle] stores it, or says why it cannot. Its event's time is
// that of the delivery that waited, see [WaitingSince]; without one it happened when it
// was received.
func Settled(d gitops.Delivery) (gitops.Delivery, error) {
	if d.Outcome == gitops.OutcomeWaiting {
		return gitops.Delivery{}, gitops.FieldErrorf("outcome", "must be one that ends the wait, not %s", d.Outcome)
	}
	if d.EventTime.IsZero() {
		d.EventTime = d.ReceivedAt
	}
	d.Event = nil
	return d, nil
}

// ErrBodyCounted is Settle's error for an order whose body another delivery had: as long
// as both are kept whole, Accept leaves one of them out.
func ErrBodyCounted(key, first gitops.DeliveryKey) *gitops.Error {
	return gitops.Errorf(gitops.Conflict, "delivery %s has the body of %s, which counts once", key, first)
}
