package githubapp_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

const (
	source     = "myshop/api"
	sourceMint = "/app/installations/77/access_tokens"
	deploys    = "/repos/myshop/api/deployments"
	sha        = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
	alike      = "1a2b3c4fffffffffffffffffffffffffffffffff"
	single     = "2a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
)

// newSource is an App that is installed on a source of images, too, in an installation of
// its own.
func newSource(t *testing.T) (*site, *githubtest.Source, *githubapp.Deployer) {
	t.Helper()
	s := newSite(t)
	s.github.Install(77, source, "myshop/secret")
	s.github.Permit(77, "deployments", "write")
	s.github.Permit(77, "contents", "read")
	repository := s.github.Source(source, sha, alike, single)
	repository.Ref("tags/v1.0.0", single)
	repository.Ref("heads/3a2b3c4", single)
	return s, repository, s.app().Deployer()
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func newDeployment(revision string) githubapp.NewDeployment {
	return githubapp.NewDeployment{Revision: revision, Environment: "prod", Description: "api 1.0.0 in prod",
		Payload: githubapp.DeploymentPayload{Update: "u1", App: "api", Environment: "prod", Tag: "1.0.0"}}
}

// A Deployment merges nothing and waits for no check, is found again by its update, and its
// last status is the newest.
func TestADeploymentIsMadeAndFound(t *testing.T) {
	s, repository, d := newSource(t)
	repository.Fail(single)
	repository.FallBehind()
	id, err := d.Deploy(t.Context(), source, newDeployment(single))
	s.must(err)
	for _, state := range []string{"queued", "pending", "in_progress", "success"} {
		s.must(d.SetStatus(t.Context(), source, id, githubapp.DeploymentStatus{State: state, Description: state + "!", LogURL: "https://github.com/myshop/manifests/pull/7"}))
	}
	all := repository.Deployments()
	if len(all) != 1 || all[0].SHA != single || all[0].Task != "tallyman" || all[0].Environment != "prod" || all[0].State() != "success" || all[0].Description != "api 1.0.0 in prod" {
		t.Errorf("%+v", all)
	}
	last, err := d.LastStatus(t.Context(), source, id)
	s.must(err)
	if want := (githubapp.DeploymentStatus{State: "success", Description: "success!", LogURL: "https://github.com/myshop/manifests/pull/7"}); last != want {
		t.Errorf("%+v", last)
	}
	for range 104 {
		_, err := d.Deploy(t.Context(), source, newDeployment(sha))
		s.must(err)
		s.clock.Pass(time.Second)
	}
	newest, complete, err := d.Deployments(t.Context(), source)
	s.must(err)
	if len(newest) != 100 || complete || newest[0].ID != 105 || newest[0].Update != "u1" || newest[0].CreatedAt.IsZero() {
		t.Errorf("%d deployments, complete %t, the first is %+v", len(newest), complete, newest[0])
	}
	found, err := d.DeploymentsOf(t.Context(), source, single)
	s.must(err)
	if len(found) != 1 || found[0].ID != id {
		t.Errorf("%+v", found)
	}
	if page := d.Page(source); page != "https://github.com/myshop/api/deployments" {
		t.Errorf("the page is %s", page)
	}
}

// A ref names one commit, or none; a short name that is ambiguous names none.
func TestCommitsAreFound(t *testing.T) {
	_, _, d := newSource(t)
	for ref, want := range map[string]string{
		sha: sha, single: single, "2a2b3c4": single, "tags/v1.0.0": single, "3a2b3c4": single, // a branch: its caller compares
		"1a2b3c4": "", "1a2b3c4d": sha, "tags/v2.0.0": "", "9999999": "", "tags/a?b#c": "",
	} {
		if got, err := d.Commit(t.Context(), source, ref); err != nil || got != want {
			t.Errorf("%s is %q, %v", ref, got, err)
		}
	}
}

// The token for a repository is for it alone and may do what it must, and serves until it
// ends.
func TestATokenForDeployments(t *testing.T) {
	s, _, d := newSource(t)
	for range 3 {
		_, err := d.Deploy(t.Context(), source, newDeployment(single))
		s.must(err)
	}
	tokens := s.github.Tokens()
	if len(tokens) != 1 {
		t.Fatalf("%d tokens were made", len(tokens))
	}
	want := map[string]string{"deployments": "write", "contents": "read", "metadata": "read"}
	if diff := cmp.Diff(want, s.github.Granted(tokens[0])); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{source}, s.github.Reached(tokens[0])); diff != "" {
		t.Error(diff)
	}
	s.clock.Pass(59 * time.Minute)
	_, err := d.Deploy(t.Context(), source, newDeployment(single))
	s.must(err)
	if n := s.github.Count(http.MethodPost, sourceMint); n != 2 {
		t.Errorf("%d tokens were made", n)
	}
}

