package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

// newGateSite is a site whose App is installed on octo-org/octo-repo, too, and whose
// rules demand two of its GitHub environments.
func newGateSite(t *testing.T) (*site, *githubtest.Server) {
	t.Helper()
	s, github := newAppSite(t)
	s.edit("api:\n", "api:\n  oidc: {audience: '"+audience+"', issuers: ['http://127.0.0.1:1/_services/token']}\n")
	const rule = "  - {who: {job: {repository: octo-org/octo-repo, repositoryID: 7700, ownerID: 1, refs: [refs/tags/v*], refProtected: true, githubEnvironment: "
	s.edit("access:\n", "access:\n"+rule+"staging}}, may: [order], apps: [api], environments: [dev]}\n"+rule+"prod}}, may: [order], apps: [api], environments: [prod]}\n")
	github.Install(77, "octo-org/octo-repo")
	return s, github
}

// With an App check asks GitHub about each environment that access demands.
func TestGatesAreChecked(t *testing.T) {
	s, github := newGateSite(t)
	github.Permit(77, "actions", "read")
	github.AddEnvironment("octo-org/octo-repo", "staging", githubtest.Environment{})
	github.AddEnvironment("octo-org/octo-repo", "prod", githubtest.Environment{Reviewers: []string{"ann", "bob"}, PreventSelfReview: true})
	out, err := s.check()
	s.must(err)
	for _, want := range []string{
		"GitHub environment staging of octo-org/octo-repo: 0 required reviewers",
		"warning: access[0]: the GitHub environment staging of octo-org/octo-repo has no required reviewers, so its jobs order unasked; the repository is not public, where required reviewers need GitHub Enterprise",
		"GitHub environment prod of octo-org/octo-repo: 2 required reviewers",
	} {
		if !slices.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, strings.Join(out, "\n"))
		}
	}
	if slices.ContainsFunc(out, func(line string) bool { return strings.HasPrefix(line, "warning: access[1]") }) {
		t.Errorf("warned of a good one:\n%s", strings.Join(out, "\n"))
	}
	github.AddEnvironment("octo-org/octo-repo", "prod", githubtest.Environment{Reviewers: []string{"ann"}, AdminsBypass: true})
	out, err = s.check()
	s.must(err)
	for _, want := range []string{"lets whoever started a run approve it", "can be passed by the repository's administrators"} {
		if !strings.Contains(strings.Join(out, "\n"), want) {
			t.Errorf("%q is not in\n%s", want, strings.Join(out, "\n"))
		}
	}
}

// An environment that does not exist is no gate, and one of another repository is
// not the one that is meant.
func TestGatesThatAreNotThere(t *testing.T) {
	s, github := newGateSite(t)
	github.Permit(77, "actions", "read")
	github.AddEnvironment("octo-org/octo-repo", "staging", githubtest.Environment{Reviewers: []string{"ann"}, PreventSelfReview: true})
	out, err := s.check()
	got := sentences(err)
	if len(got) != 1 || !strings.HasPrefix(got[0], "access[1].who.job.githubEnvironment: there is no GitHub environment prod of octo-org/octo-repo: GitHub makes one without any rule") {
		t.Errorf("found %q", got)
	}
	if !slices.Contains(out, "api in prod: charts/api/values-prod.yaml can be edited") {
		t.Errorf("the rest is not checked:\n%s", strings.Join(out, "\n"))
	}
	s.edit("repositoryID: 7700", "repositoryID: 7701")
	_, err = s.check()
	if got := sentences(err); len(got) != 2 || got[0] != "access[0].who.job.repositoryID: GitHub's number of octo-org/octo-repo is 7700" {
		t.Errorf("found %q", got)
	}
}

// Where nobody may look check says so, and how to.
func TestGatesThatCannotBeLookedAt(t *testing.T) {
	s, github := newGateSite(t)
	const unknown = "warning: access[1]: not known whether the GitHub environment prod of octo-org/octo-repo exists and has required reviewers: "
	for why, change := range map[string]func(s *site){
		"the GitHub App may not look at the environments of octo-org/octo-repo: give it the permission Actions: read, and accept that in installation 77": func(*site) {},
		"its jobs are of another GitHub than the App": func(s *site) {
			s.edit("http://127.0.0.1:1/_services/token", "https://token.actions.githubusercontent.com")
		},
		"only a GitHub App can look (manifests.credentials.githubApp)": func(s *site) {
			s.yaml = strings.Replace(s.yaml, "githubApp: {", "tokenFile: "+s.dir+"/token} # {", 1)
		},
	} {
		changed := *s
		change(&changed)
		out, err := changed.check()
		if !slices.Contains(out, unknown+why) {
			t.Errorf("%q is not in\n%s\n%v", why, strings.Join(out, "\n"), err)
		}
	}
	github.Uninstall(77)
	github.Expect(404)
	out, err := s.check()
	s.must(err)
	if !slices.Contains(out, unknown+"the GitHub App is not installed on octo-org/octo-repo") {
		t.Errorf("it is not in\n%s", strings.Join(out, "\n"))
	}
}
