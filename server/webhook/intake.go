package webhook

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Planner says what an event means; see policy.Policy.Plan.
type Planner interface {
	Plan(gitops.Event) (gitops.Delivery, error)
}

// Authorizer says what a principal may do; see access.List.
type Authorizer interface {
	// Authorize returns the rule that allows it. The error's code is Forbidden.
	Authorize(p gitops.Principal, right gitops.Right, app, environment string) (rule string, err error)
	// AuthorizeAnywhere is nil where the principal has the right to any app.
	AuthorizeAnywhere(p gitops.Principal, right gitops.Right) error
}

// Inbox makes deliveries durable; see queue.Inbox.
type Inbox interface {
	Accept(ctx context.Context, d gitops.Delivery) (stored gitops.Delivery, duplicate bool, err error)
	ExistingIDs(ctx context.Context, source string, ids []string) (existing []string, err error)
}

// Recorder counts the results of deliveries. Safe for concurrent use.
type Recorder interface {
	// Delivery counts a delivery; the outcome is one of [Outcomes].
	Delivery(source, outcome string)
	// Finished counts an update that was final when it was accepted, because a newer
	// release was there already: no lane ever takes it. See lane.Recorder.
	Finished(environment string, state gitops.State, seconds float64)
	// NotKept counts a rejected or ignored delivery of which nothing is kept; the reason
	// is one of [NotKeptReasons].
	NotKept(source, reason string)
}

// Outcomes is the closed set of what a [Recorder] is told.
func Outcomes() []string {
	return []string{"accepted", "duplicate", "ignored", "rejected", "waiting", "unauthorized", "error"}
}

// messages are what the log says of a delivery, by outcome.
var messages = map[string]string{
	"accepted":     "delivery accepted",
	"duplicate":    "delivery duplicate",
	"ignored":      "delivery ignored",
	"rejected":     "delivery rejected",
	"waiting":      "delivery waiting",
	"unauthorized": "delivery unauthorized",
	"error":        "delivery failed",
}

// Intake is the one way in for authenticated events, whatever brought them:
// authorize and plan -> make durable -> count and log. Safe for concurrent use.
type Intake struct {
	Planner    Planner
	Authorizer Authorizer
	Inbox      Inbox
	Waiting    Waiting // where the planner may have a delivery wait
	Recorder   Recorder
	Logger     *slog.Logger
	Now        func() time.Time
	Config     string                  // hash of the configuration in force
	Refused    func(gitops.AuditEntry) // told of updates that no rule allows; nil tells nobody
	Spare      func() bool             // whether the store has room for what became no updates; nil: always
	Kept       *Kept                   // counts of the intake before this one; nil for its own
	Moved      *MovedTags              // nil: no environment refuses moved tags
	Waits      func()                  // told when a delivery began to wait for an app; it must not block; nil tells nobody
	// Hints is told of what an event hints at, and returns the environments that look because
	// of it. Nil tells nobody.
	Hints func(ctx context.Context, h gitops.Hint) (environments []string)

	own Kept
}

// Inbound is an event and how it came.
type Inbound struct {
	Event      gitops.Event
	Body       []byte // as authenticated
	Remote     string // see gitops.Delivery
	Credential string // see gitops.Delivery
	Recovered  bool   // see gitops.Delivery

	// Right is what its orders take: "" is the right order.
	Right gitops.Right
	// Store makes the planned delivery durable, with what comes with it, or refuses it: by
	// the inbox, which it is given, or by itself. Nil leaves that to the inbox.
	Store func(ctx context.Context, d gitops.Delivery, accept Accept) (stored gitops.Delivery, duplicate bool, err error)
}

// Accept makes a delivery durable; see queue.Inbox.
type Accept func(ctx context.Context, d gitops.Delivery) (stored gitops.Delivery, duplicate bool, err error)

func (from Inbound) right() gitops.Right { return cmp.Or(from.Right, gitops.RightOrder) }

// Accept takes one event in. It is accepted when it became updates just now, and
// not when it asks for nothing or is known. A rejection's code is Rejected, also
// when it is known: who sends it again must not take it for done. Forbidden means
// that the principal may not order it, and Unavailable that the store did not
// answer, or that what the event is for is not known yet; in each case nothing is kept.
// What needs an app that may become known waits: its outcome says so, and its sender must
// not send it again.
func (in *Intake) Accept(ctx context.Context, from Inbound) (d gitops.Delivery, accepted bool, err error) {
	if from.Event.Hint != nil {
		return in.takeHint(ctx, from), false, nil
	}
	d, duplicate, err := in.store(ctx, from)
	outcome := outcomeOf(d, duplicate, err)
	line := d
	line.Remote, line.Credential = from.Remote, from.Credential // a duplicate has those of the first
	in.record(ctx, line, outcome, err)
	accepted = outcome == "accepted"
	if accepted {
		in.recordFinished(ctx, d)
	}
	if d.Updates == nil {
		d.Updates = []gitops.Update{} // "updates": [] in the answer, never null
	}
	return d, accepted, err
}

// RecordRejection counts and logs what was not taken in: it is not authenticated,
// or cannot be read. Of the key only what is known is set.
func (in *Intake) RecordRejection(ctx context.Context, key gitops.DeliveryKey, remote string, err error) {
	d := gitops.Delivery{Source: key.Source, ID: key.ID, Remote: remote}
	in.record(ctx, d, outcomeOf(d, false, err), err)
}

