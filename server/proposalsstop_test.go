package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

// A stop comes right before GitHub is asked to merge a pull request by itself, or right after:
// when it is answered GitHub merges nothing any more, whatever people approve, until resume.
func TestAStopIsOfPullRequestsToo(t *testing.T) {
	const enable = "enablePullRequestAutoMerge"
	for name, at := range map[string]githubtest.Fault{
		"before": {Method: "GET", Path: "/api/v3/repos/shop/manifests/pulls/1", Times: 1},
		"after":  {Method: "POST", Path: "/api/graphql", Contains: enable, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, github, hub := newForgeSite(t)
			s.everyRight()
			s.edit("labels: [deploy]", "merge: auto")
			hub.Set(func(set *githubtest.Settings) { set.AllowAutoMerge = true })
			hub.Protect(githubtest.Protection{Approvals: 1})
			asked, stopped := make(chan struct{}), make(chan struct{})
			if at.Asked = func() { close(asked) }; name == "before" {
				at.Wait = stopped
			}
			github.Inject(at)
			r := s.start()
			id := r.do(r.github(oldSecret, "d1", order("api", "prod", "1.2.3"))).delivery(t, 202).Updates[0].ID
			<-asked
			stop := act[api.HoldAnswer](r, "POST", "/api/v1/holds", "stop", stopProd, 201)
			if underWay := slices.Equal(stop.Stop.UnderWay, []string{id}); stop.Stop.QuietSince.IsZero() || underWay != (name == "after") {
				t.Errorf("the stop is answered with %+v", stop.Stop)
			}
			close(stopped)
			if pull := hub.Pull(1); pull.Armed {
				t.Error("armed when the stop is answered")
			}
			hub.Approve("ann", 1)
			r.changes(func(u gitops.Update) bool {
				return u.ID == id && u.Proposal != nil && slices.ContainsFunc(u.Proposal.WaitsFor, func(why string) bool { return strings.Contains(why, "stopped prod") })
			})
			armed := func() bool {
				return slices.ContainsFunc(github.Calls(), func(call string) bool { return strings.Contains(call, enable) })
			}
			if pull := hub.Pull(1); !pull.Open || pull.Armed || armed() != (name == "after") {
				t.Errorf("stopped, and %+v; it was armed: %t", pull, armed())
			}
			act[api.LiftAnswer](r, "DELETE", "/api/v1/holds/"+stop.Hold.ID, "", "", 200)
			r.becomes(id, gitops.Committed)
		})
	}
}
