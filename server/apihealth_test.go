package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/api"
)

// newReportedSite is a site where others say whether prod runs what is written, and ops may.
func newReportedSite(t *testing.T, s *site) *running {
	t.Helper()
	s.everyRight()
	s.edit("prod: {tags", "prod: {rollout: {by: reports, timeout: 20m}, tags")
	return s.start()
}

const onHealth = "/api/v1/health"

func report(tag, state, more string) string {
	return fmt.Sprintf(`{"app": "api", "environment": "prod", "tag": %q, "state": %q%s}`, tag, state, more)
}

func (r *running) reports(body string) api.HealthAnswer {
	r.t.Helper()
	return act[api.HealthAnswer](r, "POST", onHealth, "", body, 200)
}

// isFollowed waits until an update's rollout has begun.
func (r *running) isFollowed(id string) {
	r.t.Helper()
	r.followedAs(id, func(gitops.RolloutState) bool { return true })
}

// isRefused wants a report to be refused, and nothing to change.
func (r *running) isRefused(body string, status int, detail string) {
	r.t.Helper()
	if p := r.call(apiToken, "POST", onHealth, body).problem(r.t, status); !strings.Contains(p.Field+": "+p.Detail, detail) {
		r.t.Errorf("%s is answered %d %s: %s, want %s", body, p.Status, p.Field, p.Detail, detail)
	}
}

// What others report of the update that was written last is recorded with it, once for each
// state, in the audit, too; what is final stays; and a dry run says the same and does nothing.
func TestReportsOfHealth(t *testing.T) { onEachStore(t, testReportsOfHealth) }

func testReportsOfHealth(t *testing.T, s *site) {
	r := newReportedSite(t, s)
	r.isRefused(report("1.0.0", "healthy", ""), 409, "tallyman has written nothing of api in prod yet")
	r.prod("1.0.0")
	head, err := r.store.Head(t.Context(), "prod", "api")
	s.must(err)
	r.isFollowed(head.WrittenID)
	standing := func() gitops.Update {
		t.Helper()
		u, err := r.store.Update(t.Context(), head.WrittenID)
		s.must(err)
		return u
	}

	dry := r.reports(report("1.0.0", "degraded", `, "dryRun": true`))
	if !dry.DryRun || !dry.Changed || dry.Rollout.State != gitops.RolloutDegraded || standing().Rollout.State != gitops.RolloutWaiting {
		t.Errorf("a dry run: %+v, and %+v stands", dry, standing().Rollout)
	}
	first := r.reports(report("1.0.0", "progressing", `, "reason": "1 of 3 pods", "url": "https://grafana.example/d/1", "place": "eu"`))
	want := gitops.Rollout{
		State: gitops.RolloutProgressing, Reason: "1 of 3 pods", Since: first.Rollout.Since, Deadline: standing().FinishedAt.Add(20 * time.Minute), By: "token:ops",
		Places: []gitops.RolloutPlace{{Name: "eu", URL: "https://grafana.example/d/1", State: gitops.RolloutProgressing, Reason: "1 of 3 pods"}},
	}
	if diff := cmp.Diff(want, first.Rollout) + cmp.Diff(&want, standing().Rollout); diff != "" || !first.Changed || first.Update != head.WrittenID || first.Tag != "1.0.0" {
		t.Errorf("%+v\n%s", first, diff)
	}
	if again := r.reports(report("1.0.0", "progressing", `, "reason": "1 of 3 pods", "url": "https://grafana.example/d/1", "place": "eu"`)); again.Changed {
		t.Errorf("the same again: %+v", again)
	}
	r.reports(report("1.0.0", "progressing", `, "reason": "2 of 3 pods"`))
	byID := fmt.Sprintf(`{"app": "api", "environment": "prod", "update": %q, "state": "healthy"}`, head.WrittenID)
	if done := r.reports(byID); !done.Changed || done.Rollout.State != gitops.RolloutHealthy || done.Rollout.Places != nil {
		t.Errorf("healthy: %+v", done)
	}
	if again := r.reports(byID); again.Changed || again.Rollout.State != gitops.RolloutHealthy {
		t.Errorf("healthy again: %+v", again)
	}
	r.isRefused(report("1.0.0", "degraded", ""), 409, "the rollout of 1.0.0 is over: it is healthy since ")
	if head, err = r.store.Head(t.Context(), "prod", "api"); err != nil || head.HealthyTag != "1.0.0" {
		t.Errorf("%+v, %v", head, err)
	}
	var steps []string
	for _, step := range standing().Steps {
		if step.Rollout != "" {
			steps = append(steps, strings.TrimSuffix(string(step.Rollout)+": "+step.Reason, ": "))
		}
	}
	if diff := cmp.Diff([]string{"waiting", "progressing: 1 of 3 pods", "progressing: 2 of 3 pods", "healthy"}, steps); diff != "" {
		t.Error(diff)
	}

	entries, _, err := r.store.AuditEntries(t.Context(), queue.AuditFilter{Act: gitops.ActReport}, queue.Page{Limit: 10})
	s.must(err)
	var audit []string
	for _, e := range entries {
		audit = append(audit, strings.Join([]string{string(e.Right), e.Rule, e.Actor, e.Environment, e.App, e.Update, e.Before, e.After, e.Reason}, " "))
	}
	wantAudit := []string{"report access[2] token:ops prod api " + head.WrittenID + " progressing healthy ", "report access[2] token:ops prod api " + head.WrittenID + " waiting progressing 1 of 3 pods"}
	if diff := cmp.Diff(wantAudit, audit); diff != "" {
		t.Error(diff)
	}

	r.prod("1.1.0")
	r.isRefused(report("1.0.0", "healthy", ""), 409, "1.0.0 is not the tag of api in prod that was written last: that is 1.1.0, by update ")
	r.isRefused(byID, 409, "update "+head.WrittenID+" is not the one of api in prod that was written last: that is ")
}

