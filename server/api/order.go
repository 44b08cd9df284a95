package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// order requests an update as a dispatch does, through the same intake. It answers
// as a receiver does: 202, or 200 when the Idempotency-Key is known.
func (a *API) order(w http.ResponseWriter, r *http.Request) (int, any, error) {
	in, refused, err := a.readOrder(w, r)
	if err != nil {
		challenge(w, err)
		a.refuseOrder(r, in, refused, err)
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
func (a *API) refuseOrder(r *http.Request, in webhook.Inbound, refused []webhook.RefusedOrder, err error) {
	caller, q := Caller{Principal: in.Event.Principal, Credential: in.Credential}, asked{right: gitops.RightOrder, delivery: in.Event.Delivery}
	if len(refused) == 0 {
		a.refuse(r, caller, q, err)
		return
	}
	a.recordRefusal(r, q, err)
	for _, order := range refused {
		q.app, q.environment = order.App, order.Environment
		a.auditRefusal(r, caller, q, order.Err)
	}
}

// readOrder authenticates, authorizes and reads an order. With an error the
// in has what was known by then, and refused what the caller may not order.
func (a *API) readOrder(w http.ResponseWriter, r *http.Request) (in webhook.Inbound, refused []webhook.RefusedOrder, err error) {
	in = webhook.Inbound{Remote: webhook.ClientIP(r.RemoteAddr)}
	in.Event.Delivery.Source = Source
	caller, err := a.caller(r)
	noteCaller(r.Context(), caller)
	if err != nil {
		return in, nil, err
	}
	in.Credential, in.Event.Principal = caller.Credential, caller.Principal
	if err := a.can(caller, gitops.RightOrder); err != nil {
		return in, nil, err
	}
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		key = a.NewID()
	}
	if err := checkKey(key); err != nil {
		return in, nil, err
	}
	in.Event.Delivery.ID = DeliveryID(caller.Principal, key)
	if in.Body, err = webhook.ReadBody(w, r, webhook.MaxBody); err != nil {
		return in, nil, err
	}
	if in.Event.Orders, err = decodeOrders(in.Body); err != nil {
		return in, nil, err
	}
	if _, refused = webhook.AuthorizeOrders(a.Access, in.Event); len(refused) > 0 {
		return in, refused, refused[0].Err
	}
	if caller.UseOnce != nil {
		return in, nil, caller.UseOnce(r.Context(), in.Event.Delivery)
	}
	return in, nil, nil
}

// OrderRequest is the body of an order: every app in every environment gets the tag.
type OrderRequest struct {
	App         Names  `json:"app"`
	Environment Names  `json:"environment"`
	Tag         string `json:"tag"`
	Digest      string `json:"digest,omitempty"`
}

// Names are a list, or one name.
type Names []string

// MarshalJSON writes one name as a text.
func (n Names) MarshalJSON() ([]byte, error) {
	if len(n) == 1 {
		return json.Marshal(n[0])
	}
	return json.Marshal([]string(n))
}

// decodeOrders reads a body. The error's code is Invalid, and its field is as the body
// has it.
func decodeOrders(body []byte) ([]gitops.Order, error) {
	form, err := decodeForm(body)
	if err != nil {
		return nil, err
	}
	orders, wrong := form.Orders()
	if wrong != nil {
		return nil, wrong
	}
	return orders, nil
}

func decodeForm(body []byte) (form webhook.OrderForm, err error) {
	var fields struct {
		App         json.RawMessage `json:"app"`
		Environment json.RawMessage `json:"environment"`
		Tag         string          `json:"tag"`
		Digest      string          `json:"digest"`
	}
	if err := decodeStrictly(body, &fields, "app, environment, tag and perhaps digest"); err != nil {
		return form, err
	}
	form.Tag, form.Digest = fields.Tag, fields.Digest
	for _, list := range []struct {
		field string
		value json.RawMessage
		into  *[]string
	}{{"app", fields.App, &form.Apps}, {"environment", fields.Environment, &form.Environments}} {
		if len(list.value) == 0 { // it is not there, which the plan says
			continue
		}
		names, wrong := webhook.ReadNames(list.field, list.value, notText)
		if wrong != nil {
			return form, wrong
		}
		*list.into = names
	}
	return form, nil
}

// notText says of a JSON value that is no string what to write.
func notText(value []byte) string {
	kinds := map[byte]string{'[': "a list", '{': "an object", 'n': "null", 't': "true or false", 'f': "true or false"}
	return "must be a string in quotes, not " + cmp.Or(kinds[value[0]], "a number")
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
	first, err := decodeForm(stored.Body)
	if err != nil { // a rejected one, of which a part is kept
		return &gitops.Error{Code: gitops.Conflict, Field: keyField, Message: another + ", which was rejected"}
	}
	if now, err := decodeForm(in.Body); err == nil && sameForm(first, now) {
		return nil
	}
	return &gitops.Error{Code: gitops.Conflict, Field: keyField,
		Message: fmt.Sprintf("%s: %s in %s to %.128s", another, listText(first.Apps), listText(first.Environments), first.Tag)}
}

// sameForm reports whether two orders are of the same updates, in whatever order they
// name them.
func sameForm(a, b webhook.OrderForm) bool {
	return a.Tag == b.Tag && a.Digest == b.Digest &&
		slices.Equal(slices.Sorted(slices.Values(a.Apps)), slices.Sorted(slices.Values(b.Apps))) &&
		slices.Equal(slices.Sorted(slices.Values(a.Environments)), slices.Sorted(slices.Values(b.Environments)))
}

// listText names the first of a list, as far as one can be a name.
func listText(names []string) string {
	const most = 5
	text := gitops.Clip(strings.Join(names[:min(most, len(names))], ", "), 300)
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}
