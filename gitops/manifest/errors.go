package manifest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tallyman-dev/tallyman/gitops"
)

// statusError is an HTTP status other than 200.
type statusError struct {
	code       int
	retryAfter time.Duration
	limited    bool   // the server says that we asked too often
	words      string // the beginning of the body, for the log
}

func (e *statusError) Error() string {
	if e.words == "" {
		return fmt.Sprintf("HTTP status %d", e.code)
	}
	return fmt.Sprintf("HTTP status %d: %s", e.code, e.words)
}

func newStatusError(r *http.Response, body []byte, now time.Time) *statusError {
	e := &statusError{code: r.StatusCode, words: words(string(body)), retryAfter: retryAfter(r.Header, now)}
	// GitHub answers 403 as well as 429 to who asks too often, and says so in
	// these headers ("Rate limits for the REST API" in its documentation).
	e.limited = r.StatusCode == http.StatusTooManyRequests ||
		r.StatusCode == http.StatusForbidden && (e.retryAfter > 0 || r.Header.Get("X-Ratelimit-Remaining") == "0")
	return e
}

// longestRetryAfter bounds what a server may ask for: one wrong header must not
// stop every environment for a day.
const longestRetryAfter = time.Hour

// retryAfter reads Retry-After in both its forms (RFC 9110, section 10.2.3), and
// GitHub's X-Ratelimit-Reset where the limit is used up.
func retryAfter(h http.Header, now time.Time) time.Duration {
	var wait time.Duration
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		wait = time.Duration(min(seconds, int(longestRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	} else if reset, err := strconv.ParseInt(h.Get("X-Ratelimit-Reset"), 10, 64); err == nil && h.Get("X-Ratelimit-Remaining") == "0" {
		wait = time.Unix(reset, 0).Sub(now)
	}
	return min(max(wait, 0), longestRetryAfter)
}

// movedError is a redirect.
type movedError struct {
	from     *url.URL
	location string
}

func (e *movedError) Error() string { return "the server redirects the request" }

// redirectError is a redirect that is not followed.
type redirectError struct{ to string }

func (e *redirectError) Error() string { return "the server redirects to " + e.to }

// credentialsError says that there is nothing to authenticate with.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "getting the credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// refusal is the server's no to a push that it understood.
type refusal struct {
	status string // of the report
	said   string // by its hooks
	unpack bool   // it did not get as far as the branch: the pack was not taken
}

// Error has the words of both once: some hosts put the hook's into the status.
func (e *refusal) Error() string {
	switch {
	case strings.Contains(e.status, e.said):
		return e.status
	case strings.Contains(e.said, e.status):
		return e.said
	}
	return e.status + ": " + e.said
}

// remoteError turns what went wrong with the remote into the error that the
// caller of a Writer gets. The cause is what the sentence does not say already.
func remoteError(err error) error {
	var known *gitops.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	var (
		status   *statusError
		redirect *redirectError
		moved    *movedError
		secret   *credentialsError
		no       *refusal
		untrusty *tls.CertificateVerificationError
		nameless *net.DNSError
		stranger *hostKeyError
		ended    *serviceError
	)
	switch {
	case errors.As(err, &status):
		return statusMeans(status)
	case errors.As(err, &no):
		return gitops.Errorf(gitops.Rejected, "the manifest repository's server refused the push: %s", no)
	case errors.As(err, &redirect):
		return gitops.Errorf(gitops.Unavailable, "the manifest repository's server redirects to %s, where the credentials are not sent: configure its new URL", redirect.to)
	case errors.As(err, &moved):
		return gitops.Errorf(gitops.Unavailable, "the manifest repository has moved").WithCause(err)
	case errors.As(err, &secret):
		return gitops.Errorf(gitops.Unauthorized, "the credentials for the manifest repository cannot be read").WithCause(err)
	case errors.As(err, &stranger):
		return gitops.Errorf(gitops.Unavailable, "the SSH host key of the manifest repository's server, %s, %s", stranger.fingerprint, stranger.advice()).WithCause(stranger.why)
	case errors.As(err, &ended):
		return gitops.Errorf(ended.code(), "the manifest repository's server does not let %s at it: %s", ended.service, ended.said).WithCause(ended.err)
	case errors.As(err, &untrusty):
		return gitops.Errorf(gitops.Unavailable, "the certificate of the manifest repository's server is not trusted here").WithCause(err)
	case errors.As(err, &nameless):
		return gitops.Errorf(gitops.Unavailable, "the name of the manifest repository's server cannot be resolved").WithCause(err)
	case errors.Is(err, errTooMuch):
		return gitops.Errorf(gitops.TooLarge, "the manifest repository's server sent more than is taken from it").WithCause(err)
	case errors.Is(err, context.DeadlineExceeded):
		return gitops.Errorf(gitops.Unavailable, "the manifest repository's server did not answer in time").WithCause(err)
	}
	return gitops.Errorf(gitops.Unavailable, "the manifest repository's server cannot be talked to").WithCause(err)
}

func statusMeans(e *statusError) error {
	answer := func(code gitops.Code, sentence string) error {
		err := gitops.Errorf(code, "%s", sentence).WithCause(e)
		err.RetryAfter = e.retryAfter
		return err
	}
	switch {
	case e.limited:
		return answer(gitops.RateLimited, "the manifest repository's server asks to be asked less often")
	case e.code == http.StatusUnauthorized:
		return answer(gitops.Unauthorized, "the manifest repository's server does not accept the credentials")
	case e.code == http.StatusForbidden:
		return answer(gitops.Forbidden, "the credentials may not write to the manifest repository")
	case e.code == http.StatusNotFound:
		return answer(gitops.NotFound, "the manifest repository does not exist, or the credentials may not see it")
	case e.code == http.StatusRequestEntityTooLarge:
		return answer(gitops.TooLarge, "the manifest repository's server finds the push too large")
	}
	return answer(gitops.Unavailable, fmt.Sprintf("the manifest repository's server answers with status %d", e.code))
}

// refusedOutright reports whether the server turned the request away before git
// saw it, so that nothing needs to be looked at afterwards.
func refusedOutright(err error) bool {
	var status *statusError
	var secret *credentialsError
	var stranger *hostKeyError
	var ended *serviceError
	return errors.As(err, &secret) || errors.As(err, &stranger) || errors.As(err, &ended) || errors.As(err, &status) && status.code >= 400 && status.code < 500
}

// answered reports whether git said what became of a push, or was never sent it.
// Otherwise it may have taken it, or do so yet: what turned it away with a status
// may be a proxy that had passed it on.
func answered(err error) bool {
	var no *refusal
	var behind *behindError
	var status *statusError
	return errors.As(err, &no) || errors.As(err, &behind) || refusedOutright(err) && !errors.As(err, &status)
}

// words makes a server's words fit to be shown: one line of printable text, and
// not too long.
func words(text string) string {
	var b strings.Builder
	for _, field := range strings.FieldsFunc(strings.ToValidUTF8(text, "?"), notShown) {
		if b.Len()+len(field) >= maxWordsBytes {
			b.WriteString(" ...")
			break
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(field)
	}
	return b.String()
}

func notShown(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }
