package api

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// rollbackAct is a request for a rollback whose sender is authorized.
type rollbackAct struct {
	in       webhook.Inbound
	wish     acts.RollbackWish
	by       acts.By
	override string // the rule that allows it to pass a stop
	keyed    bool   // its sender gave an Idempotency-Key
	dryRun   bool
}

// rollback goes back to an earlier tag, and stays there: 201, or 200 when the
// Idempotency-Key is known.
func (a *API) rollback(w http.ResponseWriter, r *http.Request) (int, any, error) {
	act, err := a.readRollback(w, r)
	if err != nil {
		return 0, nil, err
	}
	ctx := r.Context()
	if act.keyed && !act.dryRun {
		placed, err := a.before(ctx, act.in.Event.Delivery)
		if err != nil || placed.Duplicate {
			return a.rollbackAgain(act, placed, err)
		}
	}
	seen, s, err := a.seen(ctx, act.wish)
	if err != nil {
		return 0, nil, err
	}
	found := act.wish.Tag == ""
	if found {
		if err := a.findPrevious(w, r, &act.wish, &seen, s); err != nil {
			return 0, nil, err
		}
	}
	plan, err := acts.PlanRollback(act.wish, seen, act.by, a.Pins, s)
	if err != nil {
		return 0, nil, err
	}
	if act.wish.Digest, err = a.earlier(w, r, act.wish, found); err != nil {
		return 0, nil, err
	}
	act.in.Event.Orders = []gitops.Order{{App: act.wish.App, Environment: act.wish.Environment, Tag: act.wish.Tag, Digest: act.wish.Digest}}
	if act.dryRun {
		return a.dryRunRollback(ctx, act, plan, seen, s)
	}
	return a.carryOut(ctx, act, plan, seen)
}

// readRollback reads a request for a rollback and authorizes its sender.
func (a *API) readRollback(w http.ResponseWriter, r *http.Request) (act rollbackAct, err error) {
	key, err := a.keyOf(r)
	if err != nil {
		return act, err
	}
	caller := callerOf(r)
	in := &act.in
	if in.Body, err = webhook.ReadBody(w, r, maxAct); err != nil {
		return act, err
	}
	var form RollbackRequest
	if err := decodeStrictly(in.Body, &form, "app, environment, reason and perhaps tag, digest, until, for, keep, throughStop and dryRun"); err != nil {
		return act, err
	}
	if act.dryRun, err = dryRunOf(r, form.DryRun); err != nil {
		return act, err
	}
	act.wish = acts.RollbackWish{Environment: form.Environment, App: form.App, Tag: form.Tag, Digest: form.Digest, Keep: form.Keep,
		Reason: strings.TrimSpace(form.Reason), ThroughStop: strings.TrimSpace(form.ThroughStop)}
	if act.wish.Until, act.wish.For, err = endOf(form.Until, form.For); err != nil {
		return act, err
	}
	if err := act.wish.Check(); err != nil {
		return act, err
	}
	where := gitops.Hold{Environments: []string{form.Environment}, Apps: []string{form.App}}
	rule, err := a.mayHold(r, gitops.RightRollback, where)
	if err != nil {
		return act, err
	}
	if act.wish.ThroughStop != "" {
		if act.override, err = a.mayHold(r, gitops.RightOverride, where); err != nil {
			return act, err
		}
	}
	act.by, act.keyed = a.by(r, caller, rule), key != ""
	in.Right, in.Remote, in.Credential, in.Event.Principal = gitops.RightRollback, act.by.Remote, caller.Credential, caller.Principal
	in.Event.Delivery = gitops.DeliveryKey{Source: Source, ID: DeliveryID(caller.Principal, cmp.Or(key, a.NewID()))}
	return act, a.CheckNames(where.Environments, where.Apps)
}

// seen reads what a rollback is decided by. The head is read first: what is written after
// that is a conflict, and what the branch has is no older.
func (a *API) seen(ctx context.Context, w acts.RollbackWish) (seen acts.Seen, s acts.State, err error) {
	if seen.Head, err = a.Store.Head(ctx, w.Environment, w.App); err != nil {
		return seen, s, err
	}
	if s, err = a.holding(ctx); err != nil {
		return seen, s, err
	}
	if seen.Open, err = a.open(ctx, w.Environment, w.App); err != nil {
		return seen, s, err
	}
	seen.From, _, err = a.branchTag(ctx, w.Environment, w.App)
	seen.From = cmp.Or(seen.From, seen.Head.WrittenTag) // the git server may be away
	return seen, s, err
}

