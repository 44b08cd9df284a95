package server

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook/ecr"
)

// Every recorded event gets its answer: what it means, or why it means nothing.
func TestRecordedEvents(t *testing.T) {
	m := newMatrix(t, ecr.APIKey)
	read := func(path string) string {
		text, err := os.ReadFile(path)
		m.site.must(err)
		return string(text)
	}
	number := 0
	hook := func(name, event string) *http.Request {
		number++
		req := m.github(oldSecret, fmt.Sprintf("fixture-%d", number), read(filepath.Join("testdata", "events", name)))
		return m.withHeader(req, "X-GitHub-Event", event)
	}
	for _, c := range []struct {
		name, event string
		status      int
		reason      string
	}{
		{"repository_dispatch.json", "repository_dispatch", 200, `event_type "on-demand-test" is not one of those that order an update`},
		{"ping.repository.json", "ping", 200, `a "ping" event is ignored: only repository_dispatch creates updates`},
		{"ping.with_app_id.json", "ping", 200, `a "ping" event is ignored: only repository_dispatch creates updates`},
		{"installation.created.json", "installation", 200, `a "installation" event is ignored`},
		{"installation_repositories.added.json", "installation_repositories", 200, "event is ignored"},
		{"package.published.docker.json", "package", 200, "event is ignored"},
		{"pull_request.closed.json", "pull_request", 200, "is a hint that pull requests may have changed: no environment has any there"},
		{"push.json", "push", 200, "is a hint that pull requests may have changed"},
		{"push.minimal.json", "push", 200, "is a hint that pull requests may have changed"},
		{"deployment_status.created.json", "deployment_status", 200, "event is ignored"},
	} {
		d := m.do(hook(c.name, c.event)).delivery(t, c.status)
		if d.Outcome != gitops.OutcomeIgnored || !strings.Contains(d.Reason, c.reason) {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
	files, err := filepath.Glob("webhook/ecrevent/testdata/*.json")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		answer := m.do(m.ecr(bridgeSecret, read(file)))
		d := answer.delivery(t, 200) // none is of an app that is configured
		if d.Outcome != gitops.OutcomeIgnored || d.Reason == "" {
			t.Errorf("%s: answered %s %s", file, answer.Status, answer.body)
		}
	}
}
