package api

import (
	"context"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// holdSlack is how far the end of a hold may be from what was asked for as a duration: the
// request was decided a moment before it was stored.
const holdSlack = time.Minute

// placePin places a pin. It orders its tag with it, unless the branch has that already and
// nothing is under way, so what was being written is corrected behind it.
func (a *API) placePin(r *http.Request, act holdAct) (int, any, error) {
	ctx, environment, app := r.Context(), act.wish.Environments[0], act.wish.Apps[0]
	s, err := a.holding(ctx)
	if err != nil {
		return 0, nil, err
	}
	pin, err := acts.Hold(act.wish, act.by, a.Pins, s)
	if err != nil {
		return 0, nil, err
	}
	in := webhook.Inbound{Body: act.body, Remote: act.by.Remote, Credential: act.by.Credential}
	in.Event.Principal = act.by.Principal
	if in.Event.Delivery = act.request(); in.Event.Delivery.ID == "" {
		in.Event.Delivery = gitops.DeliveryKey{Source: Source, ID: DeliveryID(act.by.Principal, a.NewID())}
	}
	in.Event.Orders = []gitops.Order{{App: app, Environment: environment, Tag: act.wish.Tag, Digest: act.form.Digest}}
	open, err := a.open(ctx, environment, app)
	if err != nil {
		return 0, nil, err
	}
	act.had, _, err = a.branchTag(ctx, environment, app)
	if err != nil {
		return 0, nil, err
	}
	order := acts.NeedsOrder(pin, act.had, open) || act.form.Digest != ""
	if order {
		if _, err := a.Access.Authorize(act.by.Principal, gitops.RightOrder, app, environment); err != nil {
			a.refuse(r, callerOf(r), asked{right: gitops.RightOrder, app: app, environment: environment}, err)
			return 0, nil, err
		}
	}
	switch {
	case act.dryRun:
		return a.dryRunPin(ctx, act, in, pin, order, open, s)
	case !order:
		return a.carryOutHold(r, act, acts.Placement(pin, nil, act.by, act.request().ID))
	}
	return a.orderPin(r, act, in, pin, s)
}

// orderPin places a pin with its order, which goes the way of any other.
func (a *API) orderPin(r *http.Request, act holdAct, in webhook.Inbound, pin gitops.Hold, s acts.State) (int, any, error) {
	var placed queue.Placed
	in.Store = func(ctx context.Context, d gitops.Delivery, _ webhook.Accept) (gitops.Delivery, bool, error) {
		d.Updates[0].Terms = &gitops.Terms{Reason: pin.Reason, PinUntil: pin.Until}
		var err error
		if placed, err = a.Store.Place(ctx, acts.Placement(pin, &d, act.by, "")); err != nil {
			return d, false, err
		}
		return *placed.Order, placed.Duplicate, nil
	}
	d, accepted, err := a.Intake.Accept(r.Context(), in)
	if err != nil {
		return 0, nil, err
	}
	if !accepted { // by another request with the same key, at the same time
		placed, err = a.heldBefore(r.Context(), act)
	} else {
		heldNow(d.Updates, s)
		placed.Order = &d
	}
	return a.answerHold(r.Context(), act, placed, err)
}

// heldNow says of open updates what holds them: their lane has not looked at them yet.
func heldNow(updates []gitops.Update, s acts.State) {
	for i := range updates {
		if u := &updates[i]; !u.State.Final() {
			u.BlockedBy = s.Blocks(u.Environment, u.App, u.Tag, append(u.Passes(), gitops.BlockPin)...)
		}
	}
}

// dryRunPin says what a pin would do.
func (a *API) dryRunPin(ctx context.Context, act holdAct, in webhook.Inbound, pin gitops.Hold, order bool, open []gitops.Update, s acts.State) (int, any, error) {
	answer := HoldAnswer{Hold: pin, Replaced: acts.Replaced([]gitops.Hold{pin}, s), UnderWay: idsOf(open), DryRun: true}
	if order {
		d, err := a.Intake.Plan(in)
		if err != nil {
			return 0, nil, err
		}
		d.Credential, d.Remote, d.ReceivedAt = act.by.Credential, act.by.Remote, s.At
		d = planned(d, s)
		heldNow(d.Updates, s)
		answer.Order = &d
	}
	return http.StatusOK, answer, nil
}
