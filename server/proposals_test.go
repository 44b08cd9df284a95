package server

import (
	"net/http"
	"strings"
	"testing"
	"time"

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

// A reload keeps what is open: where the environment is pushed to by now, its pull request is
// followed, and closed once a newer update is on the branch.
func TestPullRequestsOutliveAReload(t *testing.T) {
	s, _, hub := newForgeSite(t)
	r := s.start()
	older := r.do(r.github(oldSecret, "d1", order("api", "prod", "1.2.3"))).delivery(t, 202).Updates[0].ID
	r.isProposed(older)
	room := r.current().repositories["default"]
	s.edit("write: pull-request, pullRequest: {labels: [deploy]}", "write: push")
	s.must(s.reload(r))
	if r.current().repositories["default"] != room {
		t.Error("the manifest repository is another, and so is what follows its pull requests")
	}
	newer := r.do(r.github(oldSecret, "d2", order("api", "prod", "1.2.4"))).delivery(t, 202).Updates[0].ID
	r.becomes(newer, gitops.Committed)
	r.becomes(older, gitops.Superseded)
	for began := time.Now(); hub.Pull(1).Open && time.Since(began) < 30*time.Second; { // GitHub is asked only now
	}
	r.isClosed(hub, 1)
}

// An app that leaves the configuration has its pull request closed, and its update cancelled,
// also where no process knew in which repository it was.
func TestAnAppThatIsGoneHasItsPullRequestClosed(t *testing.T) {
	for name, change := range map[string]func(s *site, r *running) *running{
		"while it runs": func(s *site, r *running) *running {
			s.must(s.reload(r))
			return r
		},
		"while it is down": func(s *site, r *running) *running {
			r.stop()
			return s.start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, hub := newForgeSite(t)
			r := s.start()
			id := r.do(r.github(oldSecret, "d1", order("api", "prod", "1.2.3"))).delivery(t, 202).Updates[0].ID
			r.isProposed(id)
			s.edit("shop/api}", "shop/api, environments: [dev]}")
			r = change(s, r)
			r.becomes(id, gitops.Cancelled, `app "api" is not configured for environment "prod"`)
			r.isClosed(hub, 1)
		})
	}
}

// isClosed wants a pull request closed, and not merged.
func (r *running) isClosed(hub *githubtest.Repository, number int) {
	r.t.Helper()
	if pull := hub.Pull(number); pull.Open || pull.Merged {
		r.t.Errorf("pull request %d is %+v", number, pull)
	}
}
