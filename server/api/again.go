package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// request names the request for the store; its id is "" without an Idempotency-Key.
func (act holdAct) request() gitops.DeliveryKey {
	if act.key == "" {
		return gitops.DeliveryKey{}
	}
	return gitops.DeliveryKey{Source: Source, ID: DeliveryID(act.by.Principal, act.key)}
}

// before is what the first request with a key led to: holds, an order, or both. Duplicate is
// false when there was none. It is asked before anything is decided: what was right then may
// not be possible, or may mean something else, now.
func (a *API) before(ctx context.Context, key gitops.DeliveryKey) (queue.Placed, error) {
	stored, err := a.Store.Delivery(ctx, key)
	if err == nil {
		return a.Store.Place(ctx, queue.Placement{Order: &stored})
	}
	if gitops.CodeOf(err) != gitops.NotFound {
		return queue.Placed{}, err
	}
	placed, err := a.Store.Place(ctx, queue.Placement{Key: key.ID})
	if gitops.CodeOf(err) == gitops.Invalid { // it is not known, and there is nothing to place
		return queue.Placed{}, nil
	}
	return placed, err
}

// heldBefore is before for a request to place a hold. The error's code is Conflict when the
// key stands for something else.
func (a *API) heldBefore(ctx context.Context, act holdAct) (placed queue.Placed, err error) {
	if act.key == "" || act.dryRun {
		return placed, nil
	}
	if placed, err = a.before(ctx, act.request()); err == nil && placed.Order != nil {
		err = sameAct[HoldRequest](placed, act.body)
	}
	return placed, err
}

// sameAct reports whether a body asks for what was placed with an order before. The error's
// code is Conflict when it asks for something else, and Rejected when that was rejected.
func sameAct[T any](placed queue.Placed, body []byte) error {
	stored, digest := *placed.Order, sha256.Sum256(body)
	same := bytes.Equal(stored.BodyDigest, digest[:]) || sameBody[T](stored.Body, body)
	switch {
	case same && stored.Outcome == gitops.OutcomeRejected:
		return &gitops.Error{Code: gitops.Rejected, Field: stored.Field, Message: stored.Reason}
	case stored.Outcome == gitops.OutcomeAccepted && len(stored.Updates) == 0:
		return &gitops.Error{Code: gitops.Conflict, Field: keyField, Message: "was used before, and what for is not kept any more. Send a new key"}
	case !same || actOf(stored) == "" || len(placed.Holds) == 0:
		return anotherAct(cmp.Or(actOf(stored), "an order"))
	}
	return nil
}

// asked reports whether a hold is what the request asks for: its key is that of the request
// that placed it. An end that was asked for as a duration began then.
func (act holdAct) asked(h gitops.Hold) bool {
	w := act.wish
	return h.Kind == w.Kind && h.Tag == w.Tag && h.Reason == w.Reason && sameNames(h.Environments, w.Environments) && sameNames(h.Apps, w.Apps) &&
		(w.Until.IsZero() || h.Until.Equal(acts.WholeSecond(w.Until))) && (w.For == 0 || h.Until.Sub(h.Since.Add(w.For)).Abs() < holdSlack)
}

func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// standing are the holds that are in force.
func standing(all []gitops.Hold, now time.Time) (found []gitops.Hold) {
	for _, h := range all {
		if h.InForce(now) {
			found = append(found, h)
		}
	}
	return found
}
