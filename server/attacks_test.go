package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/api"
)

// audited waits for n entries of the audit that are as the query says. What is refused is
// written down beside the answer, not before it.
func (r *running) audited(n int, query url.Values) []gitops.AuditEntry {
	r.t.Helper()
	for {
		if list := read[api.AuditList](r, "/api/v1/audit?"+query.Encode()); len(list.Entries) >= n {
			return list.Entries
		}
	}
}

// refusedTo waits for the audit's entry of what was refused to a principal, the newest.
func (r *running) refusedTo(principal string) gitops.AuditEntry {
	r.t.Helper()
	return r.audited(1, url.Values{"act": {"refuse"}, "principal": {principal}})[0]
}

// expectAudit checks what the audit has but for configurations, oldest first: each entry
// as "act principal delivery". It reads the store, and nobody's requests.
func (r *running) expectAudit(want ...string) {
	r.t.Helper()
	found, _, err := r.store.AuditEntries(r.t.Context(), queue.AuditFilter{}, queue.Page{Limit: 1000})
	if err != nil {
		r.t.Fatal(err)
	}
	var got []string
	for _, e := range slices.Backward(found) {
		if e.Act != gitops.ActConfig {
			got = append(got, fmt.Sprintf("%s %s %s", e.Act, e.Principal, e.Delivery))
		}
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("the audit has %q, want %q", got, want)
	}
}

// gatedSite is a site where a repository's dispatches reach dev, pushes reach dev, and
// prod takes orders of the token ops and of a gated job.
func gatedSite(t *testing.T) (*running, func(claims map[string]any) string) {
	s, issuer := newJobSite(t)
	s.edit(`repositoryID: 17}}, may: [order], apps: ["*"], environments: ["*"]`, `repositoryID: 17}}, may: [order], apps: [api], environments: [dev]`)
	s.edit(`accounts: ["123456789012"]}}, may: [order], apps: ["*"], environments: ["*"]`, `accounts: ["123456789012"]}}, may: [order], apps: [api], environments: [dev]`)
	return s.start(), func(claims map[string]any) string { return issuer.Token(audience, claims) }
}

// Who may write a repository whose dispatches reach dev cannot reach prod by one, nor can
// another repository that the App is installed on, and no name passes for another's.
func TestADispatchStaysWhereItsRuleIs(t *testing.T) {
	r, _ := gatedSite(t)
	for id, c := range map[string]struct{ body, principal, reason string }{
		"prod":    {order("api", "prod", "1.0.0"), "dispatch:17", `environment "prod" is not among dev`},
		"worker":  {order("worker", "dev", "main-1a2b3c4"), "dispatch:17", `app "worker" is not among api`},
		"another": {strings.Replace(order("api", "dev", "main-1a2b3c4"), `"id": 17`, `"id": 18`, 1), "dispatch:18", "no rule of access is for"},
	} {
		p := r.do(r.github(oldSecret, id, c.body)).problem(t, 422)
		if p.Field != "repository" || !strings.Contains(p.Detail, "may not order") {
			t.Errorf("%s: %+v", id, p)
		}
		var entry gitops.AuditEntry
		for entry.Delivery != "github/"+id {
			entry = r.refusedTo(c.principal)
		}
		if entry.Actor != "github:ann" || entry.Right != gitops.RightOrder || entry.Remote != "127.0.0.1" || !strings.Contains(entry.Reason, "may not order") {
			t.Errorf("%s: %+v", id, entry)
		}
		if d, kept := r.stored("github", id); !kept || d.Outcome != gitops.OutcomeRejected || len(d.Updates) > 0 {
			t.Errorf("%s: %+v", id, d)
		}
	}
	// A login that is a token's name is a login all the same.
	body := strings.Replace(order("api", "dev", "main-1a2b3c4"), `"login": "ann"`, `"login": "ops"`, 1)
	if d := r.do(r.github(oldSecret, "named", body)).delivery(t, 202); d.Actor != "github:ops" || d.Principal != "dispatch:17" {
		t.Errorf("%+v", d)
	}
}

