package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// OrderRequest is the body of an order: every app in every environment gets the tag. Of
// OrHold, Override and ThroughStop at most one is set; see acts.Wishes.
type OrderRequest struct {
	App         Names  `json:"app"`
	Environment Names  `json:"environment"`
	Tag         string `json:"tag"`
	Digest      string `json:"digest,omitempty"`
	Revision    string `json:"revision,omitempty"`
	Reason      string `json:"reason,omitempty"`
	OrHold      bool   `json:"orHold,omitempty"`
	Override    string `json:"override,omitempty"`
	ThroughStop string `json:"throughStop,omitempty"`
	DryRun      bool   `json:"dryRun,omitempty"`
}

// OrderAnswer is an order as it was stored, or would be in a dry run.
type OrderAnswer struct {
	gitops.Delivery
	UnderWay []string `json:"underWay,omitempty"` // of a dry run: ids of open updates that it is written after
	DryRun   bool     `json:"dryRun,omitempty"`   // nothing was stored
	Undo     string   `json:"undo,omitempty"`     // the command that undoes it
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

// orderForm is an order's body.
type orderForm struct {
	webhook.OrderForm
	wishes acts.Wishes
	dryRun bool
}

// decodeForm reads a body. The error's code is Invalid, and its field is as the body
// has it.
func decodeForm(body []byte) (form orderForm, err error) {
	var fields struct {
		App         json.RawMessage `json:"app"`
		Environment json.RawMessage `json:"environment"`
		Tag         string          `json:"tag"`
		Digest      string          `json:"digest"`
		Revision    string          `json:"revision"`
		Reason      string          `json:"reason"`
		OrHold      bool            `json:"orHold"`
		Override    string          `json:"override"`
		ThroughStop string          `json:"throughStop"`
		DryRun      bool            `json:"dryRun"`
	}
	if err := decodeStrictly(body, &fields, "app, environment, tag and perhaps digest, revision, reason, orHold, override, throughStop and dryRun"); err != nil {
		return form, err
	}
	form.Tag, form.Digest, form.Revision, form.dryRun = fields.Tag, fields.Digest, fields.Revision, fields.DryRun
	form.wishes = acts.Wishes{OrHold: fields.OrHold, Override: strings.TrimSpace(fields.Override), ThroughStop: strings.TrimSpace(fields.ThroughStop), Reason: strings.TrimSpace(fields.Reason)}
	if err := form.wishes.Check(); err != nil {
		return form, err
	}
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
	if act := actOf(stored); act != "" { // its body may be one of an order, too
		return anotherAct(act)
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

// actOf describes a stored order that came with a pin: a rollback, or a pin's own order.
// It is "" for any other.
func actOf(d gitops.Delivery) string {
	if len(d.Updates) != 1 || d.Updates[0].Terms == nil || d.Updates[0].Terms.PinUntil.IsZero() {
		return ""
	}
	u, act := d.Updates[0], "a pin of "
	if u.Terms.RollsBack != "" {
		act = "a rollback of "
	}
	return fmt.Sprintf("%s%s in %s to %s", act, u.App, u.Environment, u.Tag)
}

// anotherAct refuses an Idempotency-Key that stands for something else.
func anotherAct(act string) error {
	return &gitops.Error{Code: gitops.Conflict, Field: keyField, Message: "was used for another act: " + act + ". Send a new key"}
}

// sameBody reports whether two bodies ask for the same, in whatever order and spacing.
func sameBody[T any](a, b []byte) bool {
	texts := make([][]byte, 2)
	for i, body := range [][]byte{a, b} {
		var form T
		if decodeStrictly(body, &form, "") != nil {
			return false
		}
		texts[i], _ = json.Marshal(form) // what was read can be written
	}
	return bytes.Equal(texts[0], texts[1])
}

// sameForm reports whether two orders are of the same updates, in whatever order they
// name them.
func sameForm(a, b orderForm) bool {
	return a.Tag == b.Tag && a.Digest == b.Digest && a.Revision == b.Revision && a.wishes == b.wishes &&
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
