package githubapp

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/tallyman-dev/tallyman/gitops"
)

// APIError turns what go-github says into what a caller is told: a [*gitops.Error] with a
// code, how long GitHub asks to wait, and the permission that is missing. It is nil for nil.
// doing says what was being done, as in "opening the pull request".
func APIError(doing string, err error) error {
	var (
		known   *gitops.Error
		key     *keyError
		limited *github.RateLimitError
		abuse   *github.AbuseRateLimitError
		refused *github.ErrorResponse
	)
	code, sentence, wait := gitops.Unavailable, "the connection to GitHub's API failed", time.Duration(0)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &key):
		code, sentence = gitops.Unauthorized, "the GitHub App's private key cannot be used"
	case errors.As(err, &limited):
		code, sentence, wait = gitops.RateLimited, "GitHub's API is rate limited", time.Until(limited.Rate.Reset.Time)
	case errors.As(err, &abuse):
		code, sentence, wait = gitops.RateLimited, "GitHub's API is rate limited", abuse.GetRetryAfter()
	case errors.As(err, &refused):
		if permissions := lacked(refused); permissions != "" {
			return Lacks(doing, permissions).WithCause(err)
		}
		code, sentence = refusalMeans(refused.Response.StatusCode)
		if asked, ok := askedToWait(refused.Response); ok {
			code, sentence, wait = gitops.RateLimited, "GitHub's API is rate limited", asked
		}
	case errors.Is(err, context.DeadlineExceeded):
		sentence = "GitHub's API did not answer in time"
	}
	e := gitops.Errorf(code, "%s", sentence+whileDoing(doing)).WithCause(err)
	e.RetryAfter = max(0, min(wait, time.Hour))
	return e
}

func whileDoing(doing string) string {
	if doing == "" {
		return ""
	}
	return " (" + doing + ")"
}

// Lacks says that the App may not do something for want of permissions, such as
// "Pull requests: write", and how it gets them.
func Lacks(doing, permissions string) *gitops.Error {
	return gitops.Errorf(gitops.Forbidden, "the GitHub App may not do this%s: it lacks the permission %s. Give it that in the App's settings, "+
		"and let an owner of the repository approve it: Settings, GitHub Apps, Review request", whileDoing(doing), permissions)
}

// lacked are the permissions that GitHub wants for a call and that the App does not have,
// "" where that is not why it refuses. Of alternatives, which are behind semicolons, one for
// pull requests is meant.
func lacked(refused *github.ErrorResponse) string {
	if refused.Response.StatusCode != http.StatusForbidden || !strings.Contains(refused.Message, "not accessible by integration") {
		return ""
	}
	alternatives := strings.Split(refused.Response.Header.Get("X-Accepted-GitHub-Permissions"), ";")
	meant := alternatives[0]
	for _, a := range alternatives {
		if strings.Contains(a, "pull_requests") {
			meant = a
			break
		}
	}
	var names []string
	for permission := range strings.SplitSeq(meant, ",") {
		name, access, ok := strings.Cut(strings.TrimSpace(permission), "=")
		if !ok || name == "" {
			continue
		}
		name = strings.ReplaceAll(name, "_", " ")
		names = append(names, gitops.Clip(strings.ToUpper(name[:1])+name[1:]+": "+access, 60))
	}
	if len(names) == 0 {
		return "that this takes"
	}
	return strings.Join(names, " and ")
}

// askedToWait reads the limits that go-github does not see: those with status 429, and with
// documentation other than that of github.com.
func askedToWait(response *http.Response) (time.Duration, bool) {
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	switch status := response.StatusCode; {
	case status != http.StatusTooManyRequests && status != http.StatusForbidden:
		return 0, false
	case err == nil:
		return time.Duration(seconds) * time.Second, true
	case status == http.StatusForbidden:
		return 0, false
	}
	reset, err := strconv.ParseInt(response.Header.Get("X-Ratelimit-Reset"), 10, 64)
	if err != nil {
		return 0, true
	}
	return time.Until(time.Unix(reset, 0)), true
}

func refusalMeans(status int) (gitops.Code, string) {
	switch status {
	case http.StatusUnauthorized:
		return gitops.Unauthorized, "GitHub does not accept the App's credentials: is the key this App's, and this machine's clock right?"
	case http.StatusForbidden:
		return gitops.Forbidden, "GitHub does not let the App do this: is its installation suspended, or a permission missing?"
	case http.StatusNotFound, http.StatusUnprocessableEntity:
		return gitops.NotFound, "GitHub does not know what it was asked for: is the App installed on the manifest repository?"
	}
	return gitops.Unavailable, "GitHub's API answered with an unexpected status"
}
