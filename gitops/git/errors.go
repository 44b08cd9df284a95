package git

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

	"github.com/go-git/go-git/v5/plumbing/format/pktline"

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
	e := &statusError{code: r.StatusCode, words: Sanitize(string(body)), retryAfter: retryAfter(r.Header, now)}
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

// MovedError is a redirect.
type MovedError struct {
	from     *url.URL
	location string
}

func (e *MovedError) Error() string { return "the server redirects the request" }

// redirectError is a redirect that is not followed.
type redirectError struct{ to string }

func (e *redirectError) Error() string { return "the server redirects to " + e.to }

// credentialsError says that there is nothing to authenticate with.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "getting the credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// Refusal is the server's no to a push that it understood.
type Refusal struct {
	status string // of the report
	said   string // by its hooks
	Unpack bool   // it did not get as far as the branch: the pack was not taken
}

// Error has the words of both once: some hosts put the hook's into the status.
func (e *Refusal) Error() string {
	switch {
	case strings.Contains(e.status, e.said):
		return e.status
	case strings.Contains(e.said, e.status):
		return e.said
	}
	return e.status + ": " + e.said
}

// PublicError turns what went wrong with a remote into a [*gitops.Error], whose
// sentence people can act on. The cause is what the sentence does not say already.
func PublicError(err error) error {
	var known *gitops.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	var (
		status   *statusError
		redirect *redirectError
		moved    *MovedError
		secret   *credentialsError
		no       *Refusal
		untrusty *tls.CertificateVerificationError
		nameless *net.DNSError
		stranger *hostKeyError
		ended    *serviceError
	)
	switch {
	case errors.As(err, &status):
		return statusMeans(status)
	case errors.As(err, &no):
		return gitops.Errorf(gitops.Rejected, "the git server rejected the push: %s", no)
	case errors.As(err, &redirect):
		return gitops.Errorf(gitops.Unavailable, "the git server redirects to %s, where the credentials are not sent: configure its new URL", redirect.to)
	case errors.As(err, &moved):
		return gitops.Errorf(gitops.Unavailable, "the repository has moved").WithCause(err)
	case errors.As(err, &secret):
		return gitops.Errorf(gitops.Unauthorized, "the credentials for the git server cannot be read").WithCause(err)
	case errors.As(err, &stranger):
		return gitops.Errorf(gitops.Unavailable, "the SSH host key of the git server, %s, %s", stranger.fingerprint, stranger.advice()).WithCause(stranger.why)
	case errors.As(err, &ended):
		return gitops.Errorf(ended.code(), "the git server denied %s: %s", ended.service, ended.said).WithCause(ended.err)
	case errors.As(err, &untrusty):
		return gitops.Errorf(gitops.Unavailable, "the git server's certificate is not trusted here").WithCause(err)
	case errors.As(err, &nameless):
		return gitops.Errorf(gitops.Unavailable, "the git server's name cannot be resolved").WithCause(err)
	case errors.Is(err, errTooMuch):
		return gitops.Errorf(gitops.TooLarge, "the git server's response is too large").WithCause(err)
	case errors.Is(err, context.DeadlineExceeded):
		return gitops.Errorf(gitops.Unavailable, "the git server did not answer in time").WithCause(err)
	}
	return gitops.Errorf(gitops.Unavailable, "the connection to the git server failed").WithCause(err)
}

func statusMeans(e *statusError) error {
	answer := func(code gitops.Code, sentence string) error {
		err := gitops.Errorf(code, "%s", sentence).WithCause(e)
		err.RetryAfter = e.retryAfter
		return err
	}
	switch {
	case e.limited:
		return answer(gitops.RateLimited, "the git server's rate limit is reached")
	case e.code == http.StatusUnauthorized:
		return answer(gitops.Unauthorized, "the git server does not accept the credentials")
	case e.code == http.StatusForbidden:
		return answer(gitops.Forbidden, "the credentials may not write to the repository")
	case e.code == http.StatusNotFound:
		return answer(gitops.NotFound, "the repository does not exist, or the credentials may not see it")
	case e.code == http.StatusRequestEntityTooLarge:
		return answer(gitops.TooLarge, "the push is too large for the git server")
	}
	return answer(gitops.Unavailable, fmt.Sprintf("the git server answers with status %d", e.code))
}

// RejectedBeforeGit reports whether the server turned the request away before git
// saw it, so that nothing needs to be looked at afterwards.
func RejectedBeforeGit(err error) bool {
	var status *statusError
	var secret *credentialsError
	var stranger *hostKeyError
	var ended *serviceError
	var open *openError
	return errors.As(err, &open) || errors.As(err, &secret) || errors.As(err, &stranger) || errors.As(err, &ended) || errors.As(err, &status) && status.code >= 400 && status.code < 500
}

// ResultKnown reports whether git said what became of a push, or was never sent it.
// Otherwise it may have taken it, or do so yet: what turned it away with a status
// may be a proxy that had passed it on.
func ResultKnown(err error) bool {
	var no *Refusal
	var behind *BehindError
	var status *statusError
	var open *openError
	return errors.As(err, &no) || errors.As(err, &behind) || errors.As(err, &open) || RejectedBeforeGit(err) && !errors.As(err, &status)
}

// Sanitize makes a server's words fit to be shown: one line of printable text, and
// not too long.
func Sanitize(text string) string {
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

// UnknownToServer reports whether the server says that it does not have, or does
// not give, what a fetch asked for. Over SSH it gives nothing but the tips of
// branches as they are at that moment.
func UnknownToServer(err error) bool {
	var said *pktline.ErrorLine
	return errors.As(err, &said)
}
