package feedback_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// Each state of an update has its status. What is over before GitHub was told is told as it
// is; what ended without effect has no Deployment, unless there is one already.
func TestEachStateHasItsStatus(t *testing.T) {
	const commit = "https://github.example/shop/manifests/commit/" + other
	long := strings.Repeat("é", 200)
	for name, c := range map[string]struct {
		late    bool // the update was pending for a while
		action  gitops.Action
		reason  string
		states  string
		last    githubapp.DeploymentStatus
		nothing bool
	}{
		"pending":            {late: true, states: "queued", last: githubapp.DeploymentStatus{State: "queued", Description: "Waits to be written to Git"}},
		"committed at once":  {action: gitops.ActionCommit, states: "success", last: githubapp.DeploymentStatus{State: "success", Description: "Written to Git", LogURL: commit}},
		"committed":          {late: true, action: gitops.ActionCommit, states: "queued success", last: githubapp.DeploymentStatus{State: "success", Description: "Written to Git", LogURL: commit}},
		"unchanged":          {action: gitops.ActionConfirm, states: "success", last: githubapp.DeploymentStatus{State: "success", Description: "Git had this tag already"}},
		"failed":             {action: gitops.ActionFail, reason: "no such key", states: "failure", last: githubapp.DeploymentStatus{State: "failure", Description: "no such key"}},
		"failed, at length":  {action: gitops.ActionFail, reason: long, states: "failure", last: githubapp.DeploymentStatus{State: "failure", Description: strings.Repeat("é", 137) + "..."}},
		"closed":             {late: true, action: gitops.ActionClose, reason: "ann closed it", states: "queued failure", last: githubapp.DeploymentStatus{State: "failure", Description: "ann closed it"}},
		"superseded":         {late: true, action: gitops.ActionSupersede, reason: "1.0.1 took its place", states: "queued inactive", last: githubapp.DeploymentStatus{State: "inactive", Description: "1.0.1 took its place"}},
		"superseded at once": {action: gitops.ActionSupersede, reason: "1.0.1 took its place", nothing: true},
		"cancelled":          {late: true, action: gitops.ActionCancel, reason: "not today", states: "queued inactive", last: githubapp.DeploymentStatus{State: "inactive", Description: "not today"}},
		"cancelled at once":  {action: gitops.ActionCancel, nothing: true},
		"proposed":           {action: gitops.ActionPropose, states: "pending", last: githubapp.DeploymentStatus{State: "pending", Description: "Waits in a pull request", LogURL: "https://github.example/shop/manifests/pull/7"}},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *site) {
				id := s.order("prod", "api", "1.0.0", sha)
				if c.late {
					s.pass(time.Minute)
				}
				if c.action != "" {
					s.ends(id, c.action, c.reason)
				}
				if c.action == gitops.ActionPropose {
					s.report("prod", queue.Report{Proposals: []queue.Proposed{{Update: id, Proposal: gitops.Proposal{Number: 7, URL: c.last.LogURL}}}})
				}
				s.pass(time.Minute)
				if c.nothing {
					s.expect()
					return
				}
				s.expect("shop/api prod 1a2b3c4 1.0.0: " + c.states)
				d := s.hub.made[0]
				if diff := cmp.Diff(c.last, d.statuses[len(d.statuses)-1]); diff != "" {
					t.Error(diff)
				}
				want := gitops.Feedback{Repository: api, Environment: "prod", Deployment: 1, URL: "https://github.example/shop/api/deployments"}
				if diff := cmp.Diff(want, s.noted(id)); diff != "" {
					t.Error(diff)
				}
				s.hub.asked()
				s.pass(time.Hour)
				if calls := s.hub.asked(); len(calls) > 0 {
					t.Errorf("GitHub was asked although nothing happened: %v", calls)
				}
			})
		})
	}
}

