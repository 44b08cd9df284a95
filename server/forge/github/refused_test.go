package github_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

func change(file, content string) gitserver.Change {
	return gitserver.Change{Files: map[string]string{file: content}}
}

// act is one of the forge's calls that change something.
type act struct {
	method, path, contains string // the call to GitHub that it is about
	do                     func(s *site) error
	done                   func(s *site) bool
}

func acts() map[string]act {
	ctx := context.Background()
	closed := func(s *site) bool { return !s.repo.Pull(1).Open }
	return map[string]act{
		"create": {"POST", path("/pulls"), "", func(s *site) error {
			_, err := s.Create(ctx, "tallyman/prod/web", text("1.1.0"))
			if errors.Is(err, proposals.ErrExists) { // after which it is adopted
				return nil
			}
			return err
		}, func(s *site) bool { return len(s.repo.Pulls()) == 2 }},
		"edit": {"PATCH", path("/pulls/1"), "", func(s *site) error { return s.Edit(ctx, 1, text("1.2.0")) },
			func(s *site) bool { return s.repo.Pull(1).Title == text("1.2.0").Title }},
		"label": {"POST", path("/issues/1/labels"), "", func(s *site) error { return s.Edit(ctx, 1, text("1.1.0", "release")) },
			func(s *site) bool { return len(s.repo.Pull(1).Labels) == 1 }},
		"comment": {"POST", path("/issues/1/comments"), "", func(s *site) error { return s.Comment(ctx, 1, "hello") },
			func(s *site) bool { return len(s.repo.Pull(1).Comments) == 1 }},
		"close": {"PATCH", path("/pulls/1"), "", func(s *site) error { return s.Close(ctx, 1) }, closed},
		"arm": {"POST", "/graphql", "enablePullRequestAutoMerge", func(s *site) error { return s.Arm(ctx, s.proposed, text("1.1.0")) },
			func(s *site) bool { return s.repo.Pull(1).Armed }},
		"disarm": {"POST", "/graphql", "disablePullRequestAutoMerge", func(s *site) error {
			if s.github.Count("POST", "/graphql enablePullRequestAutoMerge") == 0 {
				if err := s.Arm(ctx, s.proposed, text("1.1.0")); err != nil {
					return err
				}
			}
			return s.Disarm(ctx, s.proposed)
		}, func(s *site) bool { return !s.repo.Pull(1).Armed }},
		"merge": {"PUT", path("/pulls/1/merge"), "", func(s *site) error {
			s.repo.Unrule()
			err := s.Arm(ctx, s.proposed, text("1.1.0"))
			if errors.Is(err, proposals.ErrNotNow) { // it is looked at, then
				return nil
			}
			return err
		}, func(s *site) bool { return s.repo.Pull(1).Merged }},
		"enqueue": {"POST", "/graphql", "enqueuePullRequest", func(s *site) error {
			s.repo.Unrule()
			s.repo.Rule("main", queueRule)
			return s.Arm(ctx, s.proposed, text("1.1.0"))
		}, func(s *site) bool { return s.repo.Pull(1).Queue }},
	}
}

// Each act fails twice, once without effect and once with: the error is a passing one, and
// to do it again does it once.
func TestEachActFailsTwice(t *testing.T) {
	for name, a := range acts() {
		for _, applied := range []bool{false, true} {
			t.Run(name+map[bool]string{false: " failed", true: " happened, and the answer was lost"}[applied], func(t *testing.T) {
				s := newSite(t)
				s.repo.Rule("main", reviewRule)
				s.propose("1.1.0")
				s.push("tallyman/prod/web", "1.1.0")
				s.github.Expect(http.StatusUnprocessableEntity)
				s.lose(a.method, a.path, a.contains, applied)
				if err := a.do(s); gitops.CodeOf(err) != gitops.Unavailable {
					t.Fatal("told", err)
				}
				if got := a.done(s); got != applied && name != "disarm" {
					t.Errorf("done is %t", got)
				}
				if err := a.do(s); err != nil || !a.done(s) {
					t.Errorf("again: done is %t, %v", a.done(s), err)
				}
			})
		}
	}
}

