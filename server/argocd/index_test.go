package argocd_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/server/argocd"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
)

func manifestOf(app string) rollout.Manifest {
	return rollout.Manifest{Repository: "git@github.com:myshop/myshop-manifests.git", Branch: "main", File: "charts/" + app + "/values-dev.yaml"}
}

// finds looks for an app's Applications, and returns them and what comes near, or the error's code.
func finds(x *argocd.Index, app string) string {
	matches, near, err := x.Find(context.Background(), manifestOf(app))
	if err != nil {
		return string(gitops.CodeOf(err))
	}
	return fmt.Sprint(matches, near)
}

func TestAnApplicationIsFoundByItsFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "other")
		s.argo.AllowNamespace("other", "team-a")
		s.app("api", argocdtest.Behaviour{})
		s.app("web", argocdtest.Behaviour{})
		s.argo.Add(argocdtest.App{
			Project: "other", Namespace: "team-a", Name: "api-eu", Image: image, Revision: before, Tag: "v1", Ours: 1,
			Sources: []argocdtest.Source{
				{RepoURL: "https://charts.example/shop", Path: "chart", TargetRevision: "main", ValueFiles: []string{"$values/charts/api/values-dev.yaml"}},
				{RepoURL: manifests, TargetRevision: "HEAD", Ref: "values"},
			},
		})
		s.argo.Add(argocdtest.App{
			Project: "other", Name: "old", Image: image, Revision: before, Tag: "v1",
			Sources: []argocdtest.Source{{RepoURL: manifests, Path: "charts/old", TargetRevision: "v1.2.0", ValueFiles: []string{"values-dev.yaml"}}},
		})
		x := argocd.NewIndex(s.client)
		for app, want := range map[string]string{
			"api":  "[{myshop/argocd/api [0]} {other/team-a/api-eu [1]}] []",
			"web":  "[{myshop/argocd/web [0]}] []",
			"old":  "[] [other/argocd/old: pinned to v1.2.0]",
			"none": "[] []",
		} {
			if got := finds(x, app); got != want {
				t.Errorf("%s: %s, not %s", app, got, want)
			}
		}
		if n := x.Len(); n != 4 {
			t.Errorf("%d Applications", n)
		}
	})
}

// The list is made when it is first needed, then every 5 minutes, and on a miss at most once
// in 10 seconds.
func TestTheListIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.app("api", argocdtest.Behaviour{})
		x := argocd.NewIndex(s.client)
		lists := func(want int) {
			t.Helper()
			if n := len(s.argo.Requests("/applications?")); n != want {
				t.Errorf("%d lists, not %d", n, want)
			}
		}
		ended := make(chan string)
		for range 50 { // together they make one
			go func() { ended <- finds(x, "api") }()
		}
		for range 50 {
			if got := <-ended; got != "[{myshop/argocd/api [0]}] []" {
				t.Error(got)
			}
		}
		lists(1)
		for range 100 { // for 50 seconds
			finds(x, "web")
			time.Sleep(500 * time.Millisecond)
		}
		lists(5)
		s.app("web", argocdtest.Behaviour{})
		time.Sleep(10 * time.Second)
		if got := finds(x, "web"); got != "[{myshop/argocd/web [0]}] []" {
			t.Errorf("a new Application: %s", got)
		}
		lists(6)
		s.argo.Delete("", "web")
		finds(x, "web")
		lists(6)
		time.Sleep(5 * time.Minute)
		if got := finds(x, "web"); got != "[] []" {
			t.Errorf("an Application that is gone: %s", got)
		}
		lists(7)
	})
}