// Who may push an image writes where its rule says, and never takes prod back.
func TestAPushStaysWhereItsRuleIs(t *testing.T) {
	r, _ := gatedSite(t)
	r.order("release", `{"app": "api", "environment": "prod", "tag": "1.4.0"}`).delivery(t, 202)
	for id, tag := range map[string]string{"old": "1.3.0", "new": "9.0.0"} {
		d := r.do(r.ecr(bridgeSecret, push(id, tag))).delivery(t, 200)
		if d.Outcome != gitops.OutcomeIgnored || len(d.Updates) > 0 || !strings.Contains(d.Reason, "prod: push from eventbridge (account 123456789012, region eu-west-1) may not order api in prod") {
			t.Errorf("%s: %+v", id, d)
		}
	}
	for _, e := range r.audited(2, url.Values{"act": {"refuse"}}) {
		if e.Principal != "push:eventbridge/123456789012" || e.Actor != "aws:123456789012" || e.Environment != "prod" || e.App != "api" || e.Right != gitops.RightOrder || !strings.HasPrefix(e.Delivery, "eventbridge/") {
			t.Errorf("%+v", e)
		}
	}
	if list := read[api.UpdateList](r, "/api/v1/updates?environment=prod"); len(list.Updates) != 1 {
		t.Errorf("prod has %+v", list.Updates)
	}
	if entries := r.audited(1, url.Values{"act": {"order"}, "environment": {"prod"}}); len(entries) != 1 || entries[0].Principal != "token:ops" || entries[0].Rule == "" {
		t.Errorf("%+v", entries)
	}
}

// Of what is rejected a part is kept, and of one sender's so many.
func TestWhatIsRejectedFillsNothing(t *testing.T) {
	r, _ := gatedSite(t)
	large := strings.Replace(order("api", "prod", "1.0.0"), `"action"`, `"padding": "`+strings.Repeat("x", 64<<10)+`", "action"`, 1)
	for n := range 110 {
		r.do(r.github(oldSecret, fmt.Sprint("large", n), large)).problem(t, 422)
	}
	if d, kept := r.stored("github", "large0"); !kept || len(d.Body) > 1<<10 {
		t.Errorf("kept: %t, %d bytes", kept, len(d.Body))
	}
	if _, kept := r.stored("github", "large109"); kept {
		t.Error("without a bound")
	}
	if counted := gather(t, r.Server)[`tallyman_deliveries_not_kept_total{reason="sender_limit",source="github"}`]; counted != 10 {
		t.Errorf("%v are counted as not kept", counted)
	}
	r.order("k", goodOrder).delivery(t, 202) // others are taken
	// The audit has as many refusals of one principal as it may have in an hour, and later
	// how many more there were.
	if refused := r.audited(60, url.Values{"act": {"refuse"}, "limit": {"200"}}); len(refused) != 60 || refused[0].Principal != "dispatch:17" {
		t.Errorf("%d refusals are written down, the last %+v", len(refused), refused[0])
	}
}

// A job reaches prod from the ref, the event and the GitHub environment of its rule, and
// from nowhere else.
func TestAJobStaysWhereItsRuleIs(t *testing.T) {
	r, token := gatedSite(t)
	const prod = `{"app": "api", "environment": "prod", "tag": "1.4.2"}`
	gated := func(claim string, value any) map[string]any {
		claims := map[string]any{"environment": "production"}
		if claim != "" {
			claims[claim] = value
		}
		return claims
	}
	for name, claims := range map[string]map[string]any{
		"another branch":     gated("ref", "refs/heads/mine"),
		"a tag":              gated("ref", "refs/tags/main"),
		"a pull request":     gated("event_name", "pull_request_target"),
		"without the gate":   nil,
		"another repository": gated("repository_id", "456780"),
		"another owner":      gated("repository_owner_id", "123450"),
	} {
		if p := r.ask(token(claims), "k", prod).problem(t, 403); !strings.Contains(p.Detail, "may not order") {
			t.Errorf("%s: %+v", name, p)
		}
	}
	entries := r.audited(6, url.Values{"act": {"refuse"}})
	for _, e := range entries {
		if !strings.HasPrefix(e.Principal, "job:") || !strings.HasPrefix(e.Credential, "OIDC token of ") || e.Reason == "" {
			t.Errorf("%+v", e)
		}
	}
	r.ask(token(gated("", nil)), "k", prod).delivery(t, 202)
	if list := read[api.UpdateList](r, "/api/v1/updates"); len(list.Updates) != 1 {
		t.Errorf("%+v", list.Updates)
	}
}

