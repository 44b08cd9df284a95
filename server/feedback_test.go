package server

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

const revision = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"

// newSourceSite is a site whose app api has a source, on which the App is installed.
func newSourceSite(t *testing.T) (*site, *githubtest.Server, *githubtest.Source) {
	t.Helper()
	s, github := newAppSite(t)
	github.Install(77, "shop/api")
	github.Permit(77, "deployments", "write")
	s.edit("  api: {repository", "  api: {source: shop/api, repository")
	return s, github, github.Source("shop/api", revision)
}

// awaitNote waits for a checkpoint, which is about to be written.
func (r *running) awaitNote(name, text string) {
	r.t.Helper()
	for began := time.Now(); ; {
		got, err := r.store.Checkpoint(r.t.Context(), name)
		if err == nil && strings.Contains(got, text) {
			return
		}
		if time.Since(began) > 30*time.Second {
			r.t.Fatalf("%s is %q, %v", name, got, err)
		}
	}
}

// asked has the test told of the next call.
func asked(github *githubtest.Server, f githubtest.Fault) <-chan struct{} {
	called := make(chan struct{})
	f.Times, f.Asked = 1, func() { close(called) }
	github.Inject(f)
	return called
}

// What becomes of an update is shown by GitHub on the commit that the sender named, and the
// API says where. A GitHub that does not answer delays no lane.
func TestGitHubIsToldOfUpdates(t *testing.T) {
	const deployments = "/repos/shop/api/deployments"
	s, github, source := newSourceSite(t)
	answer := make(chan struct{})
	listed := asked(github, githubtest.Fault{Method: http.MethodGet, Path: deployments, Wait: answer})
	told := asked(github, githubtest.Fault{Method: http.MethodPost, Path: deployments + "/1/statuses"})
	r := s.start()
	r.awaitNote("job/feedback", "cursor")
	unknown := r.settled(r.order("first", `{"app": "api", "environment": "dev", "tag": "main-0000001"}`).delivery(t, 202).Updates[0].ID)
	<-listed
	dispatch := strings.Replace(order("api", "dev", "main-1a2b3c4"), `"tag"`, `"sha": "`+revision+`", "tag"`, 1)
	u := r.settled(r.do(r.github(oldSecret, "second", dispatch)).delivery(t, 202).Updates[0].ID)
	if u.State != gitops.Committed || u.Revision != revision || len(source.Deployments()) > 0 {
		t.Errorf("while GitHub does not answer, %+v, and %+v", u, source.Deployments())
	}
	close(answer)
	<-told
	r.awaitNote("feedback/dev/api", u.ID)
	all := source.Deployments()
	manifests, _ := strings.CutSuffix(s.config().Manifests.URL, ".git")
	if len(all) != 1 || all[0].SHA != revision || all[0].Environment != "dev" || all[0].State() != "success" || all[0].Statuses[0].LogURL != manifests+"/commit/"+u.Commit {
		t.Errorf("%+v", all)
	}
	host, _ := strings.CutSuffix(manifests, "/shop/manifests")
	want := &gitops.Feedback{Repository: "shop/api", Environment: "dev", Deployment: 1, URL: host + "/shop/api/deployments"}
	for id, want := range map[string]*gitops.Feedback{u.ID: want, unknown.ID: nil} { // the first is behind by then
		if diff := cmp.Diff(want, read[gitops.Update](r, "/api/v1/updates/"+id).Feedback); diff != "" {
			t.Error(diff)
		}
	}
	series := gather(t, r.Server)
	for name, want := range map[string]float64{"written_total": 2, "failures_total": 0, `left_out_total{reason="no_commit"}`: 0, "refusing_repositories": 0, "oldest_seconds": 0} {
		if got, there := series["tallyman_feedback_"+name]; got != want || !there {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// A repository without the App is told of by explain, and is told when the configuration
// names another.
func TestARepositoryWithoutTheAppIsSaid(t *testing.T) {
	s, github, _ := newSourceSite(t)
	github.Uninstall(77)
	github.Expect(http.StatusNotFound)
	r := s.start()
	r.awaitNote("job/feedback", "cursor")
	u := r.settled(r.order("first", `{"app": "api", "environment": "dev", "tag": "main-1a2b3c4"}`).delivery(t, 202).Updates[0].ID)
	r.awaitNote("feedback/dev/api", u.ID)
	said := read[gitops.Update](r, "/api/v1/updates/"+u.ID).Feedback
	if said == nil || said.Deployment != 0 || !strings.HasPrefix(said.Reason, "the GitHub App is not installed on shop/api: install it there, or correct source") {
		t.Errorf("%+v", said)
	}
	if refusing := gather(t, r.Server)["tallyman_feedback_refusing_repositories"]; refusing != 1 {
		t.Errorf("%v repositories refuse", refusing)
	}
}

// Check asks whether the App may tell each source of updates, and makes nothing.
func TestCheckSources(t *testing.T) {
	const web = "source of worker: the GitHub App is not installed on shop/web: install it there, or correct source"
	for name, c := range map[string]struct {
		change func(github *githubtest.Server)
		status int // of an answer that is wanted
		line   string
		says   []string
	}{
		"all": {
			change: func(github *githubtest.Server) {
				github.Install(78, "shop/web")
				github.Permit(78, "deployments", "write")
			},
			line: "sources: GitHub may be told of updates in 2 of 2 sources",
		},
		"one without the App": {
			change: func(*githubtest.Server) {}, status: http.StatusNotFound,
			line: "sources: GitHub may be told of updates in 1 of 2 sources", says: []string{web},
		},
		"one without deployments": {
			change: func(github *githubtest.Server) { github.Permit(77, "deployments", "read") }, status: http.StatusNotFound,
			says: []string{"source of api: the GitHub App may not make deployments in shop/api: give it the permission Deployments: write, and let an owner of the repository approve it in installation 77", web},
		},
		"one without contents": {
			change: func(github *githubtest.Server) { github.Permit(77, "contents", "") }, status: http.StatusNotFound,
			says: []string{"source of api: the GitHub App may not read commits in shop/api: give it the permission Contents: read, and let an owner of the repository approve it in installation 77", web},
		},
		"a GitHub that is away": {
			change: func(github *githubtest.Server) {
				for _, name := range []string{"api", "web"} {
					github.Inject(githubtest.Fault{Method: http.MethodGet, Path: "/repos/shop/" + name + "/installation", Times: 9, Status: http.StatusBadGateway})
				}
			},
			says: []string{"GitHub's API answered with an unexpected status"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, github, source := newSourceSite(t)
			s.edit("  worker: {", "  worker: {source: shop/web, ")
			if c.status != 0 {
				github.Expect(c.status)
			}
			c.change(github)
			out, err := s.check()
			if got := slices.Contains(out, c.line); got != (c.line != "") {
				t.Errorf("%q is printed: %q", c.line, out)
			}
			if err == nil && len(c.says) > 0 || err != nil && len(c.says) == 0 {
				t.Errorf("wrong is %v, want %q", err, c.says)
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%v does not say %q", err, says)
				}
			}
			if made := source.Deployments(); len(made) > 0 || slices.Contains(github.Calls(), "POST /app/installations/77/access_tokens") {
				t.Errorf("made %+v", made)
			}
		})
	}
}
