// Package webhook takes deliveries in over HTTP. A [Receiver] knows one sender's
// envelope and credential; the one [Handler] does the rest, the same for all:
//
//	cap the body -> authenticate -> decode -> plan -> make durable -> answer
//
// Nothing of a body is parsed, logged or kept before it is authenticated. What
// is answered 202 survives kill -9 and power loss. A crash before the answer
// leaves either nothing, and the sender sends again, or a stored delivery, and
// the sender that sends again gets the first answer.
package webhook

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// MaxBody is the largest body taken, in bytes. A repository_dispatch is tens of
// kilobytes and an ECR event less than one.
const MaxBody = 1 << 20

// answerWithin bounds the wait for the store: EventBridge hangs up after 5 s and
// GitHub after 10 s, and a clear 503 before that tells them to come again.
const answerWithin = 4 * time.Second

// Receiver knows one kind of sender. Safe for concurrent use; it keeps nothing
// of header or body.
type Receiver interface {
	// Source names the sender in delivery keys and metrics: a constant.
	Source() string

	// Authenticate checks the sender's credential, in constant time, over the raw
	// body. The error's code is Unauthorized, and its sentence does not tell a
	// wrong credential from a missing one more than its sender needs to mend it.
	Authenticate(header http.Header, body []byte) error

	// Decode reads an authenticated body. An error's code is Invalid and means
	// that the body is not what this sender sends; the event then has its delivery
	// key, if that much could be read. An event that asks for nothing or for
	// something impossible is an event, not an error.
	Decode(header http.Header, body []byte) (gitops.Event, error)
}

// Planner says what an event means; see policy.Policy.Plan.
type Planner interface {
	Plan(gitops.Event) (gitops.Delivery, error)
}

// Inbox makes deliveries durable; see queue.Inbox.
type Inbox interface {
	Accept(ctx context.Context, d gitops.Delivery) (stored gitops.Delivery, duplicate bool, err error)
}

// Recorder counts what became of deliveries. Safe for concurrent use.
type Recorder interface {
	// Delivery counts a delivery; the outcome is one of [Outcomes].
	Delivery(source, outcome string)
	// Settled counts an update that had ended when it was accepted, because a newer
	// release was there already: no lane will ever see it. See lane.Recorder.
	Settled(environment string, state gitops.State, seconds float64)
}

// Outcomes is the closed set of what a [Recorder] is told.
func Outcomes() []string {
	return []string{"accepted", "duplicate", "ignored", "rejected", "unauthorized", "error"}
}

// Handler is the one way in for deliveries.
type Handler struct {
	Receiver Receiver
	Planner  Planner
	Inbox    Inbox
	Recorder Recorder
	Logger   *slog.Logger
	Now      func() time.Time
	NewID    func() string // makes an update's id
}

// Handle takes one delivery in and says how to answer it: 202 with the delivery
// when it became updates, 200 with it when it asks for nothing or is known. The
// error of anything else is for the server's error writer; nothing is written to
// w.
func (h *Handler) Handle(w http.ResponseWriter, r *http.Request) (status int, d gitops.Delivery, err error) {
	d, duplicate, err := h.receive(w, r)
	outcome := outcomeOf(d, duplicate, err)
	h.Recorder.Delivery(h.Receiver.Source(), outcome)
	h.log(r, d, outcome, err)
	if outcome == "accepted" {
		h.tellSettled(r.Context(), d)
	}
	if d.Updates == nil {
		d.Updates = []gitops.Update{} // "updates": [] in the answer, never null
	}
	if outcome == "accepted" {
		return http.StatusAccepted, d, err
	}
	return http.StatusOK, d, err
}

// receive does everything up to the answer. With an error the delivery has
// whatever was known of it by then.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request) (gitops.Delivery, bool, error) {
	d := gitops.Delivery{Source: h.Receiver.Source()}
	body, err := readBody(w, r)
	if err != nil {
		return d, false, err
	}
	if err := h.Receiver.Authenticate(r.Header, body); err != nil {
		return d, false, err
	}
	event, err := h.Receiver.Decode(r.Header, body)
	if err != nil {
		d.ID = event.Delivery.ID
		return d, false, err
	}
	planned, refusal := h.Planner.Plan(event)
	planned.Body = body
	planned.ReceivedAt = h.Now().UTC()
	for i := range planned.Updates {
		planned.Updates[i].ID = h.NewID()
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	stored, duplicate, err := h.Inbox.Accept(ctx, planned)
	switch {
	case err != nil:
		return planned, false, err
	case duplicate && stored.Outcome == gitops.Refused:
		// Who sends it again must not take it for done.
		return stored, true, &gitops.Error{Code: gitops.Rejected, Field: stored.Field, Message: stored.Reason}
	case duplicate:
		return stored, true, nil
	}
	return stored, false, refusal
}

// tellSettled counts and logs the updates that had ended when they were accepted,
// as a lane does for all others.
func (h *Handler) tellSettled(ctx context.Context, d gitops.Delivery) {
	for _, u := range d.Updates {
		if !u.State.Settled() {
			continue
		}
		h.Recorder.Settled(u.Environment, u.State, 0)
		h.Logger.InfoContext(ctx, "update", "environment", u.Environment, "update", u.ID, "delivery", d.Key().String(),
			"app", u.App, "tag", u.Tag, "state", string(u.State), "reason", u.Reason)
	}
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, gitops.Errorf(gitops.TooLarge, "the body is larger than %d bytes", MaxBody)
	case err != nil:
		return nil, gitops.Errorf(gitops.Invalid, "the body did not arrive whole").Because(err)
	}
	return body, nil
}

func outcomeOf(d gitops.Delivery, duplicate bool, err error) string {
	switch {
	case duplicate:
		return "duplicate"
	case err == nil:
		return string(d.Outcome)
	case gitops.CodeOf(err) == gitops.Unauthorized:
		return "unauthorized"
	case gitops.CodeOf(err) == gitops.Rejected:
		return "rejected"
	}
	return "error"
}

func (h *Handler) log(r *http.Request, d gitops.Delivery, outcome string, err error) {
	attrs := []slog.Attr{slog.String("source", h.Receiver.Source()), slog.String("outcome", outcome)}
	if d.ID != "" {
		attrs = append(attrs, slog.String("delivery", d.Key().String()))
	}
	if d.Actor != "" {
		attrs = append(attrs, slog.String("actor", d.Actor))
	}
	if d.Reason != "" {
		attrs = append(attrs, slog.String("reason", d.Reason))
	}
	if len(d.Updates) > 0 {
		ids := make([]string, len(d.Updates))
		for i, u := range d.Updates {
			ids[i] = u.ID
		}
		attrs = append(attrs, slog.Any("updates", ids))
	}
	level := slog.LevelInfo
	if err != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("remote", r.RemoteAddr), slog.String("code", string(gitops.CodeOf(err))), slog.String("error", err.Error()))
	}
	h.Logger.LogAttrs(r.Context(), level, "delivery", attrs...)
}
