package github

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// standing is what GraphQL alone tells of a pull request.
type standing struct {
	State        string // OPEN, CLOSED or MERGED
	Head         string `json:"headRefOid"`
	Queued       bool   `json:"isInMergeQueue"`
	QueueEnabled bool   `json:"isMergeQueueEnabled"` // of the base branch
	Decision     string `json:"reviewDecision"`      // APPROVED, CHANGES_REQUESTED or REVIEW_REQUIRED; "" where no rule asks for reviews
	AutoMerge    *armed `json:"autoMergeRequest"`
}

// armed is how a pull request is to be merged.
type armed struct {
	Method   string `json:"mergeMethod"`
	Headline string `json:"commitHeadline"`
	Body     string `json:"commitBody"`
}

const standingQuery = `query($id: ID!) {
  node(id: $id) {
    ... on PullRequest {
      state headRefOid isInMergeQueue isMergeQueueEnabled reviewDecision
      autoMergeRequest { mergeMethod commitHeadline commitBody }
    }
  }
}`

func (f *Forge) standing(ctx context.Context, id string) (standing, error) {
	var answer struct{ Node *standing }
	if err := f.graphQL(ctx, "looking at the pull request", standingQuery, map[string]any{"id": id}, &answer); err != nil {
		return standing{}, err
	}
	if answer.Node == nil || answer.Node.State == "" {
		return standing{}, gitops.Errorf(gitops.NotFound, "GitHub does not know the pull request any longer")
	}
	return *answer.Node, nil
}

// complaint is an error of GraphQL's, which comes with status 200.
type complaint struct {
	Type    string
	Message string
}

// graphQL asks and decodes the data. An error is a [*gitops.Error], or a [*refusal] where
// GitHub understood and says no.
func (f *Forge) graphQL(ctx context.Context, doing, query string, variables map[string]any, data any) error {
	path := "graphql"
	if strings.HasSuffix(f.client.BaseURL.Path, "/api/v3/") { // GitHub Enterprise Server has it at /api/graphql
		path = "../graphql"
	}
	request, err := f.client.NewRequest(http.MethodPost, path, map[string]any{"query": query, "variables": variables})
	if err != nil {
		return failure(doing, err)
	}
	answer := struct {
		Data   any
		Errors []complaint
	}{Data: data}
	if _, err := f.client.Do(ctx, request, &answer); err != nil {
		return failure(doing, err)
	}
	if len(answer.Errors) == 0 {
		return nil
	}
	return answer.Errors[0].failure(doing)
}

// pause is how long to wait where GitHub does not say.
const pause = time.Minute

func (c complaint) failure(doing string) error {
	said := gitops.Clip(c.Message, 300)
	switch c.Type {
	case "FORBIDDEN", "INSUFFICIENT_SCOPES":
		return githubapp.Lacks(doing, "Pull requests: write, or Contents: write").WithCause(&refusal{said})
	case "NOT_FOUND":
		return gitops.Errorf(gitops.NotFound, "GitHub does not know the pull request (%s)", doing).WithCause(&refusal{said})
	case "RATE_LIMITED", "RATE_LIMIT":
		e := gitops.Errorf(gitops.RateLimited, "GitHub's API is rate limited (%s)", doing).WithCause(&refusal{said})
		e.RetryAfter = pause
		return e
	case "UNPROCESSABLE":
		return &refusal{said}
	case "STALE_DATA":
		return proposals.ErrHeadMoved
	}
	return gitops.Errorf(gitops.Unavailable, "GitHub's API failed (%s)", doing).WithCause(&refusal{said})
}

// refusal is GitHub's no to what it understood.
type refusal struct{ said string }

func (r *refusal) Error() string { return "GitHub says: " + r.said }
