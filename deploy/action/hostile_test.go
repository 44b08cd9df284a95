package action_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// commands is what a runner takes for a command: a line that begins with :: after white
// space, and ##[ anywhere in a line. The action's own are to mask and to fail.
var commands = regexp.MustCompile(`(?m)^\s*::.*$|##\[.*$`)

// expectNoCommand checks that a runner finds no command in the log but the action's.
func (r result) expectNoCommand(t *testing.T) {
	t.Helper()
	for _, command := range commands.FindAllString(r.log, -1) {
		if !strings.HasPrefix(command, "::error title=tallyman::") {
			t.Errorf("the runner takes %q for a command:\n%s", command, r.log)
		}
	}
}

// Text of a branch or a tag is neither run, nor a command to the runner, nor HTML.
func TestHostileInputs(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	const hostile = "\"';$(touch x)`touch x`<script>\n\n![x](https://evil.example)\n::set-output name=state::x\n##[set-output name=state;]x\nstate=committed"
	for _, input := range []string{"app", "environment", "tag", "digest", "revision"} {
		r := s.run(map[string]string{input: hostile})
		r.expect(t, true, "", "tallyman refuses it (4")
		r.expectNoCommand(t)
		if strings.Contains(r.summary, "<script") || strings.Contains(strings.TrimSpace(r.summary), "\n\n") {
			t.Errorf("%s\n%s", input, r.summary)
		}
	}
}

// What a server answers is neither a command, nor an output, nor HTML, nor too long.
func TestHostileAnswers(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	const update = `{"updates": [{"id": %q, "state": %q, "commit": %q, "reason": %q}]}`
	const hostile = "x\n::set-output name=commit::x\r\n##[set-output name=commit;]x <script>\n\n# title\nstate=committed"
	for name, c := range map[string]struct {
		status    int
		body, why string
	}{
		"a problem":        {422, fmt.Sprintf(`{"detail": %q}`, hostile), "tallyman refuses it (422): x"},
		"a problem, long":  {422, fmt.Sprintf(`{"detail": %q}`, strings.Repeat("long ", 100_000)), "tallyman refuses it (422): long long"},
		"a problem, other": {422, `{"detail": {"a": ["b", 1]}}`, "tallyman refuses it (422): "},
		"a failed update":  {202, fmt.Sprintf(update, "u1", "failed", hostile, hostile), "not committed: failed: x"},
		"a long reason":    {202, fmt.Sprintf(update, "u1", "failed", "", strings.Repeat("long ", 100_000)), "not committed: failed: long"},
		"a state":          {202, fmt.Sprintf(update, "u1", hostile, "", ""), "not committed: x"},
		"several":          {202, fmt.Sprintf(`{"updates": [{"id": "u1", "state": "committed"}, {"id": "u2", "state": %q, "app": %[1]q, "reason": %[1]q, "commit": %[1]q}]}`, hostile), "not committed: 1 of 2 updates. The first: x"},
		"one id of two":    {202, `{"updates": [{"id": "u1", "state": "committed"}, {"id": "u2 u3", "state": "pending"}]}`, "tallyman's answer cannot be read"},
		"a pull request":   {202, fmt.Sprintf(`{"updates": [{"id": "u1", "state": "failed", "reason": "x", "proposal": {"url": %q}}]}`, "javascript:alert(1)"), "not committed: failed: x"},
		"an address":       {202, fmt.Sprintf(`{"updates": [{"id": "u1", "state": "failed", "reason": "x", "proposal": {"url": %q}}]}`, "https://x/\"><script>"), "not committed: failed: x"},
		"no proposal":      {202, `{"updates": [{"id": "u1", "state": "failed", "reason": "x", "proposal": "https://x/"}]}`, "not committed: failed: x"},
		"an id":            {202, fmt.Sprintf(update, "../../{a,b}", "pending", "", ""), "tallyman's answer cannot be read"},
		"an id of lines":   {202, fmt.Sprintf(update, "u1\nstate=committed", "pending", "", ""), "tallyman's answer cannot be read"},
		"no object":        {202, `[1]`, "tallyman's answer cannot be read"},
		"not JSON":         {202, `<html>`, "tallyman's answer cannot be read"},
		"nothing":          {202, ``, "tallyman's answer is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			s.inFront(func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
				return true
			})
			r := s.run(map[string]string{"timeout": "5s"})
			r.expectNoCommand(t)
			if !r.failed || !strings.Contains(r.log, "::error title=tallyman::"+c.why) {
				t.Errorf("failed: %t; want %q in the log:\n%.2000s", r.failed, c.why, r.log)
			}
			if r.outputs["state"] == "committed" || r.outputs["commit"] == "x" || r.outputs["pull-request"] != "" || len(r.outputs) > 6 {
				t.Errorf("outputs %.500v", r.outputs)
			}
			if strings.Contains(r.summary, "<script") || strings.Contains(strings.TrimSpace(r.summary), "\n\n") || len(r.summary) > 64<<10 || r.summary == "" {
				t.Errorf("the summary has %d bytes:\n%.2000s", len(r.summary), r.summary)
			}
		})
	}
}

