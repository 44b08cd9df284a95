package github

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-github/v62/github"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// failure is what a caller is told of an error of the client's: what the App lacks and how
// long to wait come from there; a status of 422 is a rule of GitHub's, in its own words.
func failure(doing string, err error) error {
	var (
		known   *gitops.Error // of making a token, which may be refused with 422, too
		refused *github.ErrorResponse
	)
	if !errors.As(err, &known) && errors.As(err, &refused) && refused.Response.StatusCode == http.StatusUnprocessableEntity {
		words := said(err)
		e := gitops.Errorf(gitops.Rejected, "GitHub refuses it (%s): %s", doing, gitops.Clip(words, 300)).WithCause(err)
		if strings.Contains(strings.ToLower(words), "submitted too quickly") {
			e = gitops.Errorf(gitops.RateLimited, "GitHub asks for fewer pull requests at a time (%s)", doing).WithCause(err)
			e.RetryAfter = pause
		}
		return e
	}
	return githubapp.APIError(doing, err)
}

// createFailure tells the refusals that a caller acts on from the others.
func createFailure(err error) error {
	words := said(err)
	switch {
	case strings.Contains(words, "A pull request already exists"):
		return fmt.Errorf("%w: %w", proposals.ErrExists, err)
	case strings.Contains(words, "No commits between"):
		return fmt.Errorf("%w: %w", proposals.ErrNoCommits, err)
	}
	return failure("opening the pull request", err)
}

// said are GitHub's own words of a refusal: its message and, of a validation that failed,
// what is wrong with which field.
func said(err error) string {
	var refused *github.ErrorResponse
	if !errors.As(err, &refused) {
		return ""
	}
	words := []string{refused.Message}
	for _, e := range refused.Errors {
		switch {
		case e.Message != "":
			words = append(words, e.Message)
		case e.Field != "":
			words = append(words, e.Field+": "+e.Code)
		}
	}
	return strings.Join(words, "; ")
}

func statusOf(response *github.Response) int {
	if response == nil || response.Response == nil {
		return 0
	}
	return response.StatusCode
}
