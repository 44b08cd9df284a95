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

// holdList lists holds: those that cover something that the caller may read.
func (a *API) holdList(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	q := queryOf(r)
	filter := queue.HoldFilter{
		Environment: q.text("environment"), App: q.text("app"), Kind: oneOf(q, "kind", gitops.HoldKinds()),
		Ended: oneOf(q, "ended", []string{"true", "false"}) == "true", Within: a.viewOf(callerOf(r)).within(),
	}
	page := q.page()
	if err := q.done(); err != nil {
		return 0, nil, err
	}
	found, next, err := a.Store.HoldsListed(r.Context(), filter, page)
	if found == nil {
		found = []gitops.Hold{}
	}
	return http.StatusOK, HoldList{found, next}, err
}

// holdAct is a request to place a hold whose sender is authorized.
type holdAct struct {
	body   []byte
	form   HoldRequest
	wish   acts.HoldWish
	by     acts.By
	key    string // Idempotency-Key, may be empty
	dryRun bool
	had    string // of a pin: the tag that the branch has; "" where it is not known
}

// placeHold places a hold: 201, or 200 when the Idempotency-Key is known.
func (a *API) placeHold(w http.ResponseWriter, r *http.Request) (int, any, error) {
	act, err := a.readHold(w, r)
	if err != nil {
		return 0, nil, err
	}
	if act.wish.Kind == gitops.HoldStop {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(quietWithin + writeWithin)); err != nil {
			return 0, nil, err
		}
	}
	if placed, err := a.heldBefore(r.Context(), act); err != nil || placed.Duplicate {
		return a.answerHold(r.Context(), act, placed, err)
	}
	if act.wish.Kind == gitops.HoldPin {
		return a.placePin(r, act)
	}
	s, err := a.holding(r.Context())
	if err != nil {
		return 0, nil, err
	}
	h, err := acts.Hold(act.wish, act.by, a.Pins, s)
	if err != nil {
		return 0, nil, err
	}
	if act.dryRun {
		return a.dryRunHold(r.Context(), HoldAnswer{Hold: h, Replaced: acts.Replaced([]gitops.Hold{h}, s)})
	}
	return a.carryOutHold(r, act, acts.Placement(h, nil, act.by, act.request().ID))
}

// carryOutHold places a hold and waits for the pushes that had begun before a stop.
func (a *API) carryOutHold(r *http.Request, act holdAct, p queue.Placement) (int, any, error) {
	placed, err := a.Store.Place(r.Context(), p)
	return a.answerHold(r.Context(), act, placed, err)
}

// answerHold answers what was placed, by this request or by the first with its key. A hold
// that has ended meanwhile is answered as it ended.
func (a *API) answerHold(ctx context.Context, act holdAct, placed queue.Placed, err error) (int, any, error) {
	if err != nil {
		return 0, nil, err
	}
	h := placed.Holds[0]
	switch {
	case !placed.Duplicate:
		a.logHold(ctx, "hold placed", h)
	case placed.Order == nil && !act.asked(h):
		return 0, nil, anotherAct(fmt.Sprintf("a %s, %s", h.Kind, h.ID))
	}
	answer := HoldAnswer{Hold: h, Replaced: placed.Replaced, Order: placed.Order}
	if now := time.Now(); h.InForce(now) {
		answer.Undo = acts.Undo(h, placed.Replaced, act.had, now)
		if h.Kind == gitops.HoldStop {
			answer.Stop = a.stopped(ctx, h)
		}
	}
	return statusOf(placed.Duplicate), answer, nil
}

// quietWithin is how long a stop's answer may wait for pushes.
const quietWithin = 10 * time.Second

// stopped waits for the pushes that a stop has found under way. The stop is in force
// whatever is known of other replicas.
func (a *API) stopped(ctx context.Context, h gitops.Hold) *Stopped {
	s := &Stopped{UnderWay: []string{}, OtherReplicas: []string{}}
	ids, since := a.AwaitQuiet(ctx, h)
	s.UnderWay, s.QuietSince = append(s.UnderWay, ids...), since
	backlogs, err := a.Store.Backlogs(ctx)
	if err != nil {
		a.Logger.WarnContext(ctx, "holders of stopped lanes not known", slog.String("hold", h.ID), slog.String("error", err.Error()))
	}
	for _, b := range backlogs {
		in := len(h.Environments) == 0 || slices.Contains(h.Environments, b.Environment)
		if in && b.Holder != "" && b.Holder != a.Holder && !slices.Contains(s.OtherReplicas, b.Holder) {
			s.OtherReplicas = append(s.OtherReplicas, b.Holder)
		}
	}
	return s
}

func statusOf(duplicate bool) int {
	if duplicate {
		return http.StatusOK
	}
	return http.StatusCreated
}

// logHold writes the line of an act about a hold.
func (a *API) logHold(ctx context.Context, message string, h gitops.Hold) {
	actor, reason := h.Actor, h.Reason
	if h.Lifted != nil {
		actor, reason = h.Lifted.Actor, h.Lifted.Reason
	}
	a.Logger.InfoContext(ctx, message, slog.String("hold", h.ID), slog.String("kind", string(h.Kind)), slog.Any("environments", h.Environments),
		slog.Any("apps", h.Apps), slog.String("tag", h.Tag), slog.String("actor", actor), slog.String("reason", reason))
}

