package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

// newForgeSite is a site whose prod is written by pull requests on a GitHub that has the
// site's git repository.
func newForgeSite(t *testing.T) (*site, *githubtest.Server, *githubtest.Repository) {
	t.Helper()
	s, github := newAppSite(t)
	github.Permit(5678, "pull_requests", "write")
	github.Subscribe(5678, "pull_request", "push")
	hub := github.Serve("shop/manifests", s.repository)
	s.edit(`{semver: ">=1.0.0"}}`, `{semver: ">=1.0.0"}, write: pull-request, pullRequest: {labels: [deploy]}}`)
	return s, github, hub
}

// isProposed waits until an update is.
func (r *running) isProposed(id string) gitops.Update {
	r.t.Helper()
	r.changes(func(u gitops.Update) bool { return u.ID == id && u.State == gitops.Proposed })
	u, err := r.store.Update(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return u
}

// hears has GitHub send what it has to tell.
func (r *running) hears(hub *githubtest.Repository) {
	r.t.Helper()
	for i, event := range hub.Events() {
		req := r.github(newSecret, event.Name+string(rune('a'+i)), string(event.Body))
		req.Header.Set("X-GitHub-Event", event.Name)
		if answer := r.do(req); answer.StatusCode != http.StatusOK {
			r.t.Errorf("%s is answered %d %s", event.Name, answer.StatusCode, answer.body)
		}
	}
}

// An order is proposed, and dev beside it is pushed. The pull request is found again after a
// restart, follows a configuration that changes, and its merge is told by an event.
func TestAnOrderIsProposedAndMerged(t *testing.T) {
	s, _, hub := newForgeSite(t)
	r := s.start()
	proposed := r.do(r.github(oldSecret, "d1", order("api", "prod", "1.2.3"))).delivery(t, 202).Updates[0].ID
	pushed := r.do(r.github(oldSecret, "d2", order("api", "dev", "main-0000001"))).delivery(t, 202).Updates[0].ID
	r.becomes(pushed, gitops.Committed)
	u := r.isProposed(proposed)
	pull := hub.Pull(1)
	if u.Proposal == nil || u.Proposal.Number != 1 || !pull.Open || pull.Branch != "tallyman/prod/api" || pull.Armed {
		t.Fatalf("%+v is proposed by %+v", u, pull)
	}
	if diff := cmp.Diff([]string{"deploy"}, pull.Labels); diff != "" {
		t.Error(diff)
	}
	r.stop()

	s.edit("labels: [deploy]", "labels: [deploy, urgent]")
	r = s.start()
	hub.Merge("ann", 1, "squash")
	r.hears(hub)
	if u = r.becomes(proposed, gitops.Committed); u.Commit != hub.Pull(1).Landed || u.Proposal.EndedBy != "ann" {
		t.Errorf("merged as %+v", u)
	}
	if text, err := s.repository.Git("show", "main:charts/api/values-prod.yaml"); err != nil || !strings.Contains(text, "1.2.3") {
		t.Errorf("the file is %q, %v", text, err)
	}
}