// store plans an event and makes it durable. With an error the delivery has
// whatever was known of it by then.
func (in *Intake) store(ctx context.Context, from Inbound) (gitops.Delivery, bool, error) {
	planned, rejection := in.plan(from)
	nameOrder(&planned, from.Event.Orders)
	if code := gitops.CodeOf(rejection); code == gitops.Forbidden || code == gitops.Unavailable {
		return planned, false, rejection
	}
	planned.Body, planned.Remote, planned.Credential, planned.Recovered = from.Body, from.Remote, from.Credential, from.Recovered
	planned.ReceivedAt, planned.Config = in.Now().UTC(), in.Config
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	moved, err := in.leaveOutMoved(ctx, from.Event.Principal, &planned)
	if err != nil {
		return planned, false, err
	}
	stored, duplicate, err := in.storePlanned(ctx, from, planned, rejection)
	if err == nil && !duplicate {
		in.recordMoved(ctx, stored.Key(), moved)
	}
	return stored, duplicate, err
}

// storePlanned makes an event durable as it was planned.
func (in *Intake) storePlanned(ctx context.Context, from Inbound, planned gitops.Delivery, rejection error) (gitops.Delivery, bool, error) {
	switch planned.Outcome {
	case gitops.OutcomeAccepted:
	case gitops.OutcomeWaiting:
		return in.storeWaiting(ctx, from, planned)
	default:
		return in.storePart(ctx, shorten(planned), rejection)
	}
	planned.BodyDigest = from.Event.BodyDigest
	stored, duplicate, err := in.acceptBy(ctx, planned, in.storeOf(from))
	if err == nil && !duplicate {
		err = rejection
	}
	return stored, duplicate, err
}

// storePart keeps what is to be kept of a delivery that became no updates. When its
// sender has too many, or the store has no room for it, nothing is, unless it is known:
// the answer is the same.
func (in *Intake) storePart(ctx context.Context, d gitops.Delivery, rejection error) (gitops.Delivery, bool, error) {
	sender := senderOf(d)
	reason := in.whyNotKept(sender, d)
	kept := reason == ""
	if !kept {
		known, err := in.Inbox.ExistingIDs(ctx, d.Source, []string{d.ID})
		if err != nil {
			return d, false, err
		}
		if len(known) == 0 {
			in.Recorder.NotKept(d.Source, reason)
			return d, false, rejection
		}
	}
	stored, duplicate, err := in.accept(ctx, d)
	if err != nil || duplicate {
		if kept {
			in.counts().giveBack(sender)
		}
		return stored, duplicate, err
	}
	return stored, false, rejection
}

// storeOf is what makes a delivery durable.
func (in *Intake) storeOf(from Inbound) Accept {
	if from.Store == nil {
		return in.Inbox.Accept
	}
	return func(ctx context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
		return from.Store(ctx, d, in.Inbox.Accept)
	}
}

// Plan says what an event would mean, and stores nothing.
func (in *Intake) Plan(from Inbound) (gitops.Delivery, error) { return in.plan(from) }

// accept makes a delivery durable. One that is known is answered with the first one,
// which was perhaps rejected.
func (in *Intake) accept(ctx context.Context, d gitops.Delivery) (stored gitops.Delivery, duplicate bool, err error) {
	return in.acceptBy(ctx, d, in.Inbox.Accept)
}

func (in *Intake) acceptBy(ctx context.Context, d gitops.Delivery, store Accept) (stored gitops.Delivery, duplicate bool, err error) {
	stored, duplicate, err = store(ctx, d)
	switch {
	case err != nil:
		return d, false, err
	case duplicate && stored.Outcome == gitops.OutcomeRejected:
		return stored, true, rejectionOf(stored)
	case duplicate && stored.Key() != d.Key():
		stored.Reason = fmt.Sprintf("the same dispatch was received before as %s and counts once: to order the same again, give client_payload a nonce, any text that is new",
			stored.Key())
	}
	return stored, duplicate, nil
}

func outcomeOf(d gitops.Delivery, duplicate bool, err error) string {
	switch {
	case duplicate:
		return "duplicate"
	case err == nil:
		return string(d.Outcome)
	case gitops.CodeOf(err) == gitops.Unauthorized, gitops.CodeOf(err) == gitops.Forbidden:
		return "unauthorized"
	case gitops.CodeOf(err) == gitops.Rejected, gitops.CodeOf(err) == gitops.Conflict: // the latter is held, and its sender is told by what
		return "rejected"
	}
	return "error"
}

// record counts a delivery and writes the one line that the log has of it.
func (in *Intake) record(ctx context.Context, d gitops.Delivery, outcome string, err error) {
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
	if !d.DecidedAt.IsZero() {
		attrs = append(attrs, slog.Float64("waitedSeconds", d.DecidedAt.Sub(d.ReceivedAt).Seconds()))
	}
	var ids []string
	for _, u := range d.Updates {
		if u.ID != "" { // else it was not stored
			ids = append(ids, u.ID)
		}
	}
	if len(ids) > 0 {
		attrs = append(attrs, slog.Any("updates", ids))
	}
	level := slog.LevelInfo
	if err != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("code", string(gitops.CodeOf(err))), slog.String("error", err.Error()))
	}
	in.Logger.LogAttrs(ctx, level, messages[outcome], attrs...)
}

// recordFinished counts and logs the updates that were final when they were
// accepted, as a lane does for all others.
func (in *Intake) recordFinished(ctx context.Context, d gitops.Delivery) {
	for _, u := range d.Updates {
		if !u.State.Final() {
			continue
		}
		in.Recorder.Finished(u.Environment, u.State, 0)
		in.Logger.InfoContext(ctx, "update superseded", "environment", u.Environment, "update", u.ID, "delivery", d.Key().String(),
			"app", u.App, "tag", u.Tag, "reason", u.Reason)
	}
}
