package githubapp_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
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
