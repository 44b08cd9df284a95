package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/server/oidc/oidctest"
)

// In a job of GitHub Actions the command orders and waits with the job's own identity:
// there is no token to configure.
func TestUpdateAsAJob(t *testing.T) {
	s, issuer := newSite(t, 1), oidctest.New(t)
	const audience = "https://tallyman.example"
	text, err := os.ReadFile(s.config())
	s.must(err)
	config := strings.NewReplacer("api:\n", "api:\n  oidc: {audience: '"+audience+"', issuers: ['"+issuer.URL+"']}\n",
		"access:\n", "access:\n  - {who: {job: {repository: octo-org/octo-repo, repositoryID: 456789, ownerID: 123456, refs: [refs/heads/main]}}, may: [order], apps: [app-00], environments: [dev]}\n").Replace(string(text))
	s.must(os.WriteFile(s.config(), []byte(config), 0o600))
	_, base, _ := s.start(deadline(t))
	runner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer the-runners" {
			t.Errorf("asked with %v", r.Header)
		}
		fmt.Fprintf(w, `{"value": %q}`, issuer.Token(r.URL.Query().Get("audience"), nil))
	}))
	t.Cleanup(runner.Close)

	s.commandLine(base)
	t.Setenv("TALLYMAN_TOKEN_FILE", "")
	_, errs, exit := run(t, "update", "app-00", "main-1a2b3c4", "--env", "dev", "--audience", audience)
	if exit != exitBadInput {
		t.Errorf("outside of a job: exit %d", exit)
	}
	expect(t, "the error", errs, "the job needs permissions: {id-token: write}")

	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", runner.URL+"/token?api-version=2.0")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "the-runners")
	if _, errs, exit = run(t, "update", "app-00", "main-1a2b3c4", "--env", "dev"); exit != exitRejected {
		t.Errorf("for the server's address, which is not the audience: exit %d: %s", exit, errs)
	}
	out, errs, exit := run(t, "update", "app-00", "main-1a2b3c4", "--env", "dev", "--wait", "--audience", audience)
	if exit != 0 {
		t.Fatalf("exit %d: %s%s", exit, errs, out)
	}
	expect(t, "the command", out, "app-00 in dev to main-1a2b3c4: committed")
	message, err := s.repository.Git("log", "-1", "--format=%B")
	s.must(err)
	expect(t, "the commit", message, "Tallyman-Actor: github:octocat@octo-org/octo-repo")

	t.Setenv("TALLYMAN_AUDIENCE", audience)
	if _, errs, exit = run(t, "update", "app-00", "main-1a2b3c4", "--env", "prod", "--wait"); exit != exitRejected {
		t.Errorf("where no rule allows it: exit %d: %s", exit, errs)
	}
	expect(t, "the refusal", errs, "may not order")

	// A token that is configured comes first, unless the job's is asked for.
	s.commandLine(base)
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", runner.URL+"/token?api-version=2.0")
	t.Setenv("TALLYMAN_AUDIENCE", audience)
	if _, errs, exit = run(t, "update", "app-00", "main-1a2b3c4", "--env", "staging"); exit != 0 {
		t.Errorf("by a token that may: exit %d: %s", exit, errs)
	}
	if _, errs, exit = run(t, "update", "app-00", "main-1a2b3c4", "--env", "staging", "--audience", audience); exit != exitRejected {
		t.Errorf("by the job, which may not: exit %d: %s", exit, errs)
	}
}
