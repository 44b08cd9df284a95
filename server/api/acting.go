package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

const (
	maxAct     = 64 << 10 // bytes of an act's body
	mostOpen   = 50       // updates under way that an answer names
	mostLooked = 20       // apps and environments whose updates under way are looked for
)

// by is who acts by a rule, for the audit.
func (a *API) by(r *http.Request, c Caller, rule string) acts.By {
	return acts.By{Principal: c.Principal, Rule: rule, Credential: c.Credential, Remote: webhook.ClientIP(r.RemoteAddr), Config: a.Hash}
}

// holding is what holds now.
func (a *API) holding(ctx context.Context) (acts.State, error) {
	in, err := a.Store.HoldsInForce(ctx)
	return acts.State{InForce: in, Freezes: a.Freezes()}, err
}

// keyOf is the request's Idempotency-Key, "" when it has none.
func (a *API) keyOf(r *http.Request) (string, error) {
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		return "", nil
	}
	return key, checkKey(key)
}

// dryRunOf reports whether the body or the query asks for a dry run. A parameter that is
// mistyped is an error: without it the act would be carried out.
func dryRunOf(r *http.Request, body bool) (bool, error) {
	q := queryOf(r)
	text := oneOf(q, "dryRun", []string{"true", "false"})
	return body || text == "true", q.done()
}

// act is authorized for what one of several rights is for: which one is known when the body
// is read. A stop must work while all turns are taken.
func (a *API) act(rights []gitops.Right, handle Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) (int, any, error) {
		caller, err := a.caller(r)
		right := rights[0]
		if err == nil {
			if i := slices.IndexFunc(rights, func(right gitops.Right) bool { return a.can(caller, right) == nil }); i >= 0 {
				right = rights[i]
			}
		}
		return a.authorized(right, handle)(w, r)
	}
}

// open are the open updates of an app in an environment, newest first; an empty name means
// all.
func (a *API) open(ctx context.Context, environment, app string) (open []gitops.Update, err error) {
	for _, state := range []gitops.State{gitops.Pending, gitops.Proposed} {
		found, _, err := a.Store.Updates(ctx, queue.UpdateFilter{Environment: environment, App: app, State: state}, queue.Page{Limit: mostOpen})
		if err != nil {
			return nil, err
		}
		open = append(open, found...)
	}
	return open, nil
}

func idsOf(updates []gitops.Update) (ids []string) {
	for _, u := range updates {
		ids = append(ids, u.ID)
	}
	return ids
}

// covered are the updates under way that a hold is about, as far as an answer names them.
func (a *API) covered(ctx context.Context, h gitops.Hold) (ids []string, err error) {
	looked := 0
	for _, environment := range orAll(h.Environments) {
		for _, app := range orAll(h.Apps) {
			if looked++; looked > mostLooked || len(ids) >= mostOpen {
				return ids, nil
			}
			open, err := a.open(ctx, environment, app)
			if err != nil {
				return nil, err
			}
			ids = append(ids, idsOf(slices.DeleteFunc(open, func(u gitops.Update) bool { return !holds(h, u) }))...)
		}
	}
	return ids[:min(len(ids), mostOpen)], nil
}

// holds reports whether a hold keeps an update from being written.
func holds(h gitops.Hold, u gitops.Update) bool {
	return h.Covers(u.Environment, u.App) && (h.Kind != gitops.HoldPin || h.Tag != u.Tag) && (h.Kind != gitops.HoldBad || h.Tag == u.Tag)
}

func orAll(names []string) []string {
	if len(names) == 0 {
		return []string{""}
	}
	return names
}

// branchTag is the tag that the branch has of an app, as far as is known, and why it could
// not be read just now.
func (a *API) branchTag(ctx context.Context, environment, app string) (tag string, problem string, err error) {
	backlogs, err := a.Store.Backlogs(ctx)
	if err != nil {
		return "", "", err
	}
	var written time.Time
	for _, b := range backlogs {
		if b.LastSuccess.After(written) {
			written = b.LastSuccess
		}
	}
	tags := a.Manifests.BranchTags(ctx, written)
	if tags.Problem != nil {
		problem = tags.Problem.Public()
	}
	for _, has := range tags.Apps[environment] {
		if has.App == app {
			return has.Tag, problem, nil
		}
	}
	return "", problem, nil
}

// endOf reads when something ends: a time, or a duration.
func endOf(until, lasts string) (at time.Time, duration time.Duration, err error) {
	if until != "" {
		if at, err = time.Parse(time.RFC3339, until); err != nil {
			return at, 0, gitops.FieldErrorf("until", "%q is not a time: write it as 2026-03-01T12:00:00Z", gitops.Clip(until, 40))
		}
		if at = at.UTC(); at.IsZero() { // what a program writes that has no time
			return at, 0, gitops.FieldErrorf("until", "%q is no end: give a time that is to come, or leave it out", gitops.Clip(until, 40))
		}
	}
	if lasts != "" {
		if duration, err = time.ParseDuration(lasts); err != nil || duration <= 0 {
			return at, 0, gitops.FieldErrorf("for", "%q is not a duration: write it as 72h or 90m", gitops.Clip(lasts, 40))
		}
	}
	return at, duration, nil
}
