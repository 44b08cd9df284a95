package api

import (
	"cmp"
	"context"
	"net/http"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// order requests an update as a dispatch does, through the same intake. It answers
// as a receiver does: 202, or 200 when the Idempotency-Key is known. A person's order is
// judged by what holds now, and 409 says by what it would be held.
func (a *API) order(w http.ResponseWriter, r *http.Request) (int, any, error) {
	o, refused, err := a.readOrder(w, r)
	if err != nil {
		challenge(w, err)
		a.refuseOrder(r, o, refused, err)
		return 0, nil, err
	}
	if o.form.dryRun {
		return a.dryRunOrder(r.Context(), o)
	}
	o.in.Store = func(ctx context.Context, d gitops.Delivery, accept webhook.Accept) (gitops.Delivery, bool, error) {
		return a.storeOrder(ctx, o, d, accept)
	}
	d, accepted, err := a.Intake.Accept(r.Context(), o.in)
	switch {
	case err != nil && gitops.CodeOf(err) == gitops.Rejected:
		return 0, nil, cmp.Or(a.sameOrder(r.Context(), o.in), err)
	case err != nil:
		return 0, nil, err
	case accepted:
		return http.StatusAccepted, OrderAnswer{Delivery: d, Undo: undoOf(d)}, nil
	}
	return http.StatusOK, OrderAnswer{Delivery: d, Undo: undoOf(d)}, a.sameOrder(r.Context(), o.in)
}

// undoOf is the command that undoes an order of one update, while it is pending.
func undoOf(d gitops.Delivery) string {
	if len(d.Updates) == 1 && !d.Updates[0].State.Final() {
		return "tallyman cancel " + d.Updates[0].ID
	}
	return ""
}

// storeOrder stores a planned order, or refuses it for what holds it. One whose key is known
// was decided before, and is not judged again.
func (a *API) storeOrder(ctx context.Context, o readOrder, d gitops.Delivery, accept webhook.Accept) (gitops.Delivery, bool, error) {
	s, err := a.holding(ctx)
	if err != nil {
		return d, false, err
	}
	decided, err := acts.Order(d.Updates, o.form.wishes, o.by, s)
	if err != nil {
		if _, known := a.Store.Delivery(ctx, d.Key()); known != nil {
			return d, false, cmp.Or(unlessNotFound(known), err)
		}
		return accept(ctx, d)
	}
	d.Updates = unheld(decided)
	entries := acts.Overrides(decided, o.by, d.Key(), func(u gitops.Update) string { return o.override[queue.Area{Environment: u.Environment, App: u.App}] })
	stored, duplicate := d, false
	if len(entries) == 0 {
		stored, duplicate, err = accept(ctx, d)
	} else {
		stored, duplicate, err = a.place(ctx, queue.Placement{Order: &d, Entries: entries, Credential: o.by.Credential, Remote: o.by.Remote, Config: o.by.Config})
	}
	if err == nil && !duplicate {
		for i := range stored.Updates {
			if !stored.Updates[i].State.Final() {
				stored.Updates[i].BlockedBy = decided[i].BlockedBy
			}
		}
	}
	return stored, duplicate, err
}

// place stores an order with what comes with it.
func (a *API) place(ctx context.Context, p queue.Placement) (gitops.Delivery, bool, error) {
	placed, err := a.Store.Place(ctx, p)
	if err != nil {
		return *p.Order, false, err
	}
	return *placed.Order, placed.Duplicate, nil
}

// unheld are updates as the store takes them: what holds them is for the lane to report.
func unheld(decided []gitops.Update) []gitops.Update {
	updates := make([]gitops.Update, len(decided))
	for i, u := range decided {
		u.BlockedBy = nil
		updates[i] = u
	}
	return updates
}

// unlessNotFound is an error that is of something else than what is not there.
func unlessNotFound(err error) error {
	if gitops.CodeOf(err) == gitops.NotFound {
		return nil
	}
	return err
}

// dryRunOrder plans an order, and says what would hold it and what is under way.
func (a *API) dryRunOrder(ctx context.Context, o readOrder) (int, any, error) {
	d, err := a.Intake.Plan(o.in)
	if err != nil {
		return 0, nil, err
	}
	s, err := a.holding(ctx)
	if err != nil {
		return 0, nil, err
	}
	if d.Updates, err = acts.Order(d.Updates, o.form.wishes, o.by, s); err != nil {
		return 0, nil, err
	}
	d.Credential, d.Remote, d.ReceivedAt = o.in.Credential, o.in.Remote, s.At
	answer := OrderAnswer{Delivery: planned(d, s), DryRun: true}
	for _, u := range d.Updates[:min(len(d.Updates), mostLooked)] {
		open, err := a.open(ctx, u.Environment, u.App)
		if err != nil {
			return 0, nil, err
		}
		answer.UnderWay = append(answer.UnderWay, idsOf(open)...)
	}
	return http.StatusOK, answer, nil
}

// planned is a planned delivery as it would be stored.
func planned(d gitops.Delivery, s acts.State) gitops.Delivery {
	for i := range d.Updates {
		u := &d.Updates[i]
		u.ID, u.Delivery, u.State, u.AcceptedAt = gitops.UpdateID(d.Key(), u.Environment, u.App), d.Key(), gitops.Pending, s.At
	}
	return d
}

// refuseOrder leaves what a refused order leaves, with what was known of it by then.
func (a *API) refuseOrder(r *http.Request, o readOrder, refused []webhook.RefusedOrder, err error) {
	caller, q := Caller{Principal: o.in.Event.Principal, Credential: o.in.Credential}, asked{right: cmp.Or(o.right, gitops.RightOrder), delivery: o.in.Event.Delivery}
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

// readOrder is an order whose sender is authorized.
type readOrder struct {
	in       webhook.Inbound
	form     orderForm
	by       acts.By
	right    gitops.Right          // that was asked for last
	override map[queue.Area]string // the rules that allow to pass what holds
}

// readOrder authenticates, authorizes and reads an order. With an error it has what was
// known by then, and refused what the caller may not order.
func (a *API) readOrder(w http.ResponseWriter, r *http.Request) (o readOrder, refused []webhook.RefusedOrder, err error) {
	in := &o.in
	in.Remote = webhook.ClientIP(r.RemoteAddr)
	in.Event.Delivery.Source = Source
	caller, err := a.caller(r)
	noteCaller(r.Context(), caller)
	if err != nil {
		return o, nil, err
	}
	in.Credential, in.Event.Principal = caller.Credential, caller.Principal
	if err := a.can(caller, gitops.RightOrder); err != nil {
		return o, nil, err
	}
	key, err := a.keyOf(r)
	if err != nil {
		return o, nil, err
	}
	in.Event.Delivery.ID = DeliveryID(caller.Principal, cmp.Or(key, a.NewID()))
	if in.Body, err = webhook.ReadBody(w, r, webhook.MaxBody); err != nil {
		return o, nil, err
	}
	if o.form, err = decodeForm(in.Body); err != nil {
		return o, nil, err
	}
	if o.form.dryRun, err = dryRunOf(r, o.form.dryRun); err != nil {
		return o, nil, err
	}
	o.form.Revision = cmp.Or(o.form.Revision, caller.Revision)
	orders, wrong := o.form.Orders()
	if wrong != nil {
		return o, nil, wrong
	}
	in.Event.Orders, o.by = orders, a.by(r, caller, "")
	if _, refused = webhook.AuthorizeOrders(a.Access, gitops.RightOrder, in.Event); len(refused) > 0 {
		return o, refused, refused[0].Err
	}
	if refused := o.authorizeOverride(a.Access); len(refused) > 0 {
		return o, refused, refused[0].Err
	}
	if caller.UseOnce != nil && !o.form.dryRun {
		return o, nil, caller.UseOnce(r.Context(), in.Event.Delivery)
	}
	return o, nil, nil
}

// authorizeOverride finds the rules that allow the order to pass what holds it, if it asks
// for that.
func (o *readOrder) authorizeOverride(by Authorizer) []webhook.RefusedOrder {
	if !o.form.wishes.Passes() {
		return nil
	}
	o.right = gitops.RightOverride
	rules, refused := webhook.AuthorizeOrders(by, gitops.RightOverride, o.in.Event)
	o.override = make(map[queue.Area]string, len(rules))
	for i, order := range o.in.Event.Orders {
		o.override[queue.Area{Environment: order.Environment, App: order.App}] = rules[i]
	}
	return refused
}
