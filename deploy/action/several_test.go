package action_test

import (
	"encoding/json"
	"html"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// listed is one of the updates in the output of that name.
type listed struct{ ID, Environment, App, State, Commit, Reason string }

func (r result) updates(t *testing.T) (all []listed) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.outputs["updates"]), &all); err != nil {
		t.Errorf("the output updates is %q: %v", r.outputs["updates"], err)
	}
	return all
}

// Several apps are one order, and the step succeeds when all are committed.
func TestSeveral(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	for tag, apps := range map[string]string{"main-1a2b3c4": "api, web", "main-2a2b3c4": "api\r\n web\n\n"} {
		r := s.run(map[string]string{"app": apps, "tag": tag, "manifests": "shop/manifests"})
		r.expect(t, false, "committed", "2 updates")
		updates := r.updates(t)
		if len(updates) != 2 || updates[0].App != "api" || updates[1].App != "web" || updates[1].Environment != "dev" || updates[1].State != "committed" || r.outputs["update"] != updates[0].ID+","+updates[1].ID {
			t.Fatalf("outputs %v", r.outputs)
		}
		for _, want := range []string{"<h3>2 updates to " + tag + ": 2 committed</h3>", "<td>web</td><td>dev</td><td>committed</td><td><a href=\"https://github.com/shop/manifests/commit/" + updates[1].Commit, "tallyman explain " + updates[0].ID} {
			if !strings.Contains(html.UnescapeString(r.summary), want) {
				t.Errorf("the summary does not say %s:\n%s", want, r.summary)
			}
		}
		if !strings.Contains(r.log, "tallyman: 2 updates are accepted") || !strings.Contains(r.log, "tallyman: web in dev: committed") || !strings.Contains(r.outputs["commit"], updates[0].Commit) {
			t.Errorf("outputs %v, and the log:\n%s", r.outputs, r.log)
		}
	}
}

// One that fails fails the step, when the others have ended, too.
func TestOneOfSeveralFails(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	_, err := s.repository.Commit(gitserver.Change{Files: map[string]string{gitserver.ValuesFile("web", "dev"): "image: {}\n"}})
	s.must(err)
	r := s.run(map[string]string{"app": "web,api"})
	r.expect(t, true, "failed", "not committed: 1 of 2 updates. The first: web in dev: failed: ")
	updates := r.updates(t)
	if len(updates) != 2 || updates[0].State != "failed" || updates[0].Reason == "" || updates[1].State != "committed" || updates[1].Commit == "" {
		t.Errorf("outputs %v", r.outputs)
	}
	if !strings.Contains(r.summary, "1 committed, 1 failed") {
		t.Errorf("the summary:\n%s", r.summary)
	}
}

// When the time is over the step says how many are still pending.
func TestSeveralTimeOut(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	s.git.Inject(gitserver.Fault{Times: -1, Status: http.StatusServiceUnavailable})
	r := s.run(map[string]string{"app": "api,web", "timeout": "1s"})
	r.expect(t, true, "pending", "still pending after 1s: 2 of 2 updates, and 0 ended without a commit")
	if without := s.run(map[string]string{"app": "api,web", "wait": "false"}); without.failed || len(without.updates(t)) != 2 {
		t.Errorf("without wait: %v\n%s", without.outputs, without.log)
	}
}

// One that may not be ordered, or cannot be, fails the step before anything is ordered.
func TestSeveralAllOrNone(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	for want, inputs := range map[string]map[string]string{
		"tallyman refuses it (403): ":                                   {"environment": "dev,prod"},
		"tallyman refuses it (400): app[2]: \"api\" is there already":   {"app": "api,web,api"},
		"tallyman refuses it (422): tag: dev: tag 1.4.2 does not match": {"app": "api,web", "tag": "1.4.2"},
		"the input app is empty":                                        {"app": " ,\n, "},
	} {
		r := s.run(inputs)
		r.expect(t, true, "", want)
		if r.outputs["updates"] != "[]" {
			t.Errorf("outputs %v", r.outputs)
		}
	}
	if count, err := s.repository.Git("rev-list", "--count", "main"); err != nil || strings.TrimSpace(count) != "1" {
		t.Errorf("%s commits, %v", count, err)
	}
}

// The summary has each file of an update with what changed there, whatever the names are.
func TestTheSummaryHasEveryFile(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	s.inFront(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/commit") {
			return false
		}
		_, _ = io.WriteString(w, `{"commit": "c", "proof": "k", "files": [
			{"file": "values.yaml", "diff": ["-tag: a", "+tag: b"]}, {"file": "<script>", "problem": "is <b>too large"}, "no object"]}`)
		return true
	})
	r := s.run(nil)
	r.expect(t, false, "committed", r.outputs["commit"])
	for _, want := range []string{"<code>values.yaml</code></td>", "<pre>-tag: a\n+tag: b</pre>", "<code>&lt;script&gt;</code>: is &lt;b&gt;too large</td>"} {
		if !strings.Contains(r.summary, want) {
			t.Errorf("the summary does not say %s:\n%s", want, r.summary)
		}
	}
}