// What replaced an update is told once, and takes the environment's success: the older one
// does not take it back, in whatever order they are told.
func TestTheNewestIsTheActiveOne(t *testing.T) {
	play(t, func(s *site) {
		first := s.order("prod", "api", "1.0.0", sha)
		s.pass(time.Minute)
		s.hub.set(func() { s.hub.repositories[api] = gitops.Errorf(gitops.Unavailable, "away") })
		s.ends(first, gitops.ActionCommit, "")
		s.pass(time.Minute)
		second := s.order("prod", "api", "1.0.1", other)
		s.ends(second, gitops.ActionCommit, "")
		s.pass(time.Minute)
		s.hub.set(func() { s.hub.repositories = map[string]error{} })
		s.pass(10 * time.Minute)
		s.expect("shop/api prod 1a2b3c4 1.0.0: queued inactive", "shop/api prod 2a2b3c4 1.0.1: success")
		third := s.order("prod", "api", "1.0.0", sha) // back
		s.ends(third, gitops.ActionCommit, "")
		s.pass(time.Minute)
		s.expect("shop/api prod 1a2b3c4 1.0.0: queued inactive", "shop/api prod 2a2b3c4 1.0.1: success inactive", "shop/api prod 1a2b3c4 1.0.0: success")
	})
}

// Two apps of one repository have environments of their own: the success of one does not end
// the other's.
func TestAppsOfOneRepositoryDoNotEndEachOther(t *testing.T) {
	play(t, func(s *site) {
		s.sources["web"] = api
		s.sources["cron"] = "" // is not told
		for _, app := range []string{"api", "web", "cron"} {
			s.ends(s.order("prod", app, "1.0.0", sha), gitops.ActionCommit, "")
		}
		s.pass(time.Minute)
		s.expect("shop/api prod/api 1a2b3c4 1.0.0: success", "shop/api prod/web 1a2b3c4 1.0.0: success")
	})
}

// An update that is cancelled because its app left the configuration ends its Deployment.
func TestAnAppThatLeavesTheConfiguration(t *testing.T) {
	play(t, func(s *site) {
		id := s.order("prod", "api", "1.0.0", sha)
		s.pass(time.Minute)
		s.mu.Lock()
		delete(s.sources, "api")
		s.mu.Unlock()
		s.ends(id, gitops.ActionCancel, "app api left the configuration")
		s.pass(time.Minute)
		s.expect("shop/api prod 1a2b3c4 1.0.0: queued inactive")
	})
}

// The commit is what the sender says, or else what the tag says, or none; then it is said.
func TestTheCommitOfAnUpdate(t *testing.T) {
	const unknown = "9999999999999999999999999999999999999999"
	for name, c := range map[string]struct{ tag, revision, commit, asked string }{
		"the sender's":                          {"1.0.0", other, other, other},
		"a sender's that is of somewhere else":  {"1.0.0", unknown, sha, unknown + " tags/1.0.0 tags/v1.0.0"},
		"a version's, with v":                   {"1.0.0", "", sha, "tags/1.0.0 tags/v1.0.0"},
		"a tag's, as it is":                     {"weekly", "", sha, "tags/weekly"},
		"in the tag":                            {"main-1a2b3c4", "", sha, "1a2b3c4"},
		"the tag":                               {sha, "", sha, sha},
		"none, for the short name is ambiguous": {"main-2a2b3c4", "", "", "2a2b3c4 tags/main-2a2b3c4"},
		"none, for a branch is called so":       {"main-3a2b3c4", "", "", "3a2b3c4 tags/main-3a2b3c4"},
		"none, for no tag is called so":         {"nightly", "", "", "tags/nightly"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *site) {
				s.hub.refs[api+" tags/weekly"] = sha
				s.hub.refs[api+" 3a2b3c4"] = sha
				id := s.order("prod", "api", c.tag, c.revision)
				s.ends(id, gitops.ActionCommit, "")
				s.pass(time.Minute)
				var asked []string
				for _, call := range s.hub.asked() {
					if ref, ok := strings.CutPrefix(call.what, "commit "); ok {
						asked = append(asked, ref)
					}
				}
				if got := strings.Join(asked, " "); got != c.asked {
					t.Errorf("asked for %s, want %s", got, c.asked)
				}
				if c.commit != "" {
					s.expect(fmt.Sprintf("shop/api prod %.7s %s: success", c.commit, c.tag))
					return
				}
				s.expect()
				if said := s.noted(id).Reason; !strings.Contains(said, "GitHub knows no commit, or several, of shop/api") || !strings.Contains(said, strings.ReplaceAll(c.asked, " ", ", ")) {
					t.Errorf("said %q", said)
				}
				if s.counts("no_commit") != 1 || len(s.log.Lines("no deployment of the update", id)) != 1 {
					t.Errorf("counted %v, and logged %q", s.counted, s.log.Lines())
				}
			})
		})
	}
}
