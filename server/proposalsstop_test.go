package server

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

// A stop comes right before GitHub is asked to merge a pull request by itself, or right after:
// when it is answered GitHub merges nothing any more, whatever people approve.
func TestAStopIsOfPullRequestsToo(t *testing.T) {
	const enable, pull = "enablePullRequestAutoMerge", "/repos/shop/manifests/pulls/1"
	for name, at := range map[string]githubtest.Fault{
		"before": {Method: "GET", Path: pull},
		"after":  {Method: "POST", Path: "/graphql", Contains: enable},
	} {
		t.Run(name, func(t *testing.T) {
			s, github, hub := newForgeSite(t)
			s.everyRight()
			s.edit("labels: [deploy]", "merge: auto")
			hub.Set(func(set *githubtest.Settings) { set.AllowAutoMerge = true })
			hub.Protect(githubtest.Protection{Approvals: 1})
			stopped := make(chan struct{})
			if name == "before" {
				at.Wait = stopped
			}
			called := asked(github, at)
			said := asked(github, githubtest.Fault{Method: "PATCH", Path: pull, Contains: "**Held:**"})
			await := func(otherwise string, c <-chan struct{}) {
				select {
				case <-c:
				case <-time.After(20 * time.Second):
					t.Fatalf("%s; the calls are %q", otherwise, github.Calls())
				}
			}
			r := s.start()
			id := r.do(r.github(oldSecret, "d1", order("api", "prod", "1.2.3"))).delivery(t, 202).Updates[0].ID
			await("GitHub was not asked", called)
			stop := act[api.HoldAnswer](r, "POST", "/api/v1/holds", "stop", stopProd, 201)
			if underWay := slices.Equal(stop.Stop.UnderWay, []string{id}); stop.Stop.QuietSince.IsZero() || underWay != (name == "after") {
				t.Errorf("the stop is answered with %+v", stop.Stop)
			}
			close(stopped)
			if hub.Pull(1).Armed {
				t.Error("armed when the stop is answered")
			}
			hub.Approve("ann", 1)
			await("the pull request does not say that it is held", said)
			armed := func() bool {
				return slices.ContainsFunc(github.Calls(), func(call string) bool { return strings.Contains(call, enable) })
			}
			if p := hub.Pull(1); !p.Open || p.Armed || armed() != (name == "after") {
				t.Errorf("stopped, and %+v; it was armed: %t", p, armed())
			}
		})
	}
}
