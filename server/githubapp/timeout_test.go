package githubapp_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

// An answer that begins and does not end delays no other request, also whoever set no bound: pull
// requests are followed by one goroutine, which would wait for ever.
func TestAnAnswerThatDoesNotEnd(t *testing.T) {
	s := newSite(t)
	s.config.Timeout = 100 * time.Millisecond
	s.github.Permit(5678, "pull_requests", "write")
	a := s.app()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // the test's own
	defer cancel()
	stall := func(method, path string) {
		s.github.Inject(githubtest.Fault{Method: method, Path: path, Times: 1, Status: http.StatusOK, Body: `{"id": 1, "name": "`, Stalled: true})
	}
	for name, c := range map[string]struct {
		path   string
		client *github.Client
		get    func(*github.Client) error
	}{
		"as the App":          {path: "/app", client: a.AppClient(), get: func(c *github.Client) error { _, _, err := c.Apps.Get(ctx, ""); return err }},
		"as the installation": {path: tryPath, client: a.InstallationClient(), get: func(c *github.Client) error { _, _, err := c.Repositories.Get(ctx, "myshop", "manifests"); return err }},
		"pull requests":       {path: tryPath, client: a.PullRequestClient(), get: func(c *github.Client) error { _, _, err := c.Repositories.Get(ctx, "myshop", "manifests"); return err }},
	} {
		if err := c.get(c.client); err != nil { // so that a token is there
			t.Fatal(err)
		}
		stall(http.MethodGet, c.path)
		err := githubapp.APIError("", c.get(c.client))
		if gitops.CodeOf(err) != gitops.Unavailable || gitops.PublicOf(err) != "GitHub's API did not answer in time" || ctx.Err() != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