// What a token may not do is written down with who, what and why.
func TestATokenStaysWhereItsRuleIs(t *testing.T) {
	r := newScopedSite(t, newSite(t))
	answer := r.callWith(readToken, "POST", "/api/v1/updates", `{"app": "api", "environment": "prod", "tag": "1.0.0"}`, http.Header{"Idempotency-Key": {"k"}})
	answer.problem(t, 403)
	e := r.refusedTo("token:board")
	if e.App != "api" || e.Environment != "prod" || e.Credential != "token board" || e.Right != gitops.RightOrder || e.Delivery != "api/"+api.DeliveryID(gitops.Principal{Token: "board"}, "k") {
		t.Errorf("%+v", e)
	}
	r.call(readToken, "POST", "/api/v1/updates/x/cancel", "").problem(t, 403)
	for e.Right != gitops.RightCancel {
		e = r.refusedTo("token:board")
	}
}

// A job of the right repository, ref and event that lacks one of the other conditions of its
// rule is refused, and the audit says which.
func TestAJobHoldsEveryConditionOfItsRule(t *testing.T) {
	sha := strings.Repeat("a", 40)
	s, issuer := newJobSite(t)
	s.edit("refs: [refs/heads/main], githubEnvironment: production}",
		"refs: [refs/heads/main], githubEnvironment: production, refProtected: true, runnerEnvironment: github-hosted, actorIDs: [12], "+
			"workflows: [.github/workflows/build.yml], jobWorkflows: [{ref: octo-org/ci/.github/workflows/deploy.yml@refs/tags/v3, sha: "+sha+"}]}")
	r := s.start()
	ask := func(claim string, value any) response {
		claims := map[string]any{"environment": "production", "ref_protected": "true", "job_workflow_sha": sha, "job_workflow_ref": "octo-org/ci/.github/workflows/deploy.yml@refs/tags/v3"}
		if claim != "" {
			claims[claim] = value
		}
		return r.ask(issuer.Token(audience, claims), "k", `{"app": "api", "environment": "prod", "tag": "1.4.2"}`)
	}
	for claim, c := range map[string]struct {
		value any
		why   string
	}{
		"ref_protected":      {"false", "is not protected"},
		"runner_environment": {"self-hosted", `runner environment "self-hosted" is not among`},
		"actor_id":           {"13", `actor id "13" is not among`},
		"job_workflow_sha":   {strings.Repeat("b", 40), "the job's file"},
		"job_workflow_ref":   {"octo-org/ci/.github/workflows/deploy.yml@refs/heads/evil", "the job's file"},
		"workflow_ref":       {"octo-org/octo-repo/.github/workflows/build.yml@refs/heads/x.yml@refs/heads/main", "is not among .github/workflows/build.yml"},
	} {
		if p := ask(claim, c.value).problem(t, 403); !strings.Contains(p.Detail, c.why) {
			t.Errorf("%s: %+v", claim, p)
		}
		for !slices.ContainsFunc(r.audited(1, url.Values{"act": {"refuse"}}), func(e gitops.AuditEntry) bool {
			return strings.HasPrefix(e.Principal, "job:") && e.Environment == "prod" && strings.Contains(e.Reason, c.why)
		}) { // it is written beside the answer
		}
	}
	ask("", nil).delivery(t, 202)
}
