package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/tallyman-dev/tallyman/gitops"
)

func TestPathsAndMethodsThatAreNotServed(t *testing.T) {
	r := newSite(t).start()
	for _, c := range []struct {
		method, path string
		status       int
		code         gitops.Code
	}{
		{"GET", "/", 404, gitops.NotFound},
		{"POST", "/", 404, gitops.NotFound},
		{"POST", "/webhooks/github/", 404, gitops.NotFound},
		{"POST", "/webhooks/gitlab", 404, gitops.NotFound},
		{"POST", "/webhooks/github/../ecr", 404, gitops.NotFound},
		{"GET", "/metrics", 404, gitops.NotFound},
		{"GET", "/debug/pprof/", 404, gitops.NotFound},
		{"GET", "/webhooks/github", 405, gitops.Invalid},
		{"PUT", "/webhooks/ecr", 405, gitops.Invalid},
		{"OPTIONS", "/webhooks/ecr", 405, gitops.Invalid},
		{"BREW", "/webhooks/github", 405, gitops.Invalid},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			answer := r.do(r.request(c.method, c.path, ""))
			if p := answer.problem(t, c.status); p.Code != c.code {
				t.Errorf("answered %s", answer.body)
			}
			if allow := answer.Header.Get("Allow"); (allow == "POST") != (c.status == 405) {
				t.Errorf("allowed is %q", allow)
			}
		})
	}
	if answer := r.do(r.request("HEAD", "/webhooks/github", "")); answer.StatusCode != 405 || answer.body != "" {
		t.Errorf("HEAD is answered %s %s", answer.Status, answer.body)
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if answer := r.do(r.request("GET", path, "")); answer.StatusCode != 404 {
			t.Errorf("the public listener serves %s: %s", path, answer.Status)
		}
	}
}

// A source that is not configured has no path.
func TestOnlyConfiguredSourcesAreServed(t *testing.T) {
	s := newSite(t)
	s.edit("  github: {secretFiles: ["+s.dir+"/old, "+s.dir+"/new]}\n", "")
	s.edit(`  - {who: {dispatch: {repository: shop/api, repositoryID: 17}}, may: [order], apps: ["*"], environments: ["*"]}`+"\n", "")
	r := s.start()
	r.do(r.github(oldSecret, "d1", order("api", "dev", "main-1a2b3c4"))).problem(t, 404)
	r.do(r.ecr(bridgeSecret, push("d1", "main-1a2b3c4"))).delivery(t, 202)
}

// Every code has its status, and only what can succeed later has one after which
// EventBridge tries again, and says when.
func TestProblems(t *testing.T) {
	s := &Server{logger: newSite(t).logger()}
	cause := errors.New("password s3cret-of-git refused")
	statuses := map[gitops.Code]int{
		"invalid": 400, "unauthorized": 401, "forbidden": 403, "not_found": 404, "conflict": 409,
		"too_large": 413, "rate_limited": 429, "rejected": 422, "unavailable": 503, "internal": 500,
	}
	for _, code := range gitops.Codes() {
		t.Run(string(code), func(t *testing.T) {
			w := httptest.NewRecorder()
			wrapped := fmt.Errorf("handling: %w", &gitops.Error{Code: code, Field: "tag", Message: "must be <so>"})
			s.writeProblem(w, wrapped)
			answer := response{w.Result(), w.Body.String()}
			p := answer.problem(t, statuses[code])
			if p.Code != code || p.Field != "tag" || p.Detail != "tag: must be <so>" || !strings.Contains(answer.body, "<so>") {
				t.Errorf("answered %s", answer.body)
			}
			if later := w.Header().Get("Retry-After") == "5"; later != (code == gitops.Unavailable || code == gitops.RateLimited) {
				t.Errorf("Retry-After is %q", w.Header().Get("Retry-After"))
			}
		})
	}
	for name, c := range map[string]struct {
		err        error
		status     int
		retryAfter string
	}{
		"asked to wait":           {&gitops.Error{Code: gitops.RateLimited, Message: "m", RetryAfter: 61*time.Second + time.Millisecond}, 429, "62"},
		"asked to wait a little":  {&gitops.Error{Code: gitops.Unavailable, Message: "m", RetryAfter: time.Millisecond}, 503, "1"},
		"the context has ended":   {context.DeadlineExceeded, 503, "5"},
		"somebody else's mistake": {io.ErrUnexpectedEOF, 500, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			s.writeProblem(w, c.err)
			response{w.Result(), w.Body.String()}.problem(t, c.status)
			if got := w.Header().Get("Retry-After"); got != c.retryAfter {
				t.Errorf("Retry-After is %q, want %q", got, c.retryAfter)
			}
		})
	}
	w := httptest.NewRecorder()
	s.writeProblem(w, gitops.Errorf(gitops.Unavailable, "the store is away").WithCause(cause))
	if strings.Contains(w.Body.String(), "s3cret") {
		t.Errorf("the cause is answered: %s", w.Body)
	}
}