// carryOut places a rollback: its order goes the way of any other. Without anything to
// write there is only its pin.
func (a *API) carryOut(ctx context.Context, act rollbackAct, plan acts.Rollback, seen acts.Seen) (int, any, error) {
	var placed queue.Placed
	var err error
	key := act.in.Event.Delivery
	if plan.Nothing {
		p := plan.Placement(act.wish, nil, "", act.by, key, act.override)
		if !act.keyed {
			p.Key = ""
		}
		if placed, err = a.Store.Place(ctx, p); err != nil {
			return 0, nil, err
		}
		return a.rolledBack(ctx, act, plan, seen, placed)
	}
	act.in.Store = func(ctx context.Context, d gitops.Delivery, _ webhook.Accept) (gitops.Delivery, bool, error) {
		d.Updates[0].Terms = &plan.Terms
		if placed, err = a.Store.Place(ctx, plan.Placement(act.wish, &d, seen.Head.WrittenID, act.by, key, act.override)); err != nil {
			return d, false, err
		}
		return *placed.Order, placed.Duplicate, nil
	}
	if _, _, err := a.Intake.Accept(ctx, act.in); err != nil {
		return 0, nil, err
	}
	return a.rolledBack(ctx, act, plan, seen, placed)
}

// rolledBack answers a rollback that is stored. One that was stored before, by another
// request with the same key, is answered by what is stored.
func (a *API) rolledBack(ctx context.Context, act rollbackAct, plan acts.Rollback, seen acts.Seen, placed queue.Placed) (int, any, error) {
	if placed.Duplicate {
		placed, err := a.before(ctx, act.in.Event.Delivery)
		return a.rollbackAgain(act, placed, err)
	}
	plan.Holds = placed.Holds
	answer := answerTo(plan, act.wish, placed.Replaced)
	answer.UnderWay = idsOf(seen.Open)
	if placed.Order != nil {
		answer.Update, answer.Delivery = &placed.Order.Updates[0], placed.Order.Key()
	}
	a.Logger.InfoContext(ctx, "rollback requested", slog.String("environment", act.wish.Environment), slog.String("app", act.wish.App), slog.String("from", plan.From),
		slog.String("tag", plan.To), slog.String("actor", act.by.Principal.Actor()), slog.String("reason", act.wish.Reason))
	return http.StatusCreated, answer, nil
}

// rollbackAgain answers a rollback whose key is known, by what was placed with it.
func (a *API) rollbackAgain(act rollbackAct, placed queue.Placed, err error) (int, any, error) {
	if err != nil {
		return 0, nil, err
	}
	plan := acts.Rollback{Holds: placed.Holds, Nothing: placed.Order == nil}
	if plan.Nothing {
		if pin := placed.Holds[0]; !act.asked(pin) {
			return 0, nil, anotherAct(fmt.Sprintf("a %s, %s", pin.Kind, pin.ID))
		}
		plan.From, plan.To = placed.Holds[0].Tag, placed.Holds[0].Tag
	} else {
		if err := sameAct[RollbackRequest](placed, act.in.Body); err != nil {
			return 0, nil, err
		}
		u := placed.Order.Updates[0]
		plan.From, plan.To = cmp.Or(u.Terms.RollsBack, u.Tag), u.Tag
	}
	answer := answerTo(plan, act.wish, nil)
	if !plan.Nothing {
		answer.Update, answer.Delivery = &placed.Order.Updates[0], placed.Order.Key()
	}
	return http.StatusOK, answer, nil
}

// asked reports whether a pin that was placed alone is what the rollback asks for.
func (act rollbackAct) asked(pin gitops.Hold) bool {
	w := act.wish
	wish := acts.HoldWish{Kind: gitops.HoldPin, Environments: []string{w.Environment}, Apps: []string{w.App}, Tag: cmp.Or(w.Tag, pin.Tag), Reason: w.Reason, Until: w.Until, For: w.For}
	return holdAct{wish: wish}.asked(pin)
}

// answerTo is the answer to a rollback, as far as its plan says it. The commands that go on
// from it are of what is still in force.
func answerTo(plan acts.Rollback, w acts.RollbackWish, replaced []gitops.Hold) RollbackAnswer {
	now, left := time.Now(), plan
	left.Holds = standing(plan.Holds, now)
	answer := RollbackAnswer{From: plan.From, To: plan.To, Replaced: replaced, Undo: left.Forward(w.Environment, w.App, replaced, now)}
	pinned := slices.ContainsFunc(left.Holds, func(h gitops.Hold) bool { return h.Kind == gitops.HoldPin })
	if pinned {
		answer.Resume = acts.Resume(w.Environment, w.App)
	}
	for _, h := range plan.Holds {
		switch h.Kind {
		case gitops.HoldPin:
			answer.Pin = h
		case gitops.HoldBad:
			answer.Bad = &h
		}
	}
	if plan.Nothing && pinned {
		answer.Note = w.App + " in " + w.Environment + " has " + plan.To + " already, and nothing is under way: nothing is written, and the pin keeps it there"
	}
	return answer
}

// dryRunRollback says what a rollback would do.
func (a *API) dryRunRollback(ctx context.Context, act rollbackAct, plan acts.Rollback, seen acts.Seen, s acts.State) (int, any, error) {
	d, err := a.Intake.Plan(act.in)
	if err != nil {
		return 0, nil, err
	}
	answer := answerTo(plan, act.wish, acts.Replaced(plan.Holds, s))
	answer.UnderWay, answer.DryRun = idsOf(seen.Open), true
	if !plan.Nothing {
		d = planned(d, s)
		u := d.Updates[0]
		u.Terms = &plan.Terms
		answer.Update, answer.Delivery = &u, d.Key()
	}
	return http.StatusOK, answer, nil
}
