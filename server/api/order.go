package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// maxOrder is the largest order taken, in bytes; one is less than 600.
const maxOrder = 4 << 10

// order requests an update as a dispatch does, through the same intake. It answers
// as a receiver does: 202, or 200 when the Idempotency-Key is known.
func (a *API) order(w http.ResponseWriter, r *http.Request) (int, any, error) {
	in, err := a.readOrder(w, r)
	if err != nil {
		challenge(w, err)
		a.refuseOrder(r, in, err)
		return 0, nil, err
	}
	d, accepted, err := a.Intake.Accept(r.Context(), in)
	switch {
	case err != nil && gitops.CodeOf(err) == gitops.Rejected:
		return 0, nil, cmp.Or(a.sameOrder(r.Context(), in), err)
	case err != nil:
		return 0, nil, err
	case accepted:
		return http.StatusAccepted, d, nil
	}
	return http.StatusOK, d, a.sameOrder(r.Context(), in)
}

// refuseOrder leaves what a refused order leaves, with what was known of it by then.
func (a *API) refuseOrder(r *http.Request, in webhook.Inbound, err error) {
	q := asked{right: gitops.RightOrder, delivery: in.Event.Delivery}
	if orders := in.Event.Orders; len(orders) > 0 {
		q.app, q.environment = orders[0].App, orders[0].Environment
	}
	a.refuse(r, Caller{Principal: in.Event.Principal, Credential: in.Credential}, q, err)
}

// readOrder authenticates, authorizes and reads an order. With an error the
// in has what was known by then.
func (a *API) readOrder(w http.ResponseWriter, r *http.Request) (webhook.Inbound, error) {
	in := webhook.Inbound{Remote: webhook.ClientIP(r.RemoteAddr)}
	in.Event.Delivery.Source = Source
	caller, err := a.caller(r)
	noteCaller(r.Context(), caller)
	if err != nil {
		return in, err
	}
	in.Credential, in.Event.Principal = caller.Credential, caller.Principal
	if err := a.can(caller, gitops.RightOrder); err != nil {
		return in, err
	}
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		key = a.NewID()
	}
	if err := checkKey(key); err != nil {
		return in, err
	}
	in.Event.Delivery.ID = DeliveryID(caller.Principal, key)
	if in.Body, err = webhook.ReadBody(w, r, maxOrder); err != nil {
		return in, err
	}
	order, err := decodeOrder(in.Body)
	if err != nil {
		return in, err
	}
	in.Event.Orders = []gitops.Order{order}
	if order.App != "" && order.Environment != "" { // else the plan rejects it, and names the field that is missing
		if _, err := a.Access.Authorize(caller.Principal, gitops.RightOrder, order.App, order.Environment); err != nil {
			return in, err
		}
	}
	if caller.UseOnce != nil {
		return in, caller.UseOnce(r.Context(), in.Event.Delivery)
	}
	return in, nil
}

// OrderRequest is the body of an order.
type OrderRequest struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
	Tag         string `json:"tag"`
	Digest      string `json:"digest,omitempty"`
}

func decodeOrder(body []byte) (gitops.Order, error) {
	var fields OrderRequest
	if err := decodeStrictly(body, &fields, "app, environment, tag and perhaps digest"); err != nil {
		return gitops.Order{}, err
	}
	return gitops.Order{App: fields.App, Environment: fields.Environment, Tag: fields.Tag, Digest: fields.Digest}, nil
}

// sameOrder returns an error for a key with which its caller ordered something else
// before, also when that was rejected: the answer to the first order would be taken for
// the second one's. What the store remembers by its key alone cannot be compared.
func (a *API) sameOrder(ctx context.Context, in webhook.Inbound) error {
	stored, err := a.Store.Delivery(ctx, in.Event.Delivery)
	if gitops.CodeOf(err) == gitops.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if digest := sha256.Sum256(in.Body); bytes.Equal(stored.BodyDigest, digest[:]) {
		return nil
	}
	const another = "was used for another order"
	first, err := decodeOrder(stored.Body)
	if err != nil { // a rejected one, of which a part is kept
		return &gitops.Error{Code: gitops.Conflict, Field: keyField, Message: another + ", which was rejected"}
	}
	if first != in.Event.Orders[0] {
		return &gitops.Error{Code: gitops.Conflict, Field: keyField,
			Message: fmt.Sprintf("%s: %.128s in %.128s to %.128s", another, first.App, first.Environment, first.Tag)}
	}
	return nil
}
