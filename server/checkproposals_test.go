package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

// Check asks GitHub what stands before pull requests, and changes nothing there.
func TestCheckPullRequests(t *testing.T) {
	const fine = "prod: pull requests into main may be opened, and a person merges them"
	for name, c := range map[string]struct {
		change func(s *site, github *githubtest.Server, hub *githubtest.Repository)
		line   string // is printed
		says   string // is wrong; "" for nothing
		code   gitops.Code
	}{
		"nothing": {line: fine, change: func(*site, *githubtest.Server, *githubtest.Repository) {}},
		"the permission is not approved": {
			says: "environment prod: the GitHub App acme-tallyman[bot] may not open pull requests: give it the permission Pull requests: write on its own page, and have an owner of the installation approve that at https://github.com/settings/installations/5678",
			code: gitops.Forbidden,
			change: func(_ *site, github *githubtest.Server, _ *githubtest.Repository) {
				github.Permit(5678, "pull_requests", "read")
			},
		},
		"a rule for topic branches": {
			says: "the rules creation of the repository apply to tallyman/prod/*, too", code: gitops.Rejected,
			change: func(_ *site, _ *githubtest.Server, hub *githubtest.Repository) {
				hub.Rule("tallyman/**", githubtest.Rule{Type: "creation"})
			},
		},
		"rules that cost approvals": {
			line: "warning: environments.prod.write: main wants pull requests to be up to date",
			change: func(_ *site, _ *githubtest.Server, hub *githubtest.Repository) {
				hub.Rule("main", githubtest.Checks(true, "ci"), githubtest.Reviews(1, "dismiss_stale_reviews_on_push", true))
			},
		},
		"auto-merge is off": {
			says: "the repository does not allow auto-merge", code: gitops.Rejected,
			change: func(s *site, _ *githubtest.Server, hub *githubtest.Repository) {
				s.edit("pullRequest: {", "pullRequest: {merge: auto, ")
				hub.Rule("main", githubtest.Reviews(1, "dismiss_stale_reviews_on_push", true))
				hub.Set(func(settings *githubtest.Settings) { settings.AllowAutoMerge = false })
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, github, hub := newForgeSite(t)
			c.change(s, github, hub)
			out, err := s.check()
			if c.line != "" && !slices.ContainsFunc(out, func(line string) bool { return strings.HasPrefix(line, c.line) }) {
				t.Errorf("nothing says %q: %q", c.line, out)
			}
			if c.says == "" && err != nil || c.says != "" && (gitops.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("wrong is %v, want %s %q", err, c.code, c.says)
			}
			if pulls := hub.Pulls(); len(pulls) > 0 {
				t.Errorf("opened %+v", pulls)
			}
		})
	}
}
