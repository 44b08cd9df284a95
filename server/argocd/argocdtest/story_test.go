package argocdtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/clocktest"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
)

// said is an Application that was compared with a revision.
func said(revision string) string {
	return fmt.Sprintf(`{"metadata":{"name":"api","namespace":"argocd"},"spec":{"project":"myshop"},"status":{"sync":{"status":"Synced","revision":%q},`+
		`"health":{"status":"Healthy"},"summary":{"images":["registry.example/api:%s"]}}}`, revision, revision)
}

func recordingOf(at float64, line string, status int, body string) *fstest.MapFile {
	return &fstest.MapFile{Data: fmt.Appendf(nil, `{"at_seconds":%v,"request":{"line":"%s HTTP/1.1"},"response":{"status":%d,"body":%s}}`, at, line, status, body)}
}

// stories are the same one as recorded and as trimmed: seen before a push, by a refresh after
// it, synced, and gone.
var stories = fstest.MapFS{
	"08-story/01-plain.json":    recordingOf(3, "GET /api/v1/applications/api", 200, said("r1")),
	"08-story/02-refresh.json":  recordingOf(3.5, "GET /api/v1/applications/api?refresh=normal", 200, said("r2")),
	"08-story/03-app.json":      recordingOf(4, "GET /api/v1/applications/api", 200, said("r3")),
	"08-story/04-tree.json":     recordingOf(4, "GET /api/v1/applications/api/resource-tree", 200, `{"nodes":[{"kind":"Pod","name":"recorded"}]}`),
	"08-story/05-windows.json":  recordingOf(4.5, "GET /api/v1/applications/api/syncwindows", 200, `{"canSync":false}`),
	"08-story/06-managed.json":  recordingOf(4.5, "GET /api/v1/applications/api/managed-resources?kind=Rollout", 200, `{"items":[{"kind":"Rollout"}]}`),
	"08-story/07-sync.json":     recordingOf(5, "POST /api/v1/applications/api/sync", 403, `{}`),
	"08-story/08-other.json":    recordingOf(5, "GET /api/v1/applications/api-2", 200, `{}`),
	"08-story/09-mistake.json":  recordingOf(5, "GET /api/v1/applications/api", 403, `{}`),
	"08-story/10-gone.json":     recordingOf(9, "GET /api/v1/applications/api?project=myshop", 404, `{"message":"not found","code":5}`),
	"08-story/11-elsewhere.txt": &fstest.MapFile{Data: []byte("story.txt")},
	"08-story.json": &fstest.MapFile{Data: fmt.Appendf(nil, `[{"at_seconds":3,"file":"01-plain.json","application":%s},{"at_seconds":3.5,"file":"02-refresh.json","application":%s},
		{"at_seconds":4,"file":"03-app.json","application":%s},{"at_seconds":4,"file":"04-tree.json","tree":{"nodes":[{"kind":"Pod","name":"recorded"}]}},
		{"at_seconds":4.5,"file":"05-windows.json","windows":{"canSync":false}},{"at_seconds":4.5,"file":"06-managed.json","managed":[{"kind":"Rollout"}]},
		{"at_seconds":5,"file":"07-list.json","applications":[]},{"at_seconds":9,"file":"10-gone.json","gone":true}]`, said("r1"), said("r2"), said("r3"))},
	"bad.json":      &fstest.MapFile{Data: []byte("{")},
	"bad/file.json": &fstest.MapFile{Data: []byte("{")},
}

