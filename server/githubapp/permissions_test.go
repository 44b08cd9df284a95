package githubapp_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
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

// An App that asks for pull requests pushes on while the installation's owner has not
// approved them, and has them soon after that.
func TestPullRequestsAreNotApprovedYet(t *testing.T) {
	s := newSite(t)
	s.config.PullRequests = true
	s.github.Expect(422)
	a := s.app()
	token := s.token(a)
	if diff := cmp.Diff(map[string]string{"contents": "write", "metadata": "read"}, s.github.Granted(token)); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(s.log.String(), "has not approved pull requests") {
		t.Errorf("the log says %q", s.log.String())
	}
	s.github.Permit(5678, "pull_requests", "write")
	s.pass(4 * time.Minute)
	if s.token(a) != token {
		t.Error("asked again within five minutes")
	}
	s.pass(2 * time.Minute)
	s.token(a)
	a.Settle()
	if diff := cmp.Diff(map[string]string{"contents": "write", "pull_requests": "write", "metadata": "read"}, s.github.Granted(s.token(a))); diff != "" {
		t.Error(diff)
	}
	if report, err := a.Report(t.Context()); err != nil || report.PullRequests != "write" {
		t.Errorf("%+v, %v", report, err)
	}
}

// What GitHub refuses for another reason is not taken for a permission, and the token of
// one who may not push is not made in its place.
func TestPullRequestsAndNoRightToPush(t *testing.T) {
	s := newSite(t)
	s.config.PullRequests = true
	s.github.Permit(5678, "pull_requests", "write")
	s.github.Permit(5678, "contents", "read")
	s.github.Expect(422)
	if _, _, err := s.app().Basic(t.Context()); gitops.CodeOf(err) != gitops.NotFound || !strings.Contains(gitops.PublicOf(err), "Contents: write") {
		t.Error(err)
	}
	s.github.Inject(githubtest.Fault{Method: "POST", Path: mintPath, Times: 1, Status: 500})
	if _, _, err := s.app().Basic(t.Context()); gitops.CodeOf(err) != gitops.Unavailable {
		t.Error(err)
	}
}
