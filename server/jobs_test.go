package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/oidc/oidctest"
)

const audience = "https://tallyman.example"

// newJobSite is a site where a job on main orders in dev, and one in the GitHub
// environment "production" orders in prod.
func newJobSite(t *testing.T) (*site, *oidctest.Issuer) {
	t.Helper()
	s, issuer := newSite(t), oidctest.New(t)
	s.jobsOf(issuer)
	return s, issuer
}

// jobsOf has the site take such jobs with the issuer's tokens.
func (s *site) jobsOf(issuer *oidctest.Issuer) {
	s.t.Helper()
	s.edit("api:\n", "api:\n  oidc: {audience: '"+audience+"', issuers: ['"+issuer.URL+"']}\n")
	const rule = "access:\n  - {who: {job: {repository: octo-org/octo-repo, repositoryID: 456789, ownerID: 123456, refs: [refs/heads/main]"
	s.edit("access:\n", rule+"}}, may: [order], apps: [api], environments: [dev]}\n"+
		strings.TrimPrefix(rule, "access:\n")+", githubEnvironment: production}}, may: [order], apps: [api], environments: [prod]}\n")
}

// ask sends an order with a bearer token.
func (r *running) ask(bearer, id, body string) response {
	r.t.Helper()
	said.Forbid(bearer[strings.LastIndexByte(bearer, '.')+1:])
	req := r.request(http.MethodPost, "/api/v1/updates", body)
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Idempotency-Key", id)
	return r.do(req)
}

func TestAJobOrders(t *testing.T) {
	s, issuer := newJobSite(t)
	r := s.start()
	dev, prod := `{"app": "api", "environment": "dev", "tag": "main-1a2b3c4"}`, `{"app": "api", "environment": "prod", "tag": "1.4.2"}`
	token := issuer.Token(audience, nil)
	d := r.ask(token, "one", dev).delivery(t, 202)
	if d.Actor != "github:octocat@octo-org/octo-repo" || d.Principal != "job:456789@"+issuer.URL || d.Credential != "OIDC token of octo-org/octo-repo, run 16055869479, attempt 1" || d.Remote == "" {
		t.Errorf("%+v", d)
	}
	// The same order may be asked for again, another not.
	r.ask(token, "one", dev).delivery(t, 200)
	if p := r.ask(token, "two", dev).problem(t, 401); !strings.Contains(p.Detail, "used for another order") {
		t.Errorf("%+v", p)
	}
	// Production takes GitHub's environment, whose reviewers have said yes.
	if p := r.ask(issuer.Token(audience, nil), "three", prod).problem(t, 403); !strings.Contains(p.Detail, `the nearest rule, access[1], does not hold: the job must run in the GitHub environment "production"`) {
		t.Errorf("%+v", p)
	}
	r.ask(issuer.Token(audience, map[string]any{"environment": "production"}), "four", prod).delivery(t, 202)
	// A job reads and follows what its repository ordered, with the token that ordered it,
	// and nothing else.
	ask := func(bearer, method, path string) response {
		req := r.request(method, path, "")
		req.Header.Set("Authorization", "Bearer "+bearer)
		return r.do(req)
	}
	others := r.order("others", goodOrder).delivery(t, 202)
	if u := ask(token, "GET", "/api/v1/updates/"+d.Updates[0].ID).update(t, 200); u.ID != d.Updates[0].ID {
		t.Errorf("%+v", u)
	}
	ask(token, "GET", "/api/v1/updates/"+others.Updates[0].ID).problem(t, 404)
	ask(token, "GET", "/api/v1/deliveries/"+others.Key().String()).problem(t, 404)
	ask(token, "POST", "/api/v1/updates/"+d.Updates[0].ID+"/cancel").problem(t, 403)
	r.settled(others.Updates[0].ID)
	if followed := r.followAs(token, "?after=0.0", "").events(1); !strings.HasPrefix(followed[0], d.Key().String()+" ") {
		t.Errorf("it is sent %s", followed)
	}
	// A job that may order nothing may read nothing.
	if p := ask(issuer.Token(audience, map[string]any{"ref": "refs/heads/mine"}), "GET", "/api/v1/updates").problem(t, 403); p.Code != gitops.Forbidden {
		t.Errorf("%+v", p)
	}
	// What was refused, the questions included, leaves a count and a line, and nothing
	// in the store.
	for _, id := range []string{"two", "three"} {
		if _, found := r.stored("api", api.DeliveryID(gitops.Principal{Job: &gitops.Job{RepositoryID: "456789", Issuer: issuer.URL}}, id)); found {
			t.Errorf("order %s is stored", id)
		}
	}
	if got := gather(t, r.Server)[`tallyman_deliveries_total{outcome="unauthorized",source="api"}`]; got != 4 {
		t.Errorf("%v are counted", got)
	}
	if lines := s.log.Lines(`"outcome":"unauthorized"`, `"remote":"127.0.0.1"`); len(lines) != 4 {
		t.Errorf("logged %q", lines)
	}
}

func TestJobsThatCannotBeBuilt(t *testing.T) {
	s, _ := newJobSite(t)
	s.edit("ownerID: 123456", "ownerID: -1")
	s.edit("audience: '"+audience+"'", "caFile: /nowhere")
	_, err := s.newServer()
	got := strings.Join(sentences(err), "\n")
	for _, want := range []string{"api.oidc.caFile: /nowhere cannot be read", "api.oidc.audience: is missing", "access[0].who.job.ownerID: must be", "access[1].who.job.ownerID: must be"} {
		if !strings.Contains(got, want) {
			t.Errorf("found %s, want %s", got, want)
		}
	}
}
