package argocdtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/clocktest"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
)

// recorded is a request to a real Argo CD 3.4.7, and its answer.
type recorded struct {
	File    string         `json:"file"`
	Request string         `json:"request"`
	Token   string         `json:"token"` // whose
	Status  int            `json:"status"`
	Message string         `json:"message"`
	Code    int            `json:"code"`
	Body    map[string]any `json:"body"`
}

// What the fake answers to those who may not see something is what a real Argo CD answered.
func TestRefusalsAreAsRecorded(t *testing.T) {
	text, err := os.ReadFile("testdata/errors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []recorded
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	clock := clocktest.New()
	s := argocdtest.New(t, clock.Now)
	tokens := map[string]string{
		"tallyman": s.Token("myshop"), "projrole": s.Token("myshop"), "without rights": s.Token(), "unknown": "a.b.c",
		"tallyman, expired 1 s ago": s.TokenUntil(clock.Now().Add(time.Minute), "myshop"), "tallyman, revoked": s.Token("myshop"),
	}
	s.Revoke(tokens["tallyman, revoked"])
	clock.Pass(time.Minute + time.Second)
	s.Add(app("myshop", "myshop-api-dev"))
	s.Add(app("other", "other-app"))
	for _, r := range all {
		t.Run(r.File, func(t *testing.T) {
			token := tokens[r.Token]
			if strings.Contains(r.File, "garbage") {
				token = "garbage"
			}
			status, body := ask(t, s, r.Request, token)
			var got map[string]any
			if err := json.Unmarshal([]byte(body), &got); err != nil || status != r.Status {
				t.Fatalf("%d %s, not %d", status, body, r.Status)
			}
			if r.Message != "" {
				r.Body = map[string]any{"error": r.Message, "message": r.Message, "code": float64(r.Code)}
			}
			if !reflect.DeepEqual(got, r.Body) {
				t.Errorf("%s, not %v", body, r.Body)
			}
		})
	}
}

func app(project, name string) argocdtest.App {
	return argocdtest.App{
		Project: project, Name: name, Image: "registry.example/api", Revision: "r1", Tag: "v1",
		Sources: []argocdtest.Source{{RepoURL: "https://git.example/manifests", Path: "charts/api", TargetRevision: "main"}},
	}
}

// ask sends a request, as "GET /path", with a token.
func ask(t testing.TB, s *argocdtest.Server, request, token string) (status int, body string) {
	t.Helper()
	method, target, _ := strings.Cut(request, " ")
	r := httptest.NewRequest(method, target, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// critic keeps what would have failed a test.
type critic struct {
	testing.TB
	failed []string
}

func (c *critic) Helper() {}

func (c *critic) Errorf(format string, args ...any) {
	c.failed = append(c.failed, fmt.Sprintf(format, args...))
}

// Calls that the real one would refuse, or that a get-only account has no business to make,
// fail the test.
func TestWrongCallsFailTheTest(t *testing.T) {
	const one = "/api/v1/applications/api"
	for request, why := range map[string]string{
		"GET /api/v2/applications":                             "no such call",
		"GET /api/v1/clusters":                                 "no such path",
		"GET /api/v1/applications/team-a%2Fapi?project=myshop": "no such path",
		"GET " + one + "/logs?project=myshop":                  "no such path",
		"GET " + one + "/resource/actions?project=myshop":      "no such path",
		"POST " + one + "/sync?project=myshop":                 "no such call",
		"POST " + one + "/rollback?project=myshop":             "no such call",
		"PATCH " + one + "?project=myshop":                     "no such call",
		"DELETE " + one + "/operation?project=myshop":          "no such call",
		"GET " + one:                  "project is missing",
		"GET " + one + "/syncwindows": "project is missing",
		"GET " + one + "/resource?project=myshop&namespace=x&resourceName=y&version=v1": "kind is missing",
		"GET " + one + "?project=myshop&project=other":                                  "twice",
		"GET " + one + "?project=myshop&namespace=x":                                    "no parameter namespace",
		"GET " + one + "?project=myshop&refresh=hard":                                   "refresh=hard",
		"GET " + one + "?project=myshop&refresh=true":                                   "refresh=true",
		"GET /api/v1/applications?projects=myshop":                                      "knows no field",
		"GET /api/v1/applications?projects=myshop&fields=items.status":                  "knows no field items.status",
		"GET /api/v1/applications?projects=myshop&fields=metadata.name":                 "knows no field metadata.name",
		"GET /api/v1/applications?fields=items.metadata.name":                           "of no project",
		"GET /api/v1/applications?fields=items.metadata.name&selector=a":                "parameter selector",
		"GET /api/v1/applications?fields=items.status.sync.revision,items":              "knows no field items.status.sync.revision",
	} {
		c := &critic{TB: t}
		s := argocdtest.New(c, nil)
		s.Add(app("myshop", "api"))
		status, _ := ask(t, s, request, s.Token("myshop"))
		if status == http.StatusOK || len(c.failed) != 1 || !strings.Contains(c.failed[0], why) {
			t.Errorf("%s is %d, and fails with %q, not with %q", request, status, c.failed, why)
		}
	}
	c := &critic{TB: t}
	s := argocdtest.New(c, nil)
	request := httptest.NewRequest(http.MethodGet, "/api/v1/applications?projects=myshop&fields=items.metadata.name", nil)
	request.Header.Set("Authorization", "Bearer "+s.Token("myshop"))
	if s.ServeHTTP(httptest.NewRecorder(), request); len(c.failed) != 1 || !strings.Contains(c.failed[0], "compressed") {
		t.Errorf("a list that is not compressed: %q", c.failed)
	}
}