// dryRunHold says what a hold would do.
func (a *API) dryRunHold(ctx context.Context, answer HoldAnswer) (int, any, error) {
	var err error
	answer.DryRun = true
	answer.UnderWay, err = a.covered(ctx, answer.Hold)
	return http.StatusOK, answer, err
}

// readHold reads a request to place a hold, and authorizes its sender for all that the hold
// covers.
func (a *API) readHold(w http.ResponseWriter, r *http.Request) (act holdAct, err error) {
	if act.key, err = a.keyOf(r); err != nil {
		return act, err
	}
	if act.body, err = webhook.ReadBody(w, r, maxAct); err != nil {
		return act, err
	}
	form := &act.form
	if err := decodeStrictly(act.body, form, "kind, and what the kind needs of environments, apps, tag, digest, reason, until, for and dryRun"); err != nil {
		return act, err
	}
	if act.dryRun, err = dryRunOf(r, form.DryRun); err != nil {
		return act, err
	}
	for field, names := range map[string][]string{"environments": form.Environments, "apps": form.Apps} {
		if names != nil && len(names) == 0 {
			return act, gitops.FieldErrorf(field, "is an empty list: give at least one name, or leave it out, which means all")
		}
	}
	act.wish = acts.HoldWish{Kind: form.Kind, Environments: form.Environments, Apps: form.Apps, Tag: form.Tag, Reason: strings.TrimSpace(form.Reason)}
	if act.wish.Until, act.wish.For, err = endOf(form.Until, form.For); err != nil {
		return act, err
	}
	if err := cmp.Or(act.wish.Check(), checkDigestOf(*form)); err != nil {
		return act, err
	}
	rule, err := a.mayHold(r, acts.Right(act.wish.Kind), gitops.Hold{Environments: act.wish.Environments, Apps: act.wish.Apps})
	if err != nil {
		return act, err
	}
	act.by = a.by(r, callerOf(r), rule)
	return act, a.CheckNames(act.wish.Environments, act.wish.Apps)
}

func checkDigestOf(form HoldRequest) error {
	if form.Digest != "" && form.Kind != gitops.HoldPin {
		return gitops.FieldErrorf("digest", "says nothing for a %s, which orders nothing: leave it out", form.Kind)
	}
	return gitops.CheckDigest("digest", form.Digest)
}

// mayHold returns the rule that allows the caller a right to all that a hold covers: of
// several the first. One app in one environment that it may not refuses the whole.
func (a *API) mayHold(r *http.Request, right gitops.Right, h gitops.Hold) (rule string, err error) {
	caller := callerOf(r)
	for _, environment := range orAll(h.Environments) {
		for _, app := range orAll(h.Apps) {
			allowed, err := a.Access.Authorize(caller.Principal, right, app, environment)
			if err != nil {
				a.refuse(r, caller, asked{right: right, app: app, environment: environment}, err)
				return "", err
			}
			rule = cmp.Or(rule, allowed)
		}
	}
	return rule, nil
}

// liftHold ends a hold before its time. One that has ended is answered as it ended.
func (a *API) liftHold(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	q := queryOf(r)
	reason := strings.TrimSpace(q.text("reason"))
	dryRun := oneOf(q, "dryRun", []string{"true", "false"}) == "true"
	_, keyErr := a.keyOf(r)
	if err := cmp.Or(q.done(), keyErr, gitops.CheckReason("reason", reason)); err != nil {
		return 0, nil, err
	}
	h, ready, err := a.holdByID(r)
	if err != nil {
		return 0, nil, err
	}
	rule, err := a.mayHold(r, acts.Right(h.Kind), h)
	if err != nil {
		return 0, nil, err
	}
	s, err := a.holding(r.Context())
	if err != nil {
		return 0, nil, err
	}
	answer := LiftAnswer{Hold: h, Ready: ready, DryRun: dryRun}
	if h.InForce(s.At) {
		answer.Undo = acts.Again(h, s.At)
	}
	if dryRun {
		return http.StatusOK, answer, nil
	}
	by := a.by(r, callerOf(r), rule)
	lifted, err := a.Store.Lift(r.Context(), queue.Lifting{IDs: []string{h.ID}, Principal: by.Principal.ID(), Actor: by.Principal.Actor(), Reason: reason,
		Credential: by.Credential, Remote: by.Remote, Rule: rule, Config: by.Config})
	if err != nil {
		return 0, nil, hidden(err, "hold", h.ID)
	}
	answer.Hold, answer.Ready = lifted.Holds[0], lifted.Ready
	if answer.Undo != "" {
		a.logHold(r.Context(), "hold lifted", answer.Hold)
	}
	return http.StatusOK, answer, nil
}

// holdByID finds the hold that the path names, if the caller may read it, and how many
// updates would be ready without it.
func (a *API) holdByID(r *http.Request) (h gitops.Hold, ready int, err error) {
	id := variable(r, "id")
	found, err := a.Store.Lift(r.Context(), queue.Lifting{IDs: []string{id}, DryRun: true})
	if err == nil && a.viewOf(callerOf(r)).hold(found.Holds[0]) {
		return found.Holds[0], found.Ready, nil
	}
	if err == nil {
		err = notFound("hold", id)
	}
	return h, 0, hidden(err, "hold", id)
}