// What the App may not do is told with the permission that it lacks and how it gets it, of
// REST and GraphQL alike.
func TestAPermissionThatWasTakenAway(t *testing.T) {
	for name, a := range acts() {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.repo.Rule("main", reviewRule)
			s.propose("1.1.0")
			s.push("tallyman/prod/web", "1.1.0")
			const body = `{"message": "Resource not accessible by integration", "documentation_url": "https://docs.github.com/rest"}`
			fault := githubtest.Fault{Method: a.method, Path: a.path, Contains: a.contains, Times: 1, Status: 403, Body: body,
				Header: http.Header{"X-Accepted-Github-Permissions": {"issues=write; pull_requests=write"}}}
			if a.contains != "" {
				fault.Status, fault.Body = 200, `{"errors": [{"type": "FORBIDDEN", "message": "Resource not accessible by integration"}]}`
			}
			s.github.Inject(fault)
			err := a.do(s)
			if e := gitops.PublicOf(err); gitops.CodeOf(err) != gitops.Forbidden || !strings.Contains(e, "lacks the permission Pull requests: write") || !strings.Contains(e, "approve") {
				t.Errorf("told %v", err)
			}
		})
	}
}

// The same is told where the installation's owner has not approved it yet, and nothing
// remains of that when it is approved.
func TestAPermissionThatIsNotApproved(t *testing.T) {
	s := newSite(t)
	s.push(topic, "1.1.0")
	s.github.Expect(http.StatusUnprocessableEntity)
	s.github.Permit(installation, "pull_requests", "read")
	_, err := s.Create(t.Context(), topic, text("1.1.0"))
	if e := gitops.PublicOf(err); gitops.CodeOf(err) != gitops.Forbidden || !strings.Contains(e, "Pull requests: write") || !strings.Contains(e, "approve") {
		t.Errorf("told %v", err)
	}
	s.github.Permit(installation, "pull_requests", "write")
	s.propose("1.1.0")
}

func TestARepositoryThatTheAppIsNotInstalledOn(t *testing.T) {
	s := newSite(t)
	s.propose("1.1.0")
	s.github.Expect(http.StatusNotFound)
	s.github.Inject(githubtest.Fault{Method: "GET", Path: path("/pulls/1"), Times: 1, Status: 404, Body: `{"message": "Not Found"}`})
	for range 2 {
		_, err := s.Get(t.Context(), 1)
		if gitops.CodeOf(err) != gitops.NotFound || !strings.Contains(gitops.PublicOf(err), "is the App installed on the manifest repository?") {
			t.Error(err)
		}
		s.github.Uninstall(installation)
		s.clock.Pass(2 * time.Hour)
	}
}

// Limits are obeyed for as long as GitHub says, and where it does not say, for a minute.
func TestLimits(t *testing.T) {
	const secondary = `{"message": "You have exceeded a secondary rate limit.", "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`
	soon := "4102444800" // 2100
	for name, c := range map[string]struct {
		fault githubtest.Fault
		wait  time.Duration
	}{
		"the hour's":              {githubtest.Fault{Status: 403, Header: http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {soon}}, Body: `{}`}, time.Hour},
		"the hour's by 429":       {githubtest.Fault{Status: 429, Header: http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {soon}}, Body: `{}`}, time.Hour},
		"secondary, told":         {githubtest.Fault{Status: 403, Header: http.Header{"Retry-After": {"7"}}, Body: secondary}, 7 * time.Second},
		"secondary by 429, told":  {githubtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"7"}}, Body: secondary}, 7 * time.Second},
		"secondary, quota left":   {githubtest.Fault{Status: 403, Header: http.Header{"X-Ratelimit-Remaining": {"4000"}, "X-Ratelimit-Reset": {soon}}, Body: secondary}, time.Minute},
		"secondary by 429":        {githubtest.Fault{Status: 429, Header: http.Header{"X-Ratelimit-Remaining": {"4000"}, "X-Ratelimit-Reset": {soon}}, Body: `{}`}, time.Minute},
		"secondary of GHES's own": {githubtest.Fault{Status: 403, Body: `{"message": "You have exceeded a secondary rate limit", "documentation_url": "https://ghe.example/docs"}`}, time.Minute},
		"too quickly": {githubtest.Fault{Status: 422, Body: `{"message": "Validation Failed", "errors": [{"resource": "PullRequest", "code": "custom", "message": "was submitted too quickly"}]}`},
			time.Minute},
		"GraphQL's": {githubtest.Fault{Method: "POST", Path: "/graphql", Status: 200, Body: `{"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}`}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			p := s.propose("1.1.0")
			c.fault.Times = 1
			if c.fault.Path == "" {
				c.fault.Method, c.fault.Path = "PATCH", path("/pulls/1")
			}
			s.github.Inject(c.fault)
			err := s.Edit(t.Context(), 1, text("1.2.0"))
			if err == nil {
				err = s.Disarm(t.Context(), p)
			}
			var e *gitops.Error
			if !errors.As(err, &e) {
				t.Fatalf("told %v", err)
			}
			if e.Code != gitops.RateLimited || e.RetryAfter.Round(time.Second) != c.wait {
				t.Errorf("told %v, to wait %s", err, e.RetryAfter)
			}
		})
	}
}

