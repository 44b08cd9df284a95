package githubapp_test

import (
	"strings"
	"testing"
	"time"

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

// Who only pushes needs no right to pull requests, and goes on with the token that there is
// when somebody needs one that has it.
func TestATokenIsForPullRequestsOnceSomebodyOpensThem(t *testing.T) {
	s := newSite(t)
	s.github.Permit(5678, "pull_requests", "write")
	a := s.app()
	first := s.token(a)
	s.look(a)
	second := s.token(a)
	want := map[string]string{"contents": "write", "metadata": "read"}
	if diff := cmp.Diff(want, s.github.Granted(first)); diff != "" || first == second {
		t.Errorf("for a push: %s", diff)
	}
	want["pull_requests"] = "write"
	if diff := cmp.Diff(want, s.github.Granted(second)); diff != "" {
		t.Errorf("for pull requests: %s", diff)
	}
	s.look(a)
	if s.minted() != 2 {
		t.Errorf("%d tokens were made", s.minted())
	}
}

// A permission that an owner has not approved yet keeps nobody from pushing, and is asked for
// again until it is there.
func TestAPermissionThatIsNotApprovedYet(t *testing.T) {
	s := newSite(t)
	a := s.app()
	s.github.Expect(422)
	s.look(a)
	lacking := s.token(a)
	if diff := cmp.Diff(map[string]string{"contents": "write", "metadata": "read"}, s.github.Granted(lacking)); diff != "" {
		t.Error(diff)
	}
	s.github.Permit(5678, "pull_requests", "write")
	s.pass(4 * time.Minute)
	if s.look(a); s.token(a) != lacking {
		t.Error("asked for again within minutes")
	}
	s.pass(2 * time.Minute)
	if s.token(a) != lacking {
		t.Error("a push waited for a permission that it does not need")
	}
	for s.token(a) == lacking { // until the renewal in the background is over
		s.look(a)
	}
	if got := s.github.Granted(s.token(a))["pull_requests"]; got != "write" {
		t.Errorf("pull requests: %q", got)
	}
}

// look asks as one who opens pull requests.
func (s *site) look(a *githubapp.App) {
	s.t.Helper()
	owner, name := a.Repository()
	if _, _, err := a.PullRequestClient().Repositories.Get(s.t.Context(), owner, name); err != nil {
		s.t.Fatal(err)
	}
}
