package webhook

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

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

// Intake is the one way in for events that are believed already, whatever brought
// them: plan -> make durable -> count and log. Safe for concurrent use.
type Intake struct {
	Planner  Planner
	Inbox    Inbox
	Recorder Recorder
	Logger   *slog.Logger
	Now      func() time.Time
	NewID    func() string // makes an update's id
}

// Arrival is an event and how it came.
type Arrival struct {
	Event      gitops.Event
	Body       []byte // as authenticated
	Remote     string // see gitops.Delivery
	Credential string // see gitops.Delivery
}

// Take takes one event in. It is accepted when it became updates just now, and
// not when it asks for nothing or is known. A refusal's code is Rejected, also
// when it is known: who sends it again must not take it for done. Unavailable
// means that it was not taken.
func (in *Intake) Take(ctx context.Context, a Arrival) (d gitops.Delivery, accepted bool, err error) {
	d, duplicate, err := in.store(ctx, a)
	outcome := outcomeOf(d, duplicate, err)
	line := d
	line.Remote, line.Credential = a.Remote, a.Credential // a duplicate has those of the first
	in.tell(ctx, line, outcome, err)
	accepted = outcome == "accepted"
	if accepted {
		in.tellSettled(ctx, d)
	}
	if d.Updates == nil {
		d.Updates = []gitops.Update{} // "updates": [] in the answer, never null
	}
	return d, accepted, err
}

// Refuse counts and logs what was not taken in: it is not believed, or cannot be
// read. Of the key only what is known is set.
func (in *Intake) Refuse(ctx context.Context, key gitops.DeliveryKey, remote string, err error) {
	d := gitops.Delivery{Source: key.Source, ID: key.ID, Remote: remote}
	in.tell(ctx, d, outcomeOf(d, false, err), err)
}

// store plans an event and makes it durable. With an error the delivery has
// whatever was known of it by then.
func (in *Intake) store(ctx context.Context, a Arrival) (gitops.Delivery, bool, error) {
	planned, refusal := in.Planner.Plan(a.Event)
	planned.Body, planned.Remote, planned.Credential = a.Body, a.Remote, a.Credential
	planned.ReceivedAt = in.Now().UTC()
	for i := range planned.Updates {
		planned.Updates[i].ID = in.NewID()
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	stored, duplicate, err := in.Inbox.Accept(ctx, planned)
	switch {
	case err != nil:
		return planned, false, err
	case duplicate && stored.Outcome == gitops.OutcomeRejected:
		return stored, true, &gitops.Error{Code: gitops.Rejected, Field: stored.Field, Message: stored.Reason}
	case duplicate:
		return stored, true, nil
	}
	return stored, false, refusal
}

func outcomeOf(d gitops.Delivery, duplicate bool, err error) string {
	switch {
	case duplicate:
		return "duplicate"
	case err == nil:
		return string(d.Outcome)
	case gitops.CodeOf(err) == gitops.Unauthorized, gitops.CodeOf(err) == gitops.Forbidden:
		return "unauthorized"
	case gitops.CodeOf(err) == gitops.Rejected:
		return "rejected"
	}
	return "error"
}

// tell counts a delivery and writes the one line that the log has of it.
func (in *Intake) tell(ctx context.Context, d gitops.Delivery, outcome string, err error) {
	in.Recorder.Delivery(d.Source, outcome)
	attrs := []slog.Attr{slog.String("source", d.Source), slog.String("outcome", outcome)}
	if d.ID != "" {
		attrs = append(attrs, slog.String("delivery", d.Key().String()))
	}
	for _, known := range []slog.Attr{
		slog.String("actor", d.Actor), slog.String("remote", d.Remote), slog.String("credential", d.Credential),
		slog.String("field", d.Field), slog.String("reason", d.Reason),
	} {
		if known.Value.String() != "" {
			attrs = append(attrs, known)
		}
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
		attrs = append(attrs, slog.String("code", string(gitops.CodeOf(err))), slog.String("error", err.Error()))
	}
	in.Logger.LogAttrs(ctx, level, "delivery", attrs...)
}

// tellSettled counts and logs the updates that had ended when they were accepted,
// as a lane does for all others.
func (in *Intake) tellSettled(ctx context.Context, d gitops.Delivery) {
	for _, u := range d.Updates {
		if !u.State.Settled() {
			continue
		}
		in.Recorder.Settled(u.Environment, u.State, 0)
		in.Logger.InfoContext(ctx, "update", "environment", u.Environment, "update", u.ID, "delivery", d.Key().String(),
			"app", u.App, "tag", u.Tag, "state", string(u.State), "reason", u.Reason)
	}
}

// RemoteOf is the address that a request came from, without its port, which
// nobody looks for.
func RemoteOf(remoteAddr string) string {
	host, _, err := net.SplitHostPort(remoteAddr)
	if err != nil {
		return remoteAddr
	}
	return host
}
