package githubtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver/gittest"
	"github.com/tallyman-dev/tallyman/server/githubapp"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

const topic = "tallyman/prod/api"

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

// stage is a repository with one topic branch.
type stage struct {
	*githubtest.Repository
	recorder *recorder
	server   *githubtest.Server
	git      *gitserver.Repository
	token    string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	_, repo := gittest.Start(t, "o/r.git")
	s := &stage{recorder: &recorder{TB: t}, git: repo}
	gittest.Commit(t, repo, gitserver.Change{Files: map[string]string{"api.yaml": "tag: 1\n"}})
	gittest.Commit(t, repo, gitserver.Change{Branch: topic, From: "main", Message: "Set api to 2\n\nTallyman-Update: u2", Files: map[string]string{"api.yaml": "tag: 2\n"}})
	s.server = githubtest.New(s.recorder)
	s.server.Install(1, "o/r")
	s.server.Permit(1, "pull_requests", "write")
	s.Repository = s.server.Serve("o/r", repo)
	app, err := githubapp.New(githubapp.Config{AppID: githubtest.AppID, InstallationID: 1, PrivateKeyFile: s.server.KeyFile(), RepositoryURL: "https://github.com/o/r.git", APIURL: s.server.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	if _, _, err := app.PullRequestClient().Repositories.Get(t.Context(), "o", "r"); err != nil {
		t.Fatal(err)
	}
	s.token = s.server.Tokens()[0]
	return s
}

// call makes a call as the client does.
func (s *stage) call(method, path, body string, edit ...func(*http.Request)) (int, string) {
	s.recorder.Helper()
	request, err := http.NewRequest(method, s.server.URL+path, strings.NewReader(body))
	if err != nil {
		s.recorder.Fatal(err)
	}
	request.Header = http.Header{
		"Authorization": {"Bearer " + s.token}, "Accept": {"application/vnd.github.v3+json"}, "Content-Type": {"application/json"},
		"X-Github-Api-Version": {"2022-11-28"}, "User-Agent": {"test"},
	}
	for _, e := range edit {
		e(request)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		s.recorder.Fatal(err)
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(said)
}

func mutate(name, input string) string {
	return `{"query": "mutation($input: ` + strings.ToUpper(name[:1]) + name[1:] + `Input!) { ` + name + `(input: $input) { clientMutationId } }", "variables": {"input": ` + input + `}}`
}

// What GitHub would refuse, and what tallyman has no need of, fails the test.
func TestStrictAboutPullRequests(t *testing.T) {
	s := newStage(t)
	gittest.Git(t, s.git, "branch", "same", "main")
	s.Open("ann", topic, "main")
	const node = "PR_kwDOtallyman1"
	pulls := "/repos/o/r/pulls"
	query := func(fields string) string {
		return `{"query": "query($id: ID!) { node(id: $id) { ... on PullRequest { ` + fields + ` } } }", "variables": {"id": "` + node + `"}}`
	}
	for name, c := range map[string]struct {
		method, path, body, says string
		edit                     func(*http.Request)
	}{
		"another version":    {"GET", pulls + "/1", "", "the version", func(r *http.Request) { r.Header.Set("X-Github-Api-Version", "2026-03-10") }},
		"another repository": {"GET", "/repos/o/q/pulls/1", "", "Not Found", nil},
		"no such number":     {"GET", pulls + "/2", "", "Not Found", nil},
		"a parameter":        {"GET", pulls + "?sort=created&expand=1", "", "no parameter", nil},
		"a page too long":    {"GET", pulls + "?sort=created&per_page=101", "", "page", nil},
		"a field":            {"POST", pulls, `{"title": "x", "head": "` + topic + `", "base": "main", "draft": true}`, "draft", nil},
		"no title":           {"POST", pulls, `{"head": "` + topic + `", "base": "main"}`, "missing_field", nil},
		"twice":              {"POST", pulls, `{"title": "x", "head": "` + topic + `", "base": "main"}`, "already exists for o:" + topic, nil},
		"of nothing":         {"POST", pulls, `{"title": "x", "head": "same", "base": "main"}`, "No commits between main and same", nil},
		"of no branch":       {"POST", pulls, `{"title": "x", "head": "gone", "base": "main"}`, "invalid", nil},
		"a long body":        {"PATCH", pulls + "/1", `{"body": "` + strings.Repeat("x", 65537) + `"}`, "too long", nil},
		"opened again":       {"PATCH", pulls + "/1", `{"state": "open"}`, "state", nil},
		"no SHA":             {"PUT", pulls + "/1/merge", `{"merge_method": "squash"}`, "without sha", nil},
		"another SHA":        {"PUT", pulls + "/1/merge", `{"merge_method": "squash", "sha": "abc"}`, "Head branch was modified", nil},
		"a text for a merge": {"PUT", pulls + "/1/merge", `{"merge_method": "merge", "sha": "abc", "commit_title": "x"}`, "does not use", nil},
		"a label too long":   {"POST", "/repos/o/r/issues/1/labels", `["` + strings.Repeat("x", 51) + `"]`, "invalid", nil},
		"no such branch":     {"GET", "/repos/o/r/branches/gone", "", "Branch not found", nil},
		"a reviewer":         {"POST", pulls + "/1/requested_reviewers", `{}`, "there is no", nil},
		"a field of GraphQL": {"POST", "/graphql", query("mergeStateStatus"), "mergeStateStatus", nil},
		"a scalar's field":   {"POST", "/graphql", query("state { x }"), "state", nil},
		"half a query":       {"POST", "/graphql", `{"query": "query($id: ID!) { node", "variables": {"id": "x"}}`, "parse error", nil},
		"no variable":        {"POST", "/graphql", `{"query": "query($id: ID!) { node(id: $id) { ... on PullRequest { state } } }", "variables": {}}`, "not given", nil},
		"an input's field":   {"POST", "/graphql", mutate("dequeuePullRequest", `{"pullRequestId": "`+node+`"}`), "not defined", nil},
		"no head":            {"POST", "/graphql", mutate("enqueuePullRequest", `{"pullRequestId": "`+node+`"}`), "expectedHeadOid", nil},
		"a text to rebase": {"POST", "/graphql", mutate("enablePullRequestAutoMerge", `{"pullRequestId": "`+node+`", "mergeMethod": "REBASE", "commitHeadline": "x", "expectedHeadOid": "`+
			s.Pull(1).Head+`"}`), "own commit", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s.recorder.failures = nil
			edit := c.edit
			if edit == nil {
				edit = func(*http.Request) {}
			}
			status, said := s.call(c.method, c.path, c.body, edit)
			if !strings.Contains(said, c.says) && !strings.Contains(fmt.Sprint(s.recorder.failures), c.says) || len(s.recorder.failures) != 1 {
				t.Errorf("answered %d %s, and the test had %q", status, said, s.recorder.failures)
			}
		})
	}
	s.recorder.failures = nil
}

// What people could not do fails the test, too: a test that waits for it would prove nothing.
func TestStrictAboutPeople(t *testing.T) {
	s := newStage(t)
	s.Rule("main", githubtest.Reviews(1))
	s.Open("ann", topic, "main")
	for name, act := range map[string]func(){
		"merged without a review": func() { s.Merge("ann", 1, "squash") },
		"approved by its author":  func() { s.Approve("ann", 1) },
		"enqueued without queue":  func() { s.Enqueue("ann", 1) },
		"one that is not there":   func() { s.Close("ann", 2) },
		"opened twice":            func() { s.Open("bob", topic, "main") },
	} {
		s.recorder.failures = nil
		act()
		if len(s.recorder.failures) != 1 {
			t.Errorf("%s: the test had %q", name, s.recorder.failures)
		}
	}
	s.recorder.failures = nil
}

// A push drops approvals by the rules that say so, and keeps them where the change is the same.
func TestApprovalsAndPushes(t *testing.T) {
	same := func(s *stage) {
		s.Push("ann", gitserver.Change{Files: map[string]string{"other.yaml": "x"}})
		gittest.Commit(t, s.git, gitserver.Change{Branch: topic, From: "main", Files: map[string]string{"api.yaml": "tag: 2\n"}})
	}
	other := func(s *stage) {
		gittest.Commit(t, s.git, gitserver.Change{Branch: topic, From: "main", Files: map[string]string{"api.yaml": "tag: 3\n"}})
	}
	for name, c := range map[string]struct {
		rule githubtest.Rule
		push func(*stage)
		kept bool
	}{
		"no rule":                {githubtest.Reviews(1), other, true},
		"stale, another change":  {githubtest.Reviews(1, "dismiss_stale_reviews_on_push", true), other, false},
		"stale, the same change": {githubtest.Reviews(1, "dismiss_stale_reviews_on_push", true), same, true},
		"the last push":          {githubtest.Reviews(1, "require_last_push_approval", true), same, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.Rule("main", c.rule)
			s.Open("tallyman", topic, "main")
			s.Approve("ann", 1)
			c.push(s)
			s.Merge("ann", 1, "squash")
			if got := s.Pull(1).Merged; got != c.kept || (len(s.recorder.failures) == 0) != c.kept {
				t.Errorf("merged %t, %q", got, s.recorder.failures)
			}
		})
	}
}

// What a squash says is as the repository's settings have it.
func TestSquashSettings(t *testing.T) {
	for message, want := range map[string]string{
		"PR_BODY": "Hers (#1)\n\nwith Tallyman-Update: u2", "COMMIT_MESSAGES": "Hers (#1)\n\n* Set api to 2", "BLANK": "Hers (#1)",
	} {
		s := newStage(t)
		s.Set(func(c *githubtest.Settings) { c.SquashTitle, c.SquashMessage = "PR_TITLE", message })
		s.Open("ann", topic, "main")
		s.Rename("ann", 1, "Hers", "with Tallyman-Update: u2")
		s.Merge("ann", 1, "squash")
		if got := strings.TrimSpace(gittest.Git(t, s.git, "log", "-1", "--format=%B", "main")); got != want {
			t.Errorf("%s: %q", message, got)
		}
	}
}

// The App's webhook hears what it has a permission for, in GitHub's form.
func TestEvents(t *testing.T) {
	s := newStage(t)
	s.server.Permit(1, "merge_queues", "read")
	number := s.Open("tallyman", topic, "main")
	s.Rule("main", githubtest.Queue("SQUASH"))
	s.Push("ann", gitserver.Change{Branch: topic, Files: map[string]string{"api.yaml": "tag: 3\n"}})
	s.Approve("ann", number)
	s.Enqueue("ann", number)
	s.Dequeue("ann", number, "CI_FAILURE")
	s.Enqueue("ann", number)
	s.MergeQueued()
	var got []string
	for _, e := range s.Events() {
		var payload struct {
			Action, Reason, Ref string
			Number              int
			PullRequest         struct {
				Merged bool
				Head   struct{ Ref string }
			} `json:"pull_request"`
			Repository struct {
				FullName string `json:"full_name"`
			}
			Installation struct{ ID int }
		}
		if err := json.Unmarshal(e.Body, &payload); err != nil || payload.Repository.FullName != "o/r" || payload.Installation.ID != 1 {
			t.Errorf("%s: %v", e.Body, err)
		}
		line := strings.TrimSpace(strings.Join([]string{e.Name, payload.Action, payload.Reason, payload.Ref, payload.PullRequest.Head.Ref}, " "))
		if payload.PullRequest.Merged {
			line += " merged"
		}
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"pull_request opened " + topic, "push refs/heads/" + topic, "pull_request synchronize " + topic, "pull_request_review submitted " + topic,
		"pull_request enqueued " + topic, "pull_request dequeued CI_FAILURE " + topic, "pull_request enqueued " + topic,
		"merge_group checks_requested", "push refs/heads/main", "pull_request closed " + topic + " merged",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	s.server.Permit(1, "pull_requests", "")
	s.Push("ann", gitserver.Change{Files: map[string]string{"other.yaml": "x"}})
	if events := s.Events(); len(events) != 1 || events[0].Name != "push" {
		t.Errorf("without a permission there are %d events", len(events))
	}
	if len(s.recorder.failures) > 0 {
		t.Error(s.recorder.failures)
	}
}

// The limits are by the server's clock, and lists that have not changed are free.
func TestLimitsOfCalls(t *testing.T) {
	s := newStage(t)
	s.Open("ann", topic, "main")
	now := time.Now().Add(time.Minute) // before the token ends
	s.server.SetNow(func() time.Time { return now })
	s.server.Spend(2)
	s.server.Expect(http.StatusForbidden)
	var statuses []int
	for range 3 {
		status, _ := s.call("GET", "/repos/o/r/pulls/1", "")
		statuses = append(statuses, status)
	}
	now = now.Add(58 * time.Minute)
	status, _ := s.call("GET", "/repos/o/r/pulls/1", "")
	if statuses = append(statuses, status); !slices.Equal(statuses, []int{200, 200, 403, 403}) {
		t.Error(statuses)
	}
	if len(s.recorder.failures) > 0 {
		t.Error(s.recorder.failures)
	}
}