// What GitHub refuses has a code, which says who can do something, and words that name the
// repository.
func TestWhatGitHubRefusesOfDeployments(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *site, r *githubtest.Source)
		deploy githubapp.NewDeployment
		status []int
		code   gitops.Code
		says   string
		waits  time.Duration
	}{
		"not installed": {func(s *site, _ *githubtest.Source) { s.github.Uninstall(77) }, newDeployment(single), []int{404}, gitops.NotFound, "the GitHub App is not installed on myshop/api", 0},
		"no permission": {func(s *site, _ *githubtest.Source) { s.github.Permit(77, "deployments", "read") }, newDeployment(single), nil, gitops.Forbidden,
			"the GitHub App may not make deployments in myshop/api: give it the permission Deployments: write, and let an owner of the repository approve it in installation 77", 0},
		"no contents": {func(s *site, _ *githubtest.Source) { s.github.Permit(77, "contents", "") }, newDeployment(single), nil, gitops.Forbidden, "the GitHub App may not read commits in myshop/api: give it the permission Contents: read", 0},
		"renamed": {func(s *site, _ *githubtest.Source) {
			s.github.Inject(githubtest.Fault{Method: http.MethodPost, Path: sourceMint, Times: 1, Status: 422, Body: `{"message": "There is at least one repository that does not exist or is not accessible"}`})
		}, newDeployment(single), nil, gitops.Forbidden, "where the repository was renamed, correct source", 0},
		"no such commit": {nil, newDeployment("9999999999999999999999999999999999999999"), []int{422}, gitops.Rejected, "GitHub refuses it (making a deployment in myshop/api): No ref found for: 9999", 0},
		"too long":       {nil, githubapp.NewDeployment{Revision: single, Description: strings.Repeat("x", 141)}, []int{422}, gitops.Rejected, "description is too long", 0},
		"a limit": {func(s *site, _ *githubtest.Source) {
			s.github.Inject(githubtest.Fault{Method: http.MethodPost, Path: deploys, Times: 1, Status: 403, Header: http.Header{"Retry-After": {"47"}},
				Body: `{"message": "You have exceeded a secondary rate limit", "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`})
		}, newDeployment(single), nil, gitops.RateLimited, "rate limited", 47 * time.Second},
		"too many requests": {func(s *site, _ *githubtest.Source) {
			s.github.Inject(githubtest.Fault{Method: http.MethodPost, Path: deploys, Times: 1, Status: 429, Header: http.Header{"Retry-After": {"47"}}, Body: `{"message": "slow down"}`})
		}, newDeployment(single), nil, gitops.RateLimited, "rate limited", 47 * time.Second},
		"a failure": {func(s *site, _ *githubtest.Source) {
			s.github.Inject(githubtest.Fault{Method: http.MethodPost, Path: deploys, Times: 1, Status: 502, Body: `{}`})
		}, newDeployment(single), nil, gitops.Unavailable, "unexpected status", 0},
		"a conflict": {func(s *site, _ *githubtest.Source) {
			s.github.Inject(githubtest.Fault{Method: http.MethodPost, Path: deploys, Times: 1, Status: 409, Body: `{"message": "Conflict: Commit status checks failed"}`})
		}, newDeployment(single), nil, gitops.Rejected, "Commit status checks failed", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, repository, d := newSource(t)
			for _, status := range c.status {
				s.github.Expect(status)
			}
			if c.change != nil {
				c.change(s, repository)
			}
			_, err := d.Deploy(t.Context(), source, c.deploy)
			var e *gitops.Error
			if gitops.CodeOf(err) != c.code || !strings.Contains(gitops.PublicOf(err), c.says) {
				t.Errorf("%v", err)
			} else if e, _ = err.(*gitops.Error); e == nil || e.RetryAfter != c.waits {
				t.Errorf("it waits %+v", e)
			}
			if len(repository.Deployments()) > 0 {
				t.Error("a deployment was made")
			}
		})
	}
}