// A limit that lasts is waited for twice as long each time, until a write goes well.
func TestALimitThatLasts(t *testing.T) {
	s := newSite(t)
	s.propose("1.1.0")
	edit := func() time.Duration {
		var e *gitops.Error
		if err := s.Edit(t.Context(), 1, text("1.2.0")); err != nil && !errors.As(err, &e) {
			t.Fatal(err)
		}
		if e == nil {
			return 0
		}
		return e.RetryAfter
	}
	limited := githubtest.Fault{Method: "PATCH", Path: path("/pulls/1"), Status: 429, Body: `{}`}
	limited.Times = 6
	s.github.Inject(limited)
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 16, 0} {
		if got := edit(); got != want*time.Minute {
			t.Errorf("waits %s, not %d minutes", got, want)
		}
		if _, err := s.Pulls(t.Context(), topic); err != nil { // a look that goes well says nothing of writes
			t.Error(err)
		}
	}
	limited.Times = 1
	s.github.Inject(limited)
	if got := edit(); got != time.Minute {
		t.Error("after a success it waits", got)
	}
}

// More than GitHub takes within a minute is refused by it, and told as a limit.
func TestTooManyPullRequests(t *testing.T) {
	s := newSite(t)
	s.github.Expect(http.StatusForbidden)
	s.propose("1.1.0")
	var err error
	n := 0
	for ; err == nil && n < 100; n++ {
		err = s.Comment(t.Context(), 1, strings.Repeat("x", n+1))
	}
	if gitops.CodeOf(err) != gitops.RateLimited || n != 80 {
		t.Errorf("after %d comments: %v", n, err)
	}
}

// GraphQL's errors come with status 200.
func TestWhatGraphQLSays(t *testing.T) {
	s := newSite(t)
	p := s.propose("1.1.0")
	for name, c := range map[string]struct {
		body string
		code gitops.Code
		want error
	}{
		"its own fault":       {`{"errors": [{"message": "Something went wrong while executing your query."}]}`, gitops.Unavailable, nil},
		"a node it forgot":    {`{"data": {"node": null}, "errors": [{"type": "NOT_FOUND", "message": "Could not resolve to a node"}]}`, gitops.NotFound, nil},
		"a node of nothing":   {`{"data": {"node": null}}`, gitops.NotFound, nil},
		"a node of its own":   {`{"data": {"node": {}}}`, gitops.NotFound, nil},
		"a page":              {`<html>`, gitops.Unavailable, nil},
		"a head that moved":   {`{"errors": [{"type": "STALE_DATA", "message": "x"}]}`, "", proposals.ErrHeadMoved},
		"what is not allowed": {`{"errors": [{"type": "FORBIDDEN", "message": "Resource not accessible by integration"}]}`, gitops.Forbidden, nil},
	} {
		s.github.Inject(githubtest.Fault{Method: "POST", Path: "/graphql", Times: 1, Status: 200, Body: c.body})
		err := s.Disarm(t.Context(), p)
		if c.want != nil && !errors.Is(err, c.want) || c.code != "" && gitops.CodeOf(err) != c.code {
			t.Errorf("%s: told %v", name, err)
		}
	}
}
