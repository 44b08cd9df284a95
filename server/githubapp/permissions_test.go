package githubapp_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// A token may write the manifest repository and nothing else, whatever the App was
// given.
func TestATokenHasOnlyWhatIsNeeded(t *testing.T) {
	s := newSite(t)
	for _, permission := range []string{"administration", "actions", "secrets"} {
		s.github.Permit(5678, permission, "write")
	}
	token := s.token(s.app())
	if diff := cmp.Diff(map[string]string{"contents": "write", "metadata": "read"}, s.github.Granted(token)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{repository}, s.github.Reached(token)); diff != "" {
		t.Error(diff)
	}
}

// An App that was not given the permission is told which.
func TestATokenThatMayNotWrite(t *testing.T) {
	s := newSite(t)
	s.github.Permit(5678, "contents", "read")
	s.github.Expect(422)
	_, _, err := s.app().Basic(t.Context())
	if gitops.CodeOf(err) != gitops.NotFound || !strings.Contains(gitops.PublicOf(err), "give it the permission Contents: write") {
		t.Error(err)
	}
}

// Pushes go on while the installation's owner has not approved pull requests; calls about
// those are told what is missing, and go well as soon as it is approved.
func TestPullRequestsAreNotApprovedYet(t *testing.T) {
	s := newSite(t)
	s.github.Expect(422)
	a := s.app()
	look := func() error {
		_, _, err := a.PullRequestClient().Repositories.Get(t.Context(), "myshop", "manifests")
		return githubapp.APIError("", err)
	}
	for range 2 {
		if err := look(); gitops.CodeOf(err) != gitops.Forbidden || !strings.Contains(gitops.PublicOf(err), "Pull requests: write") {
			t.Error(err)
		}
	}
	pushes := s.token(a)
	s.github.Permit(5678, "pull_requests", "write")
	if err := look(); err != nil {
		t.Error(err)
	}
	want := []map[string]string{
		{"contents": "write", "metadata": "read"},
		{"contents": "write", "pull_requests": "write", "metadata": "read"},
	}
	var got []map[string]string
	for _, token := range s.github.Tokens() {
		got = append(got, s.github.Granted(token))
	}
	if diff := cmp.Diff(want, got); diff != "" || s.token(a) != pushes {
		t.Error(diff)
	}
	if report, err := a.Report(t.Context()); err != nil || report.PullRequests != "write" {
		t.Errorf("%+v, %v", report, err)
	}
}
