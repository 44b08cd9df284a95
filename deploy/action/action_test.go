// Package action_test runs the action's step as a runner of GitHub Actions does,
// against a tallyman with a manifest repository on a real git server and an issuer of
// tokens. The requests between them pass a server in front that can fail.
package action_test

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

func TestCommitted(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	r := s.run(map[string]string{"manifests": "shop/manifests"})
	head, err := s.repository.Git("rev-parse", "main")
	s.must(err)
	head = strings.TrimSpace(head)
	r.expect(t, false, "committed", head)
	if r.outputs["commit"] != head || !regexp.MustCompile(`^[0-9a-f-]{36}$`).MatchString(r.outputs["update"]) {
		t.Errorf("%v", r.outputs)
	}
	for _, want := range []string{"api in dev to main-1a2b3c4: committed", `<a href="https://github.com/shop/manifests/commit/` + head + `">`, "tallyman explain " + r.outputs["update"]} {
		if !strings.Contains(r.summary, want) {
			t.Errorf("the summary does not say %s:\n%s", want, r.summary)
		}
	}
	for _, want := range []string{`<th align="left">Proof</th><td>key `, `<code>access[2]</code>`, "<code>" + gitserver.ValuesFile("api", "dev") + "</code>", "-  tag: \"main-0000000\" …\n+  tag: \"main-1a2b3c4\" …</pre>"} {
		if !strings.Contains(html.UnescapeString(r.summary), want) {
			t.Errorf("the summary does not say %s:\n%s", want, r.summary)
		}
	}
	message, err := s.repository.Git("log", "-1", "--format=%B")
	s.must(err)
	if !strings.Contains(message, "Tallyman-Actor: github:octocat@octo-org/octo-repo") {
		t.Errorf("the commit is not of the job:\n%s", message)
	}
	// Each step is an order of its own, also of the same run: what is there already is
	// not committed again.
	s.run(nil).expect(t, false, "unchanged", "unchanged")
	s.run(map[string]string{"tag": "main-2a2b3c4"}).expect(t, false, "committed", "main-2a2b3c4")
	s.run(nil).expect(t, false, "committed", "main-1a2b3c4")
	content, err := s.repository.Git("show", "main:"+gitserver.ValuesFile("api", "dev"))
	s.must(err)
	if !strings.Contains(content, "main-1a2b3c4") {
		t.Errorf("the branch has\n%s", content)
	}
}

// Without wait the step ends when the order is accepted.
func TestWithoutWait(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	s.git.Inject(gitserver.Fault{Times: -1, Status: http.StatusServiceUnavailable})
	r := s.run(map[string]string{"wait": "false"})
	r.expect(t, false, "pending", "pending")
	if r.outputs["update"] == "" || r.outputs["commit"] != "" {
		t.Errorf("%v", r.outputs)
	}
}

// What tallyman or the inputs rule out fails at once, with the sentence that says why.
func TestRefused(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	for _, c := range []struct {
		name   string
		inputs map[string]string
		why    string
	}{
		{"403", map[string]string{"environment": "prod", "tag": "1.4.2"}, "tallyman refuses it (403): "},
		{"422", map[string]string{"tag": "1.4.2"}, "tallyman refuses it (422): tag: dev: "},
		{"another audience", map[string]string{"audience": "https://elsewhere.example"}, "tallyman does not accept this job's token: "},
		{"no permission", map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": ""}, `the job needs "permissions: {id-token: write}"`},
		{"plain http", map[string]string{"url": "http://tallyman.example"}, "must begin with https://"},
		{"no app", map[string]string{"app": ""}, "the input app is empty"},
		{"no time", map[string]string{"timeout": "soon"}, "the input timeout must be a number and s, m or h"},
		{"a wait that is neither", map[string]string{"wait": "yes"}, "the input wait must be proposed, committed, healthy or false"},
		{"a repository that is not one", map[string]string{"manifests": `shop/x" onload="`}, "the input manifests must be OWNER/NAME"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.run(c.inputs).expect(t, true, "", c.why)
		})
	}
}

