package webhook

import (
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// plan says which updates an event means of those that its principal may order.
// Every update of the plan has the rule that allows it. Orders of which no rule allows
// one are not planned at all: whoever may not order an app learns nothing of it.
func (in *Intake) plan(from Inbound) (gitops.Delivery, error) {
	e := from.Event
	if len(e.Orders) == 0 {
		d, err := in.Planner.Plan(e)
		in.authorizeUpdates(from, &d)
		in.authorizeWait(from, &d)
		return d, err
	}
	rules, refused := AuthorizeOrders(in.Authorizer, from.right(), e)
	for _, r := range refused {
		in.tellRefused(from, gitops.Update{App: r.App, Environment: r.Environment, Tag: r.Tag}, r.Err)
	}
	if len(refused) > 0 {
		return in.refuseOrder(e, refused[0].Err)
	}
	d, err := in.Planner.Plan(e)
	for i := range d.Updates { // each is an order's
		d.Updates[i].Rule = rules[i]
	}
	return d, err
}

// RefusedOrder is an order that no rule allows.
type RefusedOrder struct {
	gitops.Order
	Err error // the code is Forbidden
}

// mostRefused is how many orders of one event are said to be refused: each becomes an
// entry of the audit.
const mostRefused = 10

// AuthorizeOrders returns the rule that allows each order of an event by a right, and the
// first of those that none allows: of these the whole event is refused. An order that lacks
// a name is for nothing yet; its plan says what is missing.
func AuthorizeOrders(by Authorizer, right gitops.Right, e gitops.Event) (rules []string, refused []RefusedOrder) {
	rules = make([]string, len(e.Orders))
	for i, order := range e.Orders {
		if order.App == "" || order.Environment == "" {
			continue
		}
		var err error
		if rules[i], err = by.Authorize(e.Principal, right, order.App, order.Environment); err != nil {
			if refused = append(refused, RefusedOrder{order, err}); len(refused) == mostRefused {
				break
			}
		}
	}
	return rules, refused
}

// refuseOrder refuses an order that no rule allows. A dispatch's is kept, as any
// other order that cannot be carried out: its sender sees GitHub's list of
// deliveries, and "why did nothing happen?" has its answer there and here.
func (in *Intake) refuseOrder(e gitops.Event, why error) (gitops.Delivery, error) {
	if e.Principal.Dispatch == nil {
		return gitops.Delivery{Source: e.Delivery.Source, ID: e.Delivery.ID, Actor: e.Principal.Actor(), Principal: e.Principal.ID()}, why
	}
	e.Orders, e.Violation = nil, &gitops.Error{Code: gitops.Rejected, Field: "repository", Message: gitops.PublicOf(why)}
	return in.Planner.Plan(e)
}

// tellRefused tells of an update that no rule allows.
func (in *Intake) tellRefused(from Inbound, u gitops.Update, why error) {
	if in.Refused == nil || from.Event.Principal.Kind() == "" {
		return
	}
	p := from.Event.Principal
	in.Refused(gitops.AuditEntry{
		Principal: p.ID(), Actor: p.Actor(), Credential: from.Credential, Remote: from.Remote, Right: from.right(),
		Environment: u.Environment, App: u.App, Delivery: from.Event.Delivery.String(), After: u.Tag, Reason: gitops.PublicOf(why),
	})
}

// authorizeWait ends the wait of a push that could order no app whatever becomes known.
func (in *Intake) authorizeWait(from Inbound, d *gitops.Delivery) {
	if d.Outcome != gitops.OutcomeWaiting {
		return
	}
	if err := in.Authorizer.AuthorizeAnywhere(from.Event.Principal, gitops.RightOrder); err != nil {
		in.tellRefused(from, gitops.Update{Tag: from.Event.Push.Tag}, err)
		*d = endWait(from.Event, *d, gitops.PublicOf(err))
	}
}

// authorizeUpdates leaves out what the principal may not order. The reason has a
// sentence for each environment in which something was left out, and the audit an entry.
func (in *Intake) authorizeUpdates(from Inbound, d *gitops.Delivery) {
	if len(d.Updates) == 0 {
		return
	}
	allowed := make([]gitops.Update, 0, len(d.Updates))
	var reasons []string
	left := make(map[string]bool) // environments
	for _, u := range d.Updates {
		rule, err := in.Authorizer.Authorize(from.Event.Principal, gitops.RightOrder, u.App, u.Environment)
		if err == nil {
			u.Rule = rule
			allowed = append(allowed, u)
		} else if !left[u.Environment] { // of several apps the first stands for all
			left[u.Environment] = true
			in.tellRefused(from, u, err)
			reasons = append(reasons, u.Environment+": "+gitops.PublicOf(err))
		}
	}
	d.Updates = allowed
	if d.Reason != "" {
		reasons = append([]string{d.Reason}, reasons...)
	}
	d.Reason = strings.Join(reasons, "; ")
	if len(allowed) == 0 {
		d.Outcome = gitops.OutcomeIgnored
	}
}