// After a limit GitHub is asked again as soon as the caller wants: how long that waits is the
// caller's.
func TestALimitIsNotKeptByTheClient(t *testing.T) {
	s, _, d := newSource(t)
	s.github.Inject(githubtest.Fault{Method: http.MethodPost, Path: deploys, Times: 1, Status: 403, Header: http.Header{"Retry-After": {"3600"}},
		Body: `{"message": "You have exceeded a secondary rate limit", "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`})
	if _, err := d.Deploy(t.Context(), source, newDeployment(single)); gitops.CodeOf(err) != gitops.RateLimited {
		t.Errorf("%v", err)
	}
	_, err := d.Deploy(t.Context(), source, newDeployment(single))
	s.must(err)
}

// A token that not all of GitHub's servers know yet is no reason to give up, and one that was
// revoked is replaced.
func TestAFreshTokenAndARevokedOne(t *testing.T) {
	s, repository, d := newSource(t)
	s.github.Expect(http.StatusUnauthorized)
	s.github.FreshTokens(http.StatusNotFound, http.StatusUnauthorized)
	for range 2 {
		if _, err := d.Deploy(t.Context(), source, newDeployment(single)); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("a fresh token: %v", err)
		}
	}
	_, err := d.Deploy(t.Context(), source, newDeployment(single))
	s.must(err)
	s.github.Revoke()
	s.clock.Pass(2 * time.Minute)
	if _, err := d.Deploy(t.Context(), source, newDeployment(single)); gitops.CodeOf(err) != gitops.Unauthorized {
		t.Errorf("a revoked token: %v", err)
	}
	_, err = d.Deploy(t.Context(), source, newDeployment(single))
	s.must(err)
	if n := len(repository.Deployments()); n != 2 {
		t.Errorf("%d deployments", n)
	}
}

// A Deployment that somebody deleted is gone for good; a repository that the App was taken
// from may come back.
func TestADeploymentThatIsGone(t *testing.T) {
	s, repository, d := newSource(t)
	s.github.Expect(http.StatusNotFound)
	s.github.Expect(http.StatusUnauthorized)
	id, err := d.Deploy(t.Context(), source, newDeployment(single))
	s.must(err)
	repository.Delete(id)
	s.clock.Pass(2 * time.Minute)
	if _, err := d.LastStatus(t.Context(), source, id); gitops.CodeOf(err) != gitops.Rejected || !strings.Contains(gitops.PublicOf(err), "the deployment in myshop/api was deleted") {
		t.Errorf("%v", err)
	}
	s.clock.Pass(2 * time.Minute)
	s.github.Uninstall(77)
	for n, want := range []gitops.Code{gitops.Unauthorized, gitops.NotFound} {
		if err := d.SetStatus(t.Context(), source, id, githubapp.DeploymentStatus{State: "success"}); gitops.CodeOf(err) != want {
			t.Errorf("call %d: %v", n, err)
		}
	}
}

// Success ends what was a success before in its environment alone.
func TestSuccessEndsTheOneBefore(t *testing.T) {
	s, repository, d := newSource(t)
	for n, environment := range []string{"prod/api", "prod/web", "prod/api"} {
		made := newDeployment(single)
		made.Environment = environment
		id, err := d.Deploy(t.Context(), source, made)
		s.must(err)
		s.must(d.SetStatus(t.Context(), source, id, githubapp.DeploymentStatus{State: "success", Description: fmt.Sprint(n)}))
	}
	var states []string
	for _, d := range repository.Deployments() {
		states = append(states, d.Environment+" "+d.State())
	}
	if diff := cmp.Diff([]string{"prod/api inactive", "prod/web success", "prod/api success"}, states); diff != "" {
		t.Error(diff)
	}
}

// A state that GitHub does not have is refused, and the Deployment keeps its own.
func TestAStateThatGitHubDoesNotHave(t *testing.T) {
	s, repository, d := newSource(t)
	id, err := d.Deploy(t.Context(), source, newDeployment(single))
	s.must(err)
	for _, state := range []string{"waiting", "healthy", "degraded", ""} {
		s.github.Expect(http.StatusUnprocessableEntity)
		if err := d.SetStatus(t.Context(), source, id, githubapp.DeploymentStatus{State: state}); gitops.CodeOf(err) != gitops.Rejected {
			t.Errorf("%q: %v", state, err)
		}
	}
	if n := len(repository.Deployments()[0].Statuses); n != 0 {
		t.Errorf("it has %d statuses", n)
	}
}