// An address where no tallyman is does not look like one that refuses.
func TestAnotherServer(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	s.inFront(func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "<html>", http.StatusNotFound)
		return true
	})
	s.run(nil).expect(t, true, "", "the answer is not of tallyman")
}

func TestFailed(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	_, err := s.repository.Commit(gitserver.Change{Files: map[string]string{gitserver.ValuesFile("api", "dev"): "image: {}\n"}})
	s.must(err)
	s.run(nil).expect(t, true, "failed", "not committed: failed: ")
}

func TestTimedOut(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	s.git.Inject(gitserver.Fault{Times: -1, Status: http.StatusServiceUnavailable})
	r := s.run(map[string]string{"timeout": "1s"})
	r.expect(t, true, "pending", "still pending after 1s")
	r.expect(t, true, "pending", "tallyman explain "+r.outputs["update"])
}

// A newer order takes the place of one that waits.
func TestSuperseded(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	s.git.Inject(gitserver.Fault{Times: -1, Status: http.StatusServiceUnavailable})
	newer := sync.OnceFunc(func() { s.order("main-2a2b3c4"); s.git.Heal() })
	s.inFront(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			newer()
		}
		return false
	})
	s.run(nil).expect(t, true, "superseded", "not committed: superseded")
}

// A server that is away, restarts or sheds load is asked again, and the order is made
// once.
func TestServerAway(t *testing.T) {
	needTools(t, actionTools...)
	for _, c := range []struct {
		name string
		i    intercept
		log  string
	}{
		{"before the order", answersInTurn(http.MethodPost, 0, http.StatusServiceUnavailable), "cannot be reached: curl: (52) Empty reply from server; trying again"},
		{"while it waits", answersInTurn(http.MethodGet, 0, http.StatusBadGateway), "tallyman answers 502: not now; trying again"},
		{"too many requests", answersInTurn(http.MethodGet, http.StatusTooManyRequests), "tallyman answers 429: not now; trying again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.inFront(c.i)
			r := s.run(nil)
			r.expect(t, false, "committed", r.outputs["commit"])
			if !strings.Contains(r.log, c.log) {
				t.Errorf("the log does not say %q:\n%s", c.log, r.log)
			}
			if count, err := s.repository.Git("rev-list", "--count", "main"); err != nil || strings.TrimSpace(count) != "2" {
				t.Errorf("%s commits, %v", count, err)
			}
		})
	}
	t.Run("for good", func(t *testing.T) {
		s := newSite(t)
		s.front.Close()
		s.run(map[string]string{"timeout": "1s"}).expect(t, true, "", fmt.Sprintf("no order was accepted within 1s: %s cannot be reached", s.front.URL))
	})
}

// The answer to an order is lost after it was accepted: the same order again is no
// other one.
func TestTheAnswerIsLost(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	lost := false
	s.inFront(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || lost {
			return false
		}
		lost = true
		forward := r.Clone(r.Context())
		forward.RequestURI, forward.URL.Scheme, forward.URL.Host = "", "http", s.server.Addr()
		resp, err := http.DefaultClient.Do(forward)
		s.must(err)
		s.must(resp.Body.Close())
		panic(http.ErrAbortHandler)
	})
	r := s.run(nil)
	r.expect(t, false, "committed", r.outputs["commit"])
	if count, err := s.repository.Git("rev-list", "--count", "main"); err != nil || strings.TrimSpace(count) != "2" {
		t.Errorf("%s commits, %v", count, err)
	}
}

// A token that expires while the job waits is replaced by another.
func TestTokenExpires(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	expire := sync.OnceValue(func() string {
		past := time.Now().Add(-time.Hour).Unix()
		return s.forbidden(s.issuer.Token(audience, map[string]any{"iat": past, "nbf": past, "exp": past + 300}))
	})
	expired := false
	s.inFront(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && !expired {
			expired = true
			r.Header.Set("Authorization", "Bearer "+expire())
		}
		return false
	})
	r := s.run(nil)
	r.expect(t, false, "committed", r.outputs["commit"])
	if s.given() != 2 {
		t.Errorf("GitHub was asked for %d tokens", s.given())
	}
}
