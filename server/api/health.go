package api

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// HealthRequest says where an update stands in the cluster. Of Tag and Update exactly one is
// set: without either a report that comes late would be taken for one of what was written
// meanwhile.
type HealthRequest struct {
	App         string              `json:"app"`
	Environment string              `json:"environment"`
	Tag         string              `json:"tag,omitempty"`
	Update      string              `json:"update,omitempty"` // its id
	State       gitops.RolloutState `json:"state"`
	Reason      string              `json:"reason,omitempty"` // one line
	URL         string              `json:"url,omitempty"`    // of a page about it, for people
	Place       string              `json:"place,omitempty"`  // what of the cluster it is about, for people
	DryRun      bool                `json:"dryRun,omitempty"`
}

// HealthAnswer says what stands by then.
type HealthAnswer struct {
	Update      string         `json:"update"` // its id
	App         string         `json:"app"`
	Environment string         `json:"environment"`
	Tag         string         `json:"tag"`
	Rollout     gitops.Rollout `json:"rollout"`
	Changed     bool           `json:"changed"`          // the report said something new
	DryRun      bool           `json:"dryRun,omitempty"` // nothing was stored
}

// reportedStates are those that a report may say. The others follow from time, from git, or
// from what only Argo CD knows.
var reportedStates = []gitops.RolloutState{gitops.RolloutProgressing, gitops.RolloutPaused, gitops.RolloutHealthy, gitops.RolloutDegraded, gitops.RolloutSyncFailed}

// health records where the update that was written last stands in the cluster.
func (a *API) health(w http.ResponseWriter, r *http.Request) (int, any, error) {
	form, err := readHealth(w, r)
	if err != nil {
		return 0, nil, err
	}
	where := gitops.Hold{Environments: []string{form.Environment}, Apps: []string{form.App}}
	rule, err := a.mayHold(r, gitops.RightReport, where)
	if err != nil {
		return 0, nil, err
	}
	if err := a.CheckNames(where.Environments, where.Apps); err != nil {
		return 0, nil, err
	}
	timeout, err := a.Reported(form.Environment)
	if err != nil {
		return 0, nil, err
	}
	u, err := a.reportedUpdate(r.Context(), form)
	if err != nil {
		return 0, nil, err
	}
	caller := callerOf(r)
	said := form.rollout(u, timeout, caller.Principal.Actor())
	answer := HealthAnswer{Update: u.ID, App: u.App, Environment: u.Environment, Tag: u.Tag, DryRun: form.DryRun}
	answer.Rollout, _, answer.Changed = queue.NextRollout(u, said, time.Now())
	if err := stays(u, form.State); err != nil {
		return 0, nil, err
	}
	if !answer.Changed || form.DryRun {
		return http.StatusOK, answer, nil
	}
	entry := gitops.AuditEntry{
		Act: gitops.ActReport, Principal: caller.Principal.ID(), Actor: caller.Principal.Actor(), Credential: caller.Credential, Remote: webhook.ClientIP(r.RemoteAddr),
		Right: gitops.RightReport, Rule: rule, Environment: u.Environment, App: u.App, Update: u.ID, Delivery: u.Delivery.String(), Reason: said.Reason,
		Before: stateOf(u), After: string(said.State), Config: a.Hash,
	}
	return a.record(r.Context(), answer, said, entry)
}

// record stores a report. The audit has it first: a crash in between leaves a report there
// that changed nothing, and whoever sends it again has it recorded.
func (a *API) record(ctx context.Context, answer HealthAnswer, said gitops.Rollout, entry gitops.AuditEntry) (int, any, error) {
	if entry.Before != entry.After {
		if err := a.Store.AppendAudit(ctx, []gitops.AuditEntry{entry}); err != nil {
			return 0, nil, err
		}
	}
	kept, err := a.Store.ReportRollouts(ctx, queue.Lease{}, []queue.RolloutReport{{Update: answer.Update, Rollout: said}})
	if err != nil {
		return 0, nil, err
	}
	answer.Rollout = kept[0]
	if kept[0].State != said.State { // it became final meanwhile
		return 0, nil, final(answer.Tag, kept[0])
	}
	a.Logger.InfoContext(ctx, "rollout reported", slog.String("environment", answer.Environment), slog.String("app", answer.App), slog.String("tag", answer.Tag),
		slog.String("update", answer.Update), slog.String("state", string(said.State)), slog.String("actor", entry.Actor), slog.String("reason", said.Reason))
	return http.StatusOK, answer, nil
}

// readHealth reads a report, and checks its form.
func readHealth(w http.ResponseWriter, r *http.Request) (form HealthRequest, err error) {
	body, err := webhook.ReadBody(w, r, maxAct)
	if err != nil {
		return form, err
	}
	if err := decodeStrictly(body, &form, "app, environment, tag or update, state and perhaps reason, url, place and dryRun"); err != nil {
		return form, err
	}
	if form.DryRun, err = dryRunOf(r, form.DryRun); err != nil {
		return form, err
	}
	form.Reason, form.Place = strings.TrimSpace(form.Reason), strings.TrimSpace(form.Place)
	return form, form.check()
}