// A panic is answered, counted and logged, and the next request is served.
func TestPanicIsContained(t *testing.T) {
	site := newSite(t)
	s, err := site.newServer()
	site.must(err)
	t.Cleanup(func() { site.must(s.Stop(context.WithoutCancel(t.Context()))) })
	mux := chi.NewRouter()
	mux.Use(s.observe)
	mux.Post("/webhooks/{name}", func(w http.ResponseWriter, r *http.Request) {
		if chi.URLParam(r, "name") == "bad" {
			panic("the map is nil")
		}
		w.WriteHeader(http.StatusOK)
	})
	for range 2 {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/webhooks/bad", nil))
		p := response{w.Result(), w.Body.String()}.problem(t, 500)
		if p.Code != gitops.Internal || strings.Contains(p.Detail, "map") {
			t.Errorf("answered %s", w.Body)
		}
		mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/webhooks/good", nil))
	}
	if lines := site.log.Lines(`"msg":"panic"`, "the map is nil", "router_test.go"); len(lines) != 2 {
		t.Errorf("logged %q", lines)
	}
	series := gather(t, s)
	for _, code := range []string{"500", "200"} {
		name := `tallyman_http_request_seconds{code="` + code + `",method="POST",route="/webhooks/{name}"}`
		if series[name] != 2 {
			t.Errorf("%s is %v", name, series[name])
		}
	}
}

// While draining, and when the store is gone, a sender is told to come again, and
// whoever asks whether to send is told not to.
func TestDraining(t *testing.T) {
	r := newSite(t).start()
	if answer := r.probe("/readyz"); answer.StatusCode != 200 || answer.body != "ok\n" {
		t.Errorf("readyz: %s %s", answer.Status, answer.body)
	}
	r.draining.Store(true)
	answer := r.do(r.github(oldSecret, "d1", order("api", "dev", "main-1a2b3c4")))
	if p := answer.problem(t, 503); p.Code != gitops.Unavailable || answer.Header.Get("Retry-After") != "5" || !answer.Close {
		t.Errorf("answered %v %s", answer.Header, answer.body)
	}
	if _, found := r.stored("github", "d1"); found {
		t.Error("stored all the same")
	}
	if answer := r.probe("/readyz"); answer.StatusCode != 503 || answer.body != "draining\n" {
		t.Errorf("readyz: %s %s", answer.Status, answer.body)
	}
	if answer := r.probe("/livez"); answer.StatusCode != 200 {
		t.Errorf("livez: %s %s", answer.Status, answer.body)
	}
}

func TestStoreIsGone(t *testing.T) {
	r := newSite(t).start()
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, req := range []*http.Request{
		r.github(oldSecret, "d1", order("api", "dev", "main-1a2b3c4")),
		r.github(oldSecret, "d2", order("shop", "dev", "main-1a2b3c4")), // not 422: it was not kept
		r.ecr(bridgeSecret, push("d3", "")),
	} {
		answer := r.do(req)
		if p := answer.problem(t, 503); p.Code != gitops.Unavailable || answer.Header.Get("Retry-After") == "" {
			t.Errorf("answered %v %s", answer.Header, answer.body)
		}
	}
	if answer := r.probe("/readyz"); answer.StatusCode != 503 || answer.body != "store: the store is closed\n" {
		t.Errorf("readyz: %s %s", answer.Status, answer.body)
	}
	if answer := r.probe("/livez"); answer.StatusCode != 200 { // a restart would not bring the store back
		t.Errorf("livez: %s %s", answer.Status, answer.body)
	}
}

// An answer is one JSON object, with nothing in it that a browser would take for
// something else and nothing escaped that a person has to read.
func TestAnswersAreJSON(t *testing.T) {
	w := httptest.NewRecorder()
	writeJSON(w, 200, "application/json", map[string]string{"reason": "semver >=1.0.0 <2"})
	var back map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &back); err != nil || w.Body.String() != `{"reason":"semver >=1.0.0 <2"}`+"\n" {
		t.Errorf("wrote %s, %v", w.Body, err)
	}
}
