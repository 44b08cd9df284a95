package argocd_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/server/argocd"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

func TestConfigurationIsChecked(t *testing.T) {
	good := argocd.Config{URL: "https://argocd.myshop.example/argo/", TokenFile: "/token", Projects: []string{"myshop"}}
	client, err := argocd.New(good)
	if err != nil {
		t.Fatal(err)
	}
	if got := client.Instance(); got != "argocd.myshop.example/argo" {
		t.Errorf("the instance is %s", got)
	}
	if got := client.Projects(); len(got) != 1 || got[0] != "myshop" {
		t.Errorf("the projects are %v", got)
	}
	if got := client.Page(argocd.Ref{Project: "myshop", Namespace: "team-a", Name: "api"}); got != "https://argocd.myshop.example/argo/applications/team-a/api" {
		t.Errorf("the page is %s", got)
	}
	if got := client.Page(argocd.Ref{Project: "myshop", Name: "api"}); got != "https://argocd.myshop.example/argo/applications/api" {
		t.Errorf("the page is %s", got)
	}
	for name, c := range map[string]struct {
		change func(*argocd.Config)
		field  string
	}{
		"no url":           {func(c *argocd.Config) { c.URL = "" }, "url"},
		"no host":          {func(c *argocd.Config) { c.URL = "https:///x" }, "url"},
		"a password":       {func(c *argocd.Config) { c.URL = "https://me:hush@argocd.myshop.example" }, "url"},
		"a query":          {func(c *argocd.Config) { c.URL = "https://argocd.myshop.example?x=y" }, "url"},
		"http":             {func(c *argocd.Config) { c.URL = "http://argocd.myshop.example" }, "url"},
		"no token":         {func(c *argocd.Config) { c.TokenFile = "" }, "tokenFile"},
		"no project":       {func(c *argocd.Config) { c.Projects = nil }, "projects"},
		"an empty project": {func(c *argocd.Config) { c.Projects = []string{""} }, "projects"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			c.change(&bad)
			_, err := argocd.New(bad)
			if e := wants(t, err, gitops.Invalid); e.Field != c.field || contains(err.Error(), "hush") {
				t.Errorf("%v is of field %q", err, e.Field)
			}
		})
	}
	good.URL = "http://127.0.0.1:8080"
	if _, err := argocd.New(good); err != nil {
		t.Error(err)
	}
}

func TestRefsAreReadAsInRBAC(t *testing.T) {
	for text, want := range map[string]argocd.Ref{
		"team-a/odd-dev":         {Project: "team-a", Name: "odd-dev"},
		"team-a/argocd/odd.dev2": {Project: "team-a", Namespace: "argocd", Name: "odd.dev2"},
	} {
		got, err := argocd.ParseRef(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s is read as %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "api", "/api", "a/b/c/d", "a/../b", "A/b", "a/b?x", "a/b%2Fc", "a/" + strings.Repeat("x", 254)} {
		_, err := argocd.ParseRef(text)
		wants(t, err, gitops.Invalid, "PROJECT/NAMESPACE/NAME")
	}
}

// A push whose webhook comes is followed to the end without a refresh, through the partial
// states in the order that was recorded.
func TestAnApplicationIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		app := s.app("api", argocdtest.Behaviour{})
		s.sees("api", "Synced", before, "Healthy")
		app.Push(ours, "v2")
		s.sees("api", "Synced", before, "Healthy")
		time.Sleep(400 * time.Millisecond)
		s.sees("api", "OutOfSync", ours, "Healthy")
		time.Sleep(200 * time.Millisecond)
		s.sees("api", "OutOfSync", ours, "Healthy")
		time.Sleep(200 * time.Millisecond)
		s.sees("api", "Synced", ours, "Progressing")
		time.Sleep(2 * time.Second)
		s.sees("api", "Synced", ours, "Healthy")
		tree, err := s.client.Tree(context.Background(), ref("api"))
		if err != nil {
			t.Fatal(err)
		}
		pods := 0
		for _, node := range tree.Nodes {
			if node.Kind == "Pod" {
				pods++
				if len(node.Images) != 1 || node.Images[0] != image+":v2" {
					t.Errorf("a pod has %v", node.Images)
				}
				live, err := s.client.Live(context.Background(), ref("api"), node)
				if err != nil || !contains(string(live), image+"@sha256:") {
					t.Errorf("the pod is %s, %v", live, err)
				}
			}
		}
		if pods != 1 {
			t.Errorf("%d pods", pods)
		}
		managed, err := s.client.ManagedResources(context.Background(), ref("api"), "apps", "Deployment")
		if err != nil || len(managed) != 1 || !json.Valid([]byte(managed[0].LiveState)) || !contains(managed[0].LiveState, ":v2") {
			t.Errorf("managed is %+v, %v", managed, err)
		}
		windows, err := s.client.SyncWindows(context.Background(), ref("api"))
		if err != nil || !windows.CanSync {
			t.Errorf("windows are %+v, %v", windows, err)
		}
	})
}

