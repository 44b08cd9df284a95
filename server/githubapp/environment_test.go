package githubapp_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

func TestEnvironment(t *testing.T) {
	s := newSite(t)
	s.github.Install(77, "acme/api")
	s.github.Permit(77, "actions", "read")
	s.github.AddEnvironment("acme/api", "prod", githubtest.Environment{Reviewers: []string{"ann", "bob"}, PreventSelfReview: true})
	s.github.AddEnvironment("acme/api", "prod/eu [1]", githubtest.Environment{Reviewers: []string{"ann"}, AdminsBypass: true})
	s.github.AddEnvironment("acme/api", "open", githubtest.Environment{AdminsBypass: true})
	a := s.app()
	for name, want := range map[string]githubapp.Environment{
		"prod":        {RepositoryID: 7700, Private: true, Exists: true, Reviewers: 2},
		"prod/eu [1]": {RepositoryID: 7700, Private: true, Exists: true, Reviewers: 1, SelfReview: true, AdminsBypass: true},
		"open":        {RepositoryID: 7700, Private: true, Exists: true, AdminsBypass: true},
		"staging":     {RepositoryID: 7700, Private: true},
	} {
		got, err := a.Environment(t.Context(), "acme/api", name)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

// Its token may look and do nothing else.
func TestEnvironmentsAreReadByATokenThatOnlyReads(t *testing.T) {
	s := newSite(t)
	s.github.Install(77, "acme/api", "acme/web")
	s.github.Permit(77, "actions", "write")
	if _, err := s.app().Environment(t.Context(), "acme/api", "prod"); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"metadata": "read", "actions": "read"}
	if diff := cmp.Diff(want, s.github.Granted(s.github.Tokens()[0])); diff != "" {
		t.Error(diff)
	}
	if got := s.github.Reached(s.github.Tokens()[0]); !slices.Equal(got, []string{"acme/api"}) {
		t.Errorf("it reaches %q", got)
	}
}

func TestEnvironmentsThatCannotBeRead(t *testing.T) {
	s := newSite(t)
	s.github.Install(77, "acme/api")
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound} {
		s.github.Expect(status)
	}
	a := s.app()
	for repository, c := range map[string]struct {
		code gitops.Code
		says string
	}{
		"acme/web": {gitops.NotFound, "the GitHub App is not installed on acme/web"},
		"acme/api": {gitops.Forbidden, "the GitHub App may not look at the environments of acme/api: give it the permission Actions: read, and accept that in installation 77"},
	} {
		if _, err := a.Environment(t.Context(), repository, "prod"); gitops.CodeOf(err) != c.code || gitops.PublicOf(err) != c.says {
			t.Errorf("%s: %v", repository, err)
		}
	}
	s.github.Permit(77, "actions", "read")
	s.github.Inject(githubtest.Fault{Method: http.MethodGet, Path: "/repos/acme/api/environments/prod", Times: 1, Status: 500})
	if _, err := a.Environment(t.Context(), "acme/api", "prod"); gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(err.Error(), "environment prod of acme/api") {
		t.Errorf("of an answer of 500: %v", err)
	}
}

func TestTheIssuerOfAHost(t *testing.T) {
	for repository, c := range map[string]struct{ yes, no string }{
		"https://github.com/o/r.git":        {"https://token.actions.githubusercontent.com/enterprise", "https://ghes.example/_services/token"},
		"https://acme.ghe.com/o/r.git":      {"https://token.actions.acme.ghe.com", "https://token.actions.githubusercontent.com"},
		"https://GHES.example:8443/o/r.git": {"https://ghes.example/_services/token", "https://token.actions.githubusercontent.com"},
	} {
		s := newSite(t)
		s.config.RepositoryURL = repository
		if a := s.app(); !a.Issues(c.yes) || a.Issues(c.no) || a.Issues("%") {
			t.Errorf("%s: %t, %t", repository, a.Issues(c.yes), a.Issues(c.no))
		}
	}
}
