package server

import (
	"net/http"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

// GitHub's API does not answer about pull requests when the server starts: it is ready, pushes
// go on, and it stops while the request is under way.
func TestStartAndStopWhileGitHubHangs(t *testing.T) {
	s, github, _ := newForgeSite(t)
	hangs := make(chan struct{})
	asked := make(chan struct{}, 9)
	defer close(hangs)
	github.Inject(githubtest.Fault{Method: http.MethodGet, Path: "/repos/shop/manifests/pulls", Times: 9, Wait: hangs, Asked: func() { asked <- struct{}{} }})
	r := s.start()
	r.do(r.github(oldSecret, "d1", order("api", "prod", "1.0.0"))).delivery(t, 202)
	<-asked
	if u := r.settled(r.do(r.github(oldSecret, "d2", order("worker", "dev", "main-1a2b3c4"))).delivery(t, 202).Updates[0].ID); u.State != gitops.Committed {
		t.Errorf("%+v", u)
	}
	if got := r.probe("/readyz"); got.StatusCode != http.StatusOK {
		t.Errorf("ready is %d", got.StatusCode)
	}
	r.stop()
	nothingRuns(t)
}