// Trap argo-cd#28392, #28306: a lost webhook, and a refresh that is lost with the comparison
// that it comes in. The next refresh finds the commit.
func TestTrapARefreshIsSwallowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		app := s.app("api", argocdtest.Behaviour{WebhookLost: true, Compare: 400 * time.Millisecond})
		refresh := func() string {
			a, err := s.client.Application(context.Background(), ref("api"), true)
			if err != nil {
				t.Fatal(err)
			}
			return a.Status.Sync.Revision
		}
		first := make(chan string)
		go func() { first <- refresh() }()
		time.Sleep(100 * time.Millisecond)
		app.Push(ours, "v2")
		other := s.connect(argocd.Config{URL: "https://argocd.myshop.example", Projects: []string{"myshop"}, Via: s.argo})
		a, err := other.Application(context.Background(), ref("api"), true)
		if err != nil || a.Status.Sync.Revision != before {
			t.Errorf("the swallowed refresh sees %s, %v", a.Status.Sync.Revision, err)
		}
		if got := <-first; got != before {
			t.Errorf("the first refresh sees %s", got)
		}
		if got := refresh(); got != ours {
			t.Errorf("the third refresh sees %s", got)
		}
	})
}

// Trap argocd-notifications#338, argo-cd#19847: a doubled hint is one look.
func TestTrapADoubledHintIsOneLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.app("api", argocdtest.Behaviour{Compare: 400 * time.Millisecond})
		ended := make(chan error, 3)
		leader, stop := context.WithCancel(context.Background())
		for i := range 3 {
			ctx := context.Background()
			if i == 0 {
				ctx = leader
			}
			go func() {
				_, err := s.client.Application(ctx, ref("api"), true)
				ended <- err
			}()
			synctest.Wait()
		}
		if n := len(s.argo.Requests("refresh")); n != 1 {
			t.Errorf("%d refreshes", n)
		}
		stop() // who asked first gives up; the others have their answer all the same
		wants(t, <-ended, gitops.Unavailable)
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if n := len(s.argo.Requests("refresh")); n != 2 {
			t.Errorf("%d refreshes after one was given up", n)
		}
	})
}

// An Application of another namespace with the same name never answers, and one that the
// answer is not of is an error.
func TestNamespacesAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.argo.AllowNamespace("myshop", "team-a")
		s.app("api", argocdtest.Behaviour{})
		s.argo.Add(argocdtest.App{Project: "myshop", Namespace: "team-a", Name: "api", Image: image, Revision: ours, Tag: "v2", Sources: []argocdtest.Source{{RepoURL: manifests, TargetRevision: "main"}}})
		for namespace, want := range map[string]string{"": before, "argocd": before, "team-a": ours} {
			a, err := s.client.Application(context.Background(), argocd.Ref{Project: "myshop", Namespace: namespace, Name: "api"}, false)
			if err != nil || a.Status.Sync.Revision != want {
				t.Errorf("in %q: %s, %v", namespace, a.Status.Sync.Revision, err)
			}
		}
		all, err := s.client.Applications(context.Background())
		if err != nil || len(all) != 2 || all[0].Spec.Source == nil || all[0].Spec.Source.Path != "charts/api" || all[0].Status.Sync.Status != "Synced" {
			t.Errorf("the list is %+v, %v", all, err)
		}
	})
}

func TestTheTokensRightsAreAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "other")
		ctx := context.Background()
		user, err := s.client.UserInfo(ctx)
		if err != nil || user != (argocd.User{LoggedIn: true, Username: "tallyman"}) {
			t.Errorf("%+v, %v", user, err)
		}
		may := func(action string, want bool) {
			t.Helper()
			if got, err := s.client.CanI(ctx, action, "myshop"); err != nil || got != want {
				t.Errorf("may %s: %v, %v", action, got, err)
			}
		}
		may("get", true)
		may("sync", false)
		s.argo.MaySync(s.token)
		may("sync", true)
		s.app("api", argocdtest.Behaviour{})
		if all, err := s.client.Applications(ctx); err != nil || len(all) != 1 {
			t.Errorf("with an empty project: %d, %v", len(all), err)
		}
		s.argo.MayGet(s.token, "myshop") // a right is lost: the list of it is empty, and 200
		_, err = s.client.Applications(ctx)
		wants(t, err, gitops.Forbidden, "project other", "applications, get, other/*, allow")
		s.writeToken("not.a.token")
		if user, err := s.client.UserInfo(ctx); err != nil || user.LoggedIn {
			t.Errorf("%+v, %v", user, err)
		}
	})
}

// Argo CD's answer is held to what was asked: the worst would be a verdict on another
// Application.
func TestAnAnswerOfSomethingElse(t *testing.T) {
	s := newSite(t)
	ask := func(body string) *argocd.Client {
		return s.connect(argocd.Config{URL: "https://argocd.myshop.example", Projects: []string{"myshop"}, Via: says(body)})
	}
	for _, body := range []string{
		`{"metadata":{"name":"web","namespace":"argocd"},"spec":{"project":"myshop"}}`,
		`{"metadata":{"name":"api","namespace":"team-a"},"spec":{"project":"myshop"}}`,
		`{"metadata":{"name":"api","namespace":"argocd"},"spec":{"project":"other"}}`,
		`{}`,
	} {
		_, err := ask(body).Application(context.Background(), ref("api"), false)
		if e := wants(t, err, gitops.Unavailable, "answers with Application "); e.RetryAfter != 0 {
			t.Errorf("%v blames the instance", e)
		}
	}
	_, err := ask(`{"manifest":"apiVersion: v1"}`).Live(context.Background(), ref("api"), rollout.Node{Kind: "Pod", Version: "v1", Namespace: "api", Name: "api-1"})
	wants(t, err, gitops.Unavailable, "manifest is not JSON", "Pod api-1 of myshop/argocd/api")
	_, err = ask(`{"value":"perhaps"}`).CanI(context.Background(), "get", "myshop")
	wants(t, err, gitops.Unavailable, `answers "perhaps"`)
}