func TestAStoryIsPlayedByTime(t *testing.T) {
	for _, name := range []string{"08-story", "08-story.json"} {
		for _, waits := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", waits), func(t *testing.T) {
				clock := clocktest.New()
				s := argocdtest.New(t, clock.Now)
				token := s.Token("myshop")
				story, err := argocdtest.ReadStory(stories, name, "myshop", "api")
				if err != nil {
					t.Fatal(err)
				}
				story.WaitsForRefresh = waits
				s.Play(story)
				get := func(below, want string) {
					t.Helper()
					status, text := ask(t, s, "GET /api/v1/applications/api"+below, token)
					if got := fmt.Sprint(status, " ", text); !strings.Contains(got, want) {
						t.Errorf("%s is %s without %s", below, got, want)
					}
				}
				get("?project=myshop", `"revision":"r1"`)
				get("/resource-tree?project=myshop", "recorded")
				clock.Pass(3 * time.Second)
				get("?project=myshop", `"revision":"r1"`)
				if waits {
					clock.Pass(time.Hour)
					get("?project=myshop", `"revision":"r1"`)
					get("?project=myshop&refresh=normal", `"revision":"r2"`)
				}
				clock.Pass(999 * time.Millisecond)
				get("?project=myshop", map[bool]string{false: `"revision":"r2"`, true: `"revision":"r3"`}[waits])
				clock.Pass(2 * time.Second)
				get("?project=myshop", `"revision":"r3"`)
				get("/syncwindows?project=myshop", `"canSync":false`)
				get("/managed-resources?project=myshop&kind=Rollout", `"kind":"Rollout"`)
				clock.Pass(4 * time.Second)
				get("?project=myshop", "404 ")
			})
		}
	}
}

// What a story does not have is what its Application implies.
func TestAStoryIsFilledIn(t *testing.T) {
	clock := clocktest.New()
	s := argocdtest.New(t, clock.Now)
	s.Play(argocdtest.Story{Project: "myshop", Namespace: "argocd", Name: "api", Frames: []argocdtest.Frame{
		{Status: 200, Body: json.RawMessage(said("r1"))}, {At: time.Minute, Status: 200, Body: json.RawMessage(said("r2"))},
	}})
	token := s.Token("myshop")
	get := func(below, want string) {
		t.Helper()
		if _, text := ask(t, s, "GET /api/v1/applications/api/"+below, token); !strings.Contains(text, want) {
			t.Errorf("%s is %s without %s", below, text, want)
		}
	}
	get("resource-tree?project=myshop", "registry.example/api:r1")
	clock.Pass(time.Minute)
	get("resource-tree?project=myshop", "registry.example/api:r2")
	get("syncwindows?project=myshop", `"canSync":true`)
	get("managed-resources?project=myshop&kind=Deployment", "{}")
	if _, text := ask(t, s, "GET /api/v1/applications?projects=myshop&fields=items.metadata.name,items.status.sync.status", token); !strings.Contains(text, `"items":[{"metadata":{"name":"api"},"status":{"sync":{"status":"Synced"}}}]`) {
		t.Errorf("the list is %s", text)
	}
}

func TestAStoryThatCannotBeRead(t *testing.T) {
	for name, app := range map[string]string{"none": "api", "none.json": "api", "bad": "api", "bad.json": "api", "08-story": "web", "08-story.json": "web"} {
		if story, err := argocdtest.ReadStory(stories, name, "myshop", app); app == "api" && err == nil || app == "web" && len(story.Frames) > 6 {
			t.Errorf("%s of %s is read: %+v", name, app, story)
		}
	}
}

// While the controller is down a refresh hangs, and plain requests have the old status.
func TestAStorysRefreshesHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := argocdtest.New(t, nil)
		s.Play(argocdtest.Story{Project: "myshop", Namespace: "argocd", Name: "api", HangsFrom: time.Second, HangsUntil: time.Minute, Frames: []argocdtest.Frame{
			{Status: 200, Body: json.RawMessage(said("r1"))}, {At: time.Minute, Status: 200, Body: json.RawMessage(said("r2"))},
		}})
		token := s.Token("myshop")
		refresh := func(within time.Duration) error {
			ctx, cancel := context.WithTimeout(context.Background(), within)
			defer cancel()
			r := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/applications/api?project=myshop&refresh=normal", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			_, err := s.RoundTrip(r)
			return err
		}
		if err := refresh(time.Second); err != nil {
			t.Errorf("before it: %v", err)
		}
		time.Sleep(2 * time.Second)
		if err := refresh(10 * time.Second); err == nil {
			t.Error("a refresh is answered")
		}
		if _, text := ask(t, s, "GET /api/v1/applications/api?project=myshop", token); !strings.Contains(text, `"r1"`) {
			t.Error(text)
		}
		if err := refresh(time.Minute); err != nil {
			t.Errorf("until it runs again: %v", err)
		}
		if since := s.Requests("refresh"); len(since) != 3 {
			t.Errorf("%d refreshes", len(since))
		}
	})
}