// What was listed is used while Argo CD cannot be asked, but a miss is never of an old list,
// nor of a list that is not there: what cannot be told is no unmapped.
func TestAMissIsOfANewList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "other")
		s.app("api", argocdtest.Behaviour{})
		x := argocd.NewIndex(s.client)
		lift := s.argo.Fail(argocdtest.Fault{Status: http.StatusServiceUnavailable})
		if got := finds(x, "api"); got != "unavailable" {
			t.Errorf("with no list: %s", got)
		}
		lift()
		time.Sleep(time.Second)
		s.argo.MayGet(s.token, "myshop")
		if got := finds(x, "api"); got != "forbidden" {
			t.Errorf("with the list of one project alone: %s", got)
		}
		s.argo.MayGet(s.token, "myshop", "other")
		if got := finds(x, "api"); got != "[{myshop/argocd/api [0]}] []" {
			t.Error(got)
		}
		s.argo.Fail(argocdtest.Fault{Status: http.StatusServiceUnavailable})
		time.Sleep(time.Hour)
		if got := finds(x, "api"); got != "[{myshop/argocd/api [0]}] []" {
			t.Errorf("with an old list: %s", got)
		}
		if got := finds(x, "web"); got != "unavailable" {
			t.Errorf("what is not in an old list: %s", got)
		}
	})
}

// A list that has what is not of the project, or that is cut off, is not used.
func TestAListThatIsWrong(t *testing.T) {
	for name, body := range map[string]string{
		"another project": `{"items":[{"metadata":{"name":"x"},"spec":{"project":"other"}}]}`,
		"no name":         `{"items":[{"spec":{"project":"myshop"}}]}`,
		"cut off":         `{"metadata":{},"items":[{"metadata":{"name":"x"},"spec":{"project":"myshop"}}`,
		"no list":         `{"items":{}}`,
		"no object":       `[]`,
		"not typed":       `{"items":[{"metadata":3}]}`,
		"half an end":     `{"items":[]`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			client := s.connect(argocd.Config{URL: "https://argocd.myshop.example", Projects: []string{"myshop"}, Via: says(body)})
			_, err := client.Applications(context.Background())
			wants(t, err, gitops.Unavailable, "argocd argocd.myshop.example: ")
		})
	}
}

// says is a RoundTripper with one answer.
type says string

func (text says) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(string(text))),
	}, nil
}

// 8,000 Applications take a few MB.
func TestALargeIndexIsSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where an answer is never late, however busy the machine is
		const many = 8000
		s := newSite(t)
		for i := range many {
			s.app(fmt.Sprintf("app-%04d", i), argocdtest.Behaviour{})
		}
		x := argocd.NewIndex(s.client)
		used := func() uint64 {
			runtime.GC()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		began := used()
		if got := finds(x, "app-7999"); got != "[{myshop/argocd/app-7999 [0]}] []" {
			t.Fatal(got)
		}
		took := int64(used()) - int64(began)
		t.Logf("%d Applications take %d KB", x.Len(), took>>10)
		if x.Len() != many || took > 8<<20 {
			t.Errorf("%d Applications take %d bytes", x.Len(), took)
		}
		runtime.KeepAlive(x)
	})
}

// A project that may not be listed keeps no other from being found, and a miss from counting.
func TestAProjectThatMayNotBeListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.app("api", argocdtest.Behaviour{})
		x := argocd.NewIndex(s.connect(argocd.Config{URL: "https://argocd.myshop.example", Projects: []string{"forbidden", "myshop"}, Via: s.argo}))
		err := x.List(context.Background())
		wants(t, err, gitops.Forbidden, "the token may not get Applications of project forbidden")
		if matches, _ := x.Known(manifestOf("api")); len(matches) != 1 {
			t.Errorf("found %v", matches)
		}
		time.Sleep(time.Minute)
		if got := finds(x, "web"); got != string(gitops.Forbidden) {
			t.Error(got)
		}
	})
}

// An Application that names no project is of the default one.
func TestAnApplicationWithoutAProject(t *testing.T) {
	s := newSite(t)
	const app = `{"metadata":{"name":"api","namespace":"argocd"},"spec":{"project":""}}`
	of := func(body string) *argocd.Client {
		return s.connect(argocd.Config{URL: "https://argocd.myshop.example", Projects: []string{"default"}, Via: says(body)})
	}
	all, err := of(`{"items":[` + app + `]}`).Applications(context.Background())
	if err != nil || len(all) != 1 || all[0].Spec.Project != "default" {
		t.Errorf("%v, %v", all, err)
	}
	if _, err := of(app).Application(context.Background(), argocd.Ref{Project: "default", Namespace: "argocd", Name: "api"}, false); err != nil {
		t.Error(err)
	}
}
