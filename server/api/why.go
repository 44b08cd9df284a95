package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/gitops/gate"
)

const (
	usualPreview = 30 * 24 * time.Hour
	maxPreview   = gate.LongestPreview
	lastYear     = 9999 // that RFC 3339 can write: what a preview shows may end a while after it
)

// freezes says when freezes hold: what the configuration repeats, and what people placed.
func (a *API) freezes(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	q := queryOf(r)
	environment, app := q.text("environment"), q.text("app")
	from, until := q.moment("from"), q.moment("until")
	v := a.viewOf(callerOf(r))
	s, err := a.holding(r.Context())
	if err != nil {
		return 0, nil, err
	}
	if from.IsZero() {
		from = s.At
	}
	if until.IsZero() {
		until = from.Add(usualPreview)
	}
	if !until.After(from) || until.Sub(from) > maxPreview {
		q.fail(gitops.FieldErrorf("until", "must be after from, by 366 days at most"))
	}
	if until.Year() >= lastYear {
		q.fail(gitops.FieldErrorf("until", "must be before the year %d", lastYear))
	}
	if err := q.done(); err != nil {
		return 0, nil, err
	}
	shown := func(environments, apps []string) bool {
		asked := gitops.Hold{Environments: environments, Apps: apps}
		return v.hold(asked) && (environment == "" || len(environments) == 0 || slices.Contains(environments, environment)) &&
			(app == "" || len(apps) == 0 || slices.Contains(apps, app))
	}
	answer := FreezeList{
		Closed: orEmpty(s.Freezes.Schedule(shown, from, until)),
		Now:    orEmpty(s.Freezes.Schedule(shown, s.At, s.At.Add(1))),
		Holds: orEmpty(inForce(s, func(h gitops.Hold) bool {
			return h.Kind == gitops.HoldFreeze && shown(h.Environments, h.Apps)
		})),
		NextChange: s.Freezes.NextChange(shown, s.At).UTC(),
	}
	return http.StatusOK, answer, nil
}

// inForce are those of the holds in force that somebody wants.
func inForce(s acts.State, wants func(gitops.Hold) bool) (found []gitops.Hold) {
	for _, h := range s.Holds {
		if h.InForce(s.At) && wants(h) {
			found = append(found, h)
		}
	}
	return found
}

// orEmpty is a list that is [] in JSON and never null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// why says everything that an app in an environment waits for, and not the first thing
// alone.
func (a *API) why(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	q := queryOf(r)
	answer := Why{App: q.text("app"), Environment: q.text("environment")}
	for _, field := range []struct{ name, value string }{{"environment", answer.Environment}, {"app", answer.App}} {
		if field.value == "" {
			q.fail(gitops.FieldErrorf(field.name, "is missing"))
		}
	}
	if err := q.done(); err != nil {
		return 0, nil, err
	}
	if !a.viewOf(callerOf(r)).scope.Allows(answer.App, answer.Environment) {
		return 0, nil, notFound("app", answer.App+" in "+answer.Environment)
	}
	if err := a.CheckNames([]string{answer.Environment}, []string{answer.App}); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, &answer, a.explain(r.Context(), &answer)
}

// explain fills in what is known now.
func (a *API) explain(ctx context.Context, w *Why) error {
	s, err := a.holding(ctx)
	if err != nil {
		return err
	}
	head, err := a.Store.Head(ctx, w.Environment, w.App)
	if err != nil {
		return err
	}
	w.Written, w.LastWord, w.Now = head.WrittenTag, head.Word, s.At
	if w.Rollout, err = a.rolloutOf(ctx, head); err != nil {
		return err
	}
	if w.Branch, w.Problem, err = a.branchTag(ctx, w.Environment, w.App); err != nil {
		return err
	}
	open, err := a.open(ctx, w.Environment, w.App)
	if err != nil {
		return err
	}
	w.Pending = orEmpty(judged(open, s))
	w.Order = orEmpty(s.Blocks(w.Environment, w.App, ""))
	w.Holds = orEmpty(inForce(s, func(h gitops.Hold) bool { return h.Covers(w.Environment, w.App) }))
	w.NextFreeze = nextFreeze(s, w.Environment, w.App)
	backlogs, err := a.Store.Backlogs(ctx)
	for _, b := range backlogs {
		if b.Environment == w.Environment {
			w.Outage = laneOf(b).Outage
		}
	}
	return err
}

// judged are open updates with what holds them now in the place of what held them when
// their lane last looked.
func judged(open []gitops.Update, s acts.State) []gitops.Update {
	for i := range open {
		u := &open[i]
		blocks := slices.DeleteFunc(slices.Clone(u.BlockedBy), func(b gitops.Block) bool { return b.Kind.Held() })
		u.BlockedBy = append(blocks, s.Held(*u)...)
	}
	return open
}

// nextFreeze is the next freeze of the configuration that begins; nil when none does soon.
func nextFreeze(s acts.State, environment, app string) *gate.Closed {
	for _, c := range s.Freezes.Preview(environment, app, s.At, s.At.Add(usualPreview)) {
		if c.From.After(s.At) {
			return &c
		}
	}
	return nil
}