func (h HealthRequest) check() error {
	if err := cmp.Or(gitops.CheckName("app", h.App), gitops.CheckName("environment", h.Environment)); err != nil {
		return err
	}
	switch {
	case h.Tag == "" && h.Update == "":
		return gitops.FieldErrorf("tag", "is missing: name the tag, or the update, that it is about; another one may have been written meanwhile")
	case h.Tag != "" && h.Update != "":
		return gitops.FieldErrorf("update", "must not stand beside tag: give one of them")
	case !slices.Contains(reportedStates, h.State):
		return gitops.FieldErrorf("state", "must be one of %s, not %q", stateList(reportedStates), gitops.Clip(string(h.State), 40))
	case len(h.Place) > queue.MaxRolloutName:
		return gitops.FieldErrorf("place", "has %d bytes: give at most %d", len(h.Place), queue.MaxRolloutName)
	}
	return cmp.Or(gitops.CheckReason("reason", h.Reason), gitops.CheckReason("place", h.Place), checkPage(h.URL))
}

// checkPage checks the address of a page, which people open.
func checkPage(address string) error {
	u, err := url.Parse(address)
	switch {
	case address == "":
		return nil
	case len(address) > queue.MaxRolloutURL:
		return gitops.FieldErrorf("url", "has %d bytes: give at most %d", len(address), queue.MaxRolloutURL)
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return gitops.FieldErrorf("url", "must be the address of a page, such as https://grafana.example/d/1")
	case strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("<>|\"`\\", r) }): // a chat would make another link of it
		return gitops.FieldErrorf("url", "must not have spaces, quotes, <, >, |, \\ or characters beyond ASCII: write them as %%20 and so on")
	case u.User != nil: // it is not repeated: it may hold a password
		return gitops.FieldErrorf("url", "must not hold a user or a password: everybody who may read the update sees it")
	}
	return nil
}

func stateList(states []gitops.RolloutState) string {
	words := make([]string, len(states))
	for i, state := range states {
		words[i] = string(state)
	}
	return strings.Join(words, ", ")
}

// reportedUpdate is the update that a report is about: the one that was written last of its
// app. The error's code is Conflict where that is another.
func (a *API) reportedUpdate(ctx context.Context, form HealthRequest) (u gitops.Update, err error) {
	head, err := a.Store.Head(ctx, form.Environment, form.App)
	if err != nil {
		return u, err
	}
	where := form.App + " in " + form.Environment
	switch {
	case head.WrittenID == "":
		return u, gitops.Errorf(gitops.Conflict, "tallyman has written nothing of %s yet: report what it writes, once it is committed", where)
	case form.Update != "" && form.Update != head.WrittenID:
		return u, gitops.Errorf(gitops.Conflict, "update %s is not the one of %s that was written last: that is %s, to %s. Report of that one, or leave it",
			gitops.Clip(form.Update, 40), where, head.WrittenID, head.WrittenTag)
	case form.Tag != "" && form.Tag != head.WrittenTag:
		return u, gitops.Errorf(gitops.Conflict, "%s is not the tag of %s that was written last: that is %s, by update %s. Report of that one, or leave it",
			gitops.Clip(form.Tag, 130), where, head.WrittenTag, head.WrittenID)
	}
	u, err = a.Store.Update(ctx, head.WrittenID)
	if gitops.CodeOf(err) == gitops.NotFound { // it was pruned
		return u, gitops.Errorf(gitops.Conflict, "the update of %s that was written last, %s, is older than retention.keep and forgotten: report of the next one", where, head.WrittenID)
	}
	return u, err
}

// rollout is what the report says. The deadline stays as it is: whoever follows moves it.
func (h HealthRequest) rollout(u gitops.Update, timeout time.Duration, actor string) gitops.Rollout {
	said := gitops.Rollout{State: h.State, Reason: h.Reason, By: actor, Deadline: u.FinishedAt.Add(timeout)}
	if before := u.Rollout; before != nil {
		said.Revision = before.Revision
		if !before.Deadline.IsZero() {
			said.Deadline = before.Deadline
		}
	}
	if h.Place != "" || h.URL != "" {
		said.Places = []gitops.RolloutPlace{{Name: cmp.Or(h.Place, h.App), URL: h.URL, State: h.State, Reason: h.Reason}}
	}
	return said
}

// stays refuses another state than the final one that an update has.
func stays(u gitops.Update, state gitops.RolloutState) error {
	if u.Rollout == nil || !u.Rollout.State.Final() || u.Rollout.State == state {
		return nil
	}
	return final(u.Tag, *u.Rollout)
}

func final(tag string, r gitops.Rollout) error {
	why := ""
	if r.Reason != "" {
		why = fmt.Sprintf(" (%s)", r.Reason)
	}
	return gitops.Errorf(gitops.Conflict, "the rollout of %s is over: it is %s since %s%s, and stays so. What happens to it afterwards is for your monitoring; report of the next one",
		tag, r.State, r.Since.UTC().Format(time.RFC3339), why)
}

func stateOf(u gitops.Update) string {
	if u.Rollout == nil {
		return ""
	}
	return string(u.Rollout.State)
}