// An address by which the token would go elsewhere, or in the clear, is not used.
func TestHostileAddresses(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	for _, address := range []string{
		"http://localhost:1@tallyman.example", "http://127.0.0.1:80@tallyman.example/", "http://localhost.tallyman.example", "http://127.0.0.1.tallyman.example",
		"https://tallyman.example?to=", "https://tallyman.example/#", "https://user:secret@tallyman.example", "https://", "https:///x", "https://a b", "https://a\nhttps://b",
		"https://{a,b}.example", "ftp://tallyman.example", "tallyman.example", "-K/etc/passwd", `https://tallyman.example\@evil.example`,
	} {
		r := s.run(map[string]string{"url": address, "timeout": "1s"})
		if !r.failed || !strings.Contains(r.log, "the input url must ") || s.given() > 0 {
			t.Errorf("%q: failed %t\n%s", address, r.failed, r.log)
		}
	}
}

// A redirect is not followed, neither with the job's token nor with the runner's.
func TestRedirectsAreNotFollowed(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s is asked with %v", r.Method, r.URL, r.Header)
	}))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 307, 308} {
		s.inFront(func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, status)
			return true
		})
		s.run(nil).expect(t, true, "", fmt.Sprintf("tallyman refuses it (%d): ", status))
	}
	runner := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer runner.Close()
	s.run(map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": runner.URL + "/?a=b"}).expect(t, true, "", "GitHub's answer to the request for a token has none")
}

// A request to the machine itself goes past a proxy, which would read the token: that
// address may be in the clear.
func TestAProxyDoesNotSeeTheToken(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if "http://"+r.Host == s.runner.URL { // GitHub's address, which is https elsewhere
			s.giveToken(w, r)
			return
		}
		t.Errorf("the proxy is asked for %s", r.URL)
	}))
	defer proxy.Close()
	r := s.run(map[string]string{"HTTP_PROXY": proxy.URL, "http_proxy": proxy.URL, "ALL_PROXY": proxy.URL})
	r.expect(t, false, "committed", r.outputs["commit"])
}

// A shell that prints each command would print the token before it is masked.
func TestATracedShellPrintsNoToken(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	r := s.run(map[string]string{"SHELLOPTS": "xtrace"})
	r.expect(t, false, "committed", r.outputs["commit"])
	if strings.Contains(r.log, "eyJ") {
		t.Errorf("the log has a token:\n%s", r.log)
	}
}

// A runner without a tool is told which.
func TestMissingTools(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	for _, missing := range []string{"curl", "jq"} {
		bin := t.TempDir()
		for _, tool := range []string{"bash", "curl", "jq", "mktemp", "rm", "sed", "tail", "tr", "sleep", "od", "cat"} {
			if path, err := exec.LookPath(tool); err == nil && tool != missing {
				s.must(os.Symlink(path, filepath.Join(bin, tool)))
			}
		}
		r := s.run(map[string]string{"PATH": bin})
		if want := "::error title=tallyman::the runner has no " + missing; !r.failed || !strings.Contains(r.log, want) || strings.Contains(r.log, "command not found") {
			t.Errorf("failed: %t; want %q\n%s", r.failed, want, r.log)
		}
	}
}
