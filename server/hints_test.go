package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// hintSite has pull requests in prod and staging, and pushes in dev; wallet's are in a
// repository of another owner, and staging's for another branch.
func hintSite(t *testing.T) *site {
	t.Helper()
	s, github := newAppSite(t)
	github.Install(6789, "bank/pay")
	s.edit(`{semver: ">=1.0.0"}}`, `{semver: ">=1.0.0"}, write: pull-request}
  staging: {tags: {match: "rc-.*"}, write: pull-request, manifests: release}`)
	s.edit("  worker: {environments: [dev]}\n", `  worker: {environments: [dev]}
  wallet: {environments: [prod], manifests: pay}
repositories:
  release: {branch: release}
  pay: {url: "`+strings.Replace(s.repository.URL, "shop/manifests", "bank/pay", 1)+`"}
`)
	return s
}

// A hint is for the environments with pull requests of the repository and the branch that it
// is about; a topic branch says which.
func TestWhomHintsConcern(t *testing.T) {
	server, err := hintSite(t).newServer()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Stop(t.Context()) }()
	g := server.current()
	for name, c := range map[string]struct {
		hint         gitops.Hint
		repositories []string
		environments []string
	}{
		"nothing":                {},
		"a push":                 {gitops.Hint{Repository: "shop/manifests", Branch: "main", Pushed: true}, []string{"default"}, []string{"prod"}},
		"in capitals":            {gitops.Hint{Repository: "Shop/Manifests", Branch: "main", Pushed: true}, []string{"default"}, []string{"prod"}},
		"a branch in capitals":   {hint: gitops.Hint{Repository: "shop/manifests", Branch: "Main", Pushed: true}},
		"another branch":         {gitops.Hint{Repository: "shop/manifests", Branch: "release", Pushed: true}, []string{"release"}, []string{"staging"}},
		"a branch of nobody's":   {hint: gitops.Hint{Repository: "shop/manifests", Branch: "feature", Pushed: true}},
		"another repository":     {gitops.Hint{Repository: "bank/pay", Branch: "main", Pushed: true}, []string{"pay"}, []string{"prod"}},
		"a repository of others": {hint: gitops.Hint{Repository: "shop/api", Branch: "main", Pushed: true}},
		"a queue without branch": {gitops.Hint{Repository: "shop/manifests"}, []string{"default", "release"}, []string{"prod", "staging"}},
		"a pull request":         {gitops.Hint{Repository: "shop/manifests", Branch: "main", Topic: "tallyman/prod/api"}, []string{"default"}, []string{"prod"}},
		"one of before":          {gitops.Hint{Repository: "shop/manifests", Branch: "main", Topic: "tallyman/dev/api"}, []string{"default"}, []string{"dev"}},
		"one of no environment":  {gitops.Hint{Repository: "shop/manifests", Branch: "main", Topic: "tallyman/qa/api"}, []string{"default"}, nil},
		"one of a person":        {gitops.Hint{Repository: "shop/manifests", Branch: "main", Topic: "feature/prod"}, []string{"default"}, nil},
		"one without an app":     {gitops.Hint{Repository: "shop/manifests", Branch: "main", Topic: "tallyman/prod"}, []string{"default"}, nil},
		"one elsewhere":          {hint: gitops.Hint{Repository: "shop/api", Branch: "main", Topic: "tallyman/prod/api"}},
		"an owner":               {gitops.Hint{Owner: "SHOP"}, []string{"default", "release"}, []string{"prod", "staging"}},
		"another owner":          {hint: gitops.Hint{Owner: "shopping"}},
	} {
		t.Run(name, func(t *testing.T) {
			repositories := g.hinted(c.hint)
			environments := g.environmentsOf(c.hint, repositories)
			if diff := cmp.Diff(c.repositories, repositories) + cmp.Diff(c.environments, environments); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A pull request's event is authenticated as every other, answered with what it has looked
// at, and stored nowhere. A forged one and a huge one have the same limits.
func TestAHintIsAnsweredAndNotStored(t *testing.T) {
	r := hintSite(t).start()
	const body = `{"action": "closed", "pull_request": {"number": 7, "base": {"ref": "main"}, "head": {"ref": "tallyman/prod/api", "repo": {"full_name": "shop/manifests"}}}, "repository": {"full_name": "shop/manifests"}}`
	event := func(secret, id, body string) response {
		req := r.github(secret, id, body)
		req.Header.Set("X-GitHub-Event", "pull_request")
		return r.do(req)
	}
	d := event(oldSecret, "d1", body).delivery(t, http.StatusOK)
	if d.Outcome != gitops.OutcomeIgnored || d.Reason != `a "pull_request" event is a hint that pull requests may have changed: those of prod are looked at` {
		t.Errorf("%+v", d)
	}
	if got := event("a guess that is long enough", "d2", body); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("a forged one is answered %d", got.StatusCode)
	}
	if got := event(oldSecret, "d3", body+strings.Repeat(" ", 1<<20)); got.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge one is answered %d", got.StatusCode)
	}
	if got := event(oldSecret, "d4", body[:len(body)-1]); got.StatusCode != http.StatusBadRequest {
		t.Errorf("half of one is answered %d", got.StatusCode)
	}
	stored, _, err := r.store.Deliveries(t.Context(), queue.DeliveryFilter{}, queue.Page{Limit: 10})
	if err != nil || len(stored) > 0 {
		t.Errorf("stored %+v, %v", stored, err)
	}
}
