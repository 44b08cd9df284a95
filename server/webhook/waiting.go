package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Waiting keeps deliveries that wait for an app; see queue.Waiting.
type Waiting interface {
	WaitingDeliveries(ctx context.Context, p queue.Page) (found []gitops.Delivery, next string, err error)
	Settle(ctx context.Context, d gitops.Delivery) (stored gitops.Delivery, settled bool, err error)
}

// reconsidered is how many deliveries are looked at together: 2 MiB at most.
const reconsidered = 100

// storeWaiting keeps a delivery that waits for an app. Where it cannot wait it is stored as
// what it would be without the wait.
func (in *Intake) storeWaiting(ctx context.Context, from Inbound, d gitops.Delivery) (gitops.Delivery, bool, error) {
	event, err := gitops.EncodeEvent(from.Event)
	if err != nil {
		return in.storeEnded(ctx, from, d, gitops.PublicOf(err))
	}
	sender := senderOf(d)
	if why := in.whyNotKept(sender, d); why != "" {
		return in.storeEnded(ctx, from, d, whyNoWait[why])
	}
	waits := shorten(d)
	waits.Event, waits.BodyDigest = event, from.Event.BodyDigest
	waits.Reason = fmt.Sprintf("%s: it waits until %s", d.Reason, timeText(waits.WaitsUntil()))
	stored, duplicate, err := in.accept(ctx, waits)
	if err != nil || duplicate {
		in.counts().giveBack(sender)
	}
	switch {
	case gitops.CodeOf(err) == gitops.TooLarge:
		return in.storeEnded(ctx, from, d, gitops.PublicOf(err))
	case err != nil || duplicate:
		return stored, duplicate, err
	}
	if in.Waits != nil {
		in.Waits()
	}
	// The app may have become known between the plan and the store: whoever looked at what
	// waits in between has not seen this one. Without an answer it is looked at later.
	if decided, settled, err := in.decide(ctx, stored); err == nil && settled {
		return decided, false, rejectionOf(decided)
	}
	return stored, false, nil
}

// whyNoWait says why a delivery of which nothing is kept cannot wait.
var whyNoWait = map[string]string{
	notKeptSender: "its sender has too many that wait",
	notKeptRoom:   "the store is nearly full",
}

// storeEnded stores a delivery that cannot wait.
func (in *Intake) storeEnded(ctx context.Context, from Inbound, d gitops.Delivery, why string) (gitops.Delivery, bool, error) {
	d = endWait(from.Event, d, "it cannot wait for one: "+why)
	return in.storePart(ctx, shorten(d), rejectionOf(d))
}

// endWait is what a delivery that was planned to wait is without the wait: rejected like
// any order that cannot be, or ignored like any push that nothing has.
func endWait(e gitops.Event, d gitops.Delivery, why string) gitops.Delivery {
	d.Outcome = gitops.OutcomeIgnored
	if len(e.Orders) > 0 {
		d.Outcome = gitops.OutcomeRejected
	}
	d.Reason += ": " + why
	return d
}

// rejectionOf is the error of a delivery that was rejected, and nil of any other.
func rejectionOf(d gitops.Delivery) error {
	if d.Outcome != gitops.OutcomeRejected {
		return nil
	}
	return &gitops.Error{Code: gitops.Rejected, Field: d.Field, Message: d.Reason}
}

// Reconsider plans every delivery that waits again, oldest first, and decides those that
// wait no longer: the app that they need is known, what they ask for has become
// impossible, or their time is over. Several replicas may do so at once: each delivery is
// decided once. It ends at the first error of the store, and what is left is decided by
// the next call.
func (in *Intake) Reconsider(ctx context.Context) error {
	for p := (queue.Page{Limit: reconsidered}); ; {
		found, next, err := in.Waiting.WaitingDeliveries(ctx, p)
		if err != nil {
			return err
		}
		for _, d := range found {
			if err := in.reconsider(ctx, d); err != nil {
				return err
			}
		}
		if p.Cursor = next; next == "" {
			return nil
		}
	}
}

// reconsider decides one delivery that waits, counts it and logs the result. What the
// store refuses for this one alone does not keep the others from being decided.
func (in *Intake) reconsider(ctx context.Context, waits gitops.Delivery) error {
	d, settled, err := in.decide(ctx, waits)
	switch {
	case gitops.CodeOf(err) == gitops.Unavailable:
		return err
	case err != nil:
		in.Logger.ErrorContext(ctx, "waiting delivery not decided", slog.String("delivery", waits.Key().String()), slog.String("error", err.Error()))
	case settled:
		in.record(ctx, d, string(d.Outcome), nil)
		if d.Outcome == gitops.OutcomeAccepted {
			in.recordFinished(ctx, d)
		}
	}
	return nil
}

// decide plans a delivery that waits as if it came now, and settles it unless it still
// waits. It is settled by one replica; the others find it settled. What cannot be decided
// is tried again until its time is over, and is rejected then.
func (in *Intake) decide(ctx context.Context, waits gitops.Delivery) (d gitops.Delivery, settled bool, err error) {
	d, settled, err = in.decideAsPlanned(ctx, waits)
	if err == nil || gitops.CodeOf(err) == gitops.Unavailable || in.Now().Before(waits.WaitsUntil()) {
		return d, settled, err
	}
	d = waits
	d.Outcome, d.Config = gitops.OutcomeRejected, in.Config
	d.Reason = fmt.Sprintf("it waited until %s and could not be decided: %s", timeText(waits.WaitsUntil()), gitops.PublicOf(err))
	return in.settle(ctx, d)
}

func (in *Intake) decideAsPlanned(ctx context.Context, waits gitops.Delivery) (d gitops.Delivery, settled bool, err error) {
	e, err := gitops.DecodeEvent(waits)
	if err != nil {
		return waits, false, err
	}
	d, rejection := in.plan(Inbound{Event: e, Body: waits.Body, Remote: waits.Remote, Credential: waits.Credential, Recovered: waits.Recovered})
	if rejection != nil && gitops.CodeOf(rejection) != gitops.Rejected {
		return waits, false, rejection
	}
	if d.Outcome == gitops.OutcomeWaiting {
		if in.Now().Before(waits.WaitsUntil()) {
			return waits, false, nil
		}
		d = endWait(e, d, fmt.Sprintf("it waited until %s. Send it again when there is one", timeText(waits.WaitsUntil())))
	}
	moved, err := in.leaveOutMoved(ctx, e.Principal, &d)
	if err != nil {
		return waits, false, err
	}
	nameOrder(&d, e.Orders)
	d.EventTime, d.ReceivedAt, d.Remote, d.Credential, d.Recovered = waits.EventTime, waits.ReceivedAt, waits.Remote, waits.Credential, waits.Recovered
	d.Body, d.BodyDigest, d.Config = waits.Body, waits.BodyDigest, in.Config
	d, settled, err = in.settle(ctx, d)
	if settled {
		in.recordMoved(ctx, d.Key(), moved)
	}
	return d, settled, err
}

func (in *Intake) settle(ctx context.Context, d gitops.Delivery) (stored gitops.Delivery, settled bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return in.Waiting.Settle(ctx, d)
}

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }
