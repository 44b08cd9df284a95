package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

const (
	maxDecision  = 4 << 10         // bytes of a decision's body
	maxReason    = 500             // bytes of its reason
	cancelWithin = 5 * time.Second // how long a cancellation is waited for: a lane that is not pushing needs none of it
)

// decide returns the handler of one decision about an update. What it logs is the
// audit line of the decision. The answer is 202 while the lane still has something
// to do for the update, and 200 once it has not.
func (a *API) decide(action gitops.Action, logged string) Handler {
	return func(w http.ResponseWriter, r *http.Request) (int, any, error) {
		reason, err := readReason(w, r)
		if err != nil {
			return 0, nil, err
		}
		u, rule, err := a.mayDecide(r, rightOf(action))
		if err != nil {
			return 0, nil, err
		}
		caller := callerOf(r)
		actor := caller.Principal.Actor()
		u, err = a.decideInStore(r.Context(), u, queue.Decision{
			Update: u.ID, Action: action, Actor: actor, Reason: reason, Principal: caller.Principal.ID(), Credential: caller.Credential,
			Remote: webhook.ClientIP(r.RemoteAddr), Rule: rule, Config: a.Hash,
		})
		if err != nil {
			return 0, nil, err
		}
		a.Logger.InfoContext(r.Context(), logged, slog.String("environment", u.Environment), slog.String("update", u.ID),
			slog.String("delivery", u.Delivery.String()), slog.String("app", u.App), slog.String("tag", u.Tag),
			slog.String("state", string(u.State)), slog.String("actor", actor), slog.String("reason", reason))
		u = a.awaitCancellation(r.Context(), u)
		if u.State.Final() {
			return http.StatusOK, u, nil
		}
		return http.StatusAccepted, u, nil
	}
}

// rightOf is the right that a decision needs.
func rightOf(action gitops.Action) gitops.Right {
	if action == gitops.ActionRetry {
		return gitops.RightRetry
	}
	return gitops.RightCancel
}

// decideInStore makes a decision, or finds out whether it is possible, about an update
// that was read before.
func (a *API) decideInStore(ctx context.Context, u gitops.Update, d queue.Decision) (gitops.Update, error) {
	if d.Action == gitops.ActionRetry && a.Unwritable != nil {
		why, err := a.Unwritable(ctx, u)
		if err == nil && why != "" {
			err = gitops.Errorf(gitops.Conflict, "a retry cannot write update %s: %s", u.ID, why)
		}
		if err != nil {
			return u, err
		}
	}
	return a.Store.Decide(ctx, d)
}

// mayDecide returns the update that a decision is about, and the rule that allows its
// caller the decision. One that the caller may not even read is not found.
func (a *API) mayDecide(r *http.Request, right gitops.Right) (u gitops.Update, rule string, err error) {
	id, caller := variable(r, "id"), callerOf(r)
	if u, err = a.Store.Update(r.Context(), id); err != nil {
		return u, "", hidden(err, "update", id)
	}
	rule, err = a.Access.Authorize(caller.Principal, right, u.App, u.Environment)
	if err == nil {
		return u, rule, nil
	}
	a.refuse(r, caller, asked{right, u.App, u.Environment, u.ID, gitops.DeliveryKey{}}, err)
	if !a.viewOf(caller).update(u) {
		err = notFound("update", id)
	}
	return u, "", err
}

// awaitCancellation waits a moment until the lane has carried out an update's
// cancellation, and returns the update as it stands then. The request is durable:
// whatever ends the waiting, the lane goes on with it.
func (a *API) awaitCancellation(ctx context.Context, u gitops.Update) gitops.Update {
	ctx, cancel := context.WithTimeout(ctx, cancelWithin)
	defer cancel()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for u.CancelRequest != nil && !u.State.Final() {
		changed := a.Store.Changed()
		now, err := a.Store.Update(ctx, u.ID)
		if err != nil {
			return u
		}
		if u = now; u.CancelRequest == nil || u.State.Final() {
			return u
		}
		select {
		case <-changed:
		case <-look.C:
		case <-ctx.Done():
			return u
		case <-a.Drain:
			return u
		}
	}
	return u
}

// DecisionRequest is the body of a decision. It may be left out.
type DecisionRequest struct {
	Reason string `json:"reason,omitempty"`
}

// readReason reads a decision's body. A reason is one line, for logs and people.
func readReason(w http.ResponseWriter, r *http.Request) (string, error) {
	body, err := webhook.ReadBody(w, r, maxDecision)
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return "", err
	}
	var request DecisionRequest
	if err := decodeStrictly(body, &request, "perhaps reason"); err != nil {
		return "", err
	}
	if gitops.CheckReason("reason", strings.TrimSpace(request.Reason)) != nil || strings.ContainsFunc(request.Reason, unicode.IsControl) {
		return "", gitops.FieldErrorf("reason", "must be one line of at most %d bytes", maxReason)
	}
	return strings.TrimSpace(request.Reason), nil
}

// decodeStrictly reads a body that is one JSON object with the named fields: strings, true
// or false, and lists of strings. A field that is not read was mistyped, so it is an error.
func decodeStrictly(body []byte, into any, fields string) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		if _, end := decoder.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return gitops.FieldErrorf(wrong.Field, "must be %s, not %s", wanted(wrong.Type.Kind()), jsonKind(wrong.Value)).WithCause(err)
	case err != nil:
		reason := strings.TrimPrefix(err.Error(), "json: ")
		if !strings.HasPrefix(reason, "unknown field") {
			reason = "it is not well formed"
		} else if reason == `unknown field "env"` && strings.Contains(fields, "environment") {
			reason += ", which is called environment here" // as a dispatch calls it
		}
		return gitops.Errorf(gitops.Invalid, "the body must be a JSON object with %s: %.100s", fields, reason).WithCause(err)
	}
	if wrong := checkFields(body, into); wrong != nil {
		return wrong
	}
	return nil
}

// wanted says what a field must be.
func wanted(kind reflect.Kind) string {
	switch kind {
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list of strings"
	default:
		return "a string in quotes"
	}
}

// jsonKind names the kind of a JSON value as package json has it.
func jsonKind(value string) string {
	switch kind, _, _ := strings.Cut(value, " "); kind {
	case "array":
		return "a list"
	case "object":
		return "an object"
	case "bool":
		return "true or false"
	case "string":
		return "a text"
	default:
		return "a " + kind
	}
}