// What cannot be is refused, and the error names the field and the way out.
func TestReportsOfHealthThatAreRefused(t *testing.T) {
	s := newSite(t)
	r := newReportedSite(t, s)
	r.prod("1.0.0")
	for body, want := range map[string]struct {
		status int
		detail string
	}{
		`{"app": "api", "environment": "prod", "state": "healthy"}`:                                                   {400, "tag: is missing: name the tag, or the update, that it is about"},
		`{"app": "api", "environment": "prod", "tag": "1.0.0", "update": "x", "state": "healthy"}`:                    {400, "update: must not stand beside tag"},
		report("1.0.0", "timed_out", ""):                                                                              {400, `state: must be one of progressing, paused, healthy, degraded, sync_failed, not "timed_out"`},
		report("1.0.0", "", ""):                                                                                       {400, "state: must be one of"},
		report("1.0.0", "Healthy", ""):                                                                                {400, "state: must be one of"},
		report("1.0.0", "healthy", `, "reason": "two\nlines"`):                                                        {400, "reason: must be one line"},
		report("1.0.0", "healthy", `, "reason": "`+strings.Repeat("x", 501)+`"`):                                      {400, "reason: has 501 bytes"},
		report("1.0.0", "healthy", `, "place": "`+strings.Repeat("x", 201)+`"`):                                       {400, "place: has 201 bytes"},
		report("1.0.0", "healthy", `, "place": "a\u202eb"`):                                                           {400, "place: must not have characters that turn"},
		report("1.0.0", "healthy", `, "url": "javascript:alert(1)"`):                                                  {400, "url: must be the address of a page"},
		report("1.0.0", "healthy", `, "url": "https://ann:pw@grafana.example"`):                                       {400, "url: must not hold a user or a password"},
		report("1.0.0", "healthy", `, "url": "https://evil.example/?|https://grafana.example"`):                       {400, "url: must not have spaces"},
		report("1.0.0", "healthy", `, "url": "https://grafana.example/\u202ex"`):                                      {400, "url: must not have spaces"},
		report("1.0.0", "healthy", `, "url": "https://grafana.example/`+strings.Repeat("x", 500)+`"`):                 {400, "url: has 524 bytes"},
		report("1.0.0", "healthy", `, "env": "prod"`):                                                                 {400, "which is called environment here"},
		`{"app": "../api", "environment": "prod", "tag": "1.0.0", "state": "healthy"}`:                                {400, "app: "},
		`{"app": "other", "environment": "prod", "tag": "1.0.0", "state": "healthy"}`:                                 {422, "other"},
		`{"app": "worker", "environment": "prod", "tag": "1.0.0", "state": "healthy"}`:                                {422, "worker"},
		`{"app": "api", "environment": "dev", "tag": "main-1a2b3c4", "state": "healthy"}`:                             {409, "it is not followed what runs in dev: set environments.dev.rollout.by: reports"},
		`{"app": "api", "environment": "prod", "update": "00000000-0000-8000-8000-000000000000", "state": "healthy"}`: {409, "is not the one of api in prod that was written last"},
	} {
		r.isRefused(body, want.status, want.detail)
	}
	if p := r.call(readToken, "POST", onHealth, report("1.0.0", "healthy", "")).problem(t, 403); !strings.Contains(p.Detail, `right "report" is not among read`) {
		t.Errorf("who may not: %s", p.Detail)
	}
	if _, open := r.store.OpenRollouts(t.Context()); open != nil {
		t.Error(open)
	}
	head, err := r.store.Head(t.Context(), "prod", "api")
	if s.must(err); head.Healthy != 0 {
		t.Errorf("something was recorded: %+v", head)
	}
}

// Where Argo CD says it, reports are not taken.
func TestReportsOfHealthBesideArgoCD(t *testing.T) {
	s := newSite(t)
	s.everyRight()
	s.edit("sources:\n", "argocd: [{url: 'http://127.0.0.1:1', tokenFile: "+s.dir+"/token, projects: [myshop]}]\nsources:\n")
	r := s.start()
	r.isRefused(report("1.0.0", "healthy", ""), 409, "tallyman asks Argo CD what runs in prod, and takes no reports of it: leave them out, or set environments.prod.rollout.by: reports")
}
