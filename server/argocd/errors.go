package argocd

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// ErrNotCompared is in the chain of a refresh's error when Argo CD took it, and did not
// compare in time: its controller is down or far behind. What it says of the Application is
// then old.
var ErrNotCompared = errors.New("not compared")

// maxQuoted is as much as a sentence quotes of Argo CD's own words.
const maxQuoted = 300

// problem is why a request has no answer that can be used.
type problem struct {
	error *gitops.Error
	// instance: another request would have fared no better. Its error is given to whoever asks
	// next, and does not name what was asked for: that is another app's.
	instance bool
}

// stopped is the error of a request that its caller gave up.
func (c *Client) stopped(r request, cause error) *gitops.Error {
	return gitops.Errorf(gitops.Unavailable, "argocd %s was not asked to the end (%s)", c.instance, r.what).WithCause(cause)
}

func (c *Client) notCompared(r request) *problem {
	return &problem{error: gitops.Errorf(gitops.Unavailable, "argocd %s: not compared within %s (%s): does its application controller run?",
		c.instance, timeout, r.what).WithCause(ErrNotCompared)}
}

// unreachable is the problem of a request that the network ended. Its sentence has nothing
// of the cause, which has the address.
func (c *Client) unreachable(cause error) *problem {
	if outer := (*url.Error)(nil); errors.As(cause, &outer) {
		cause = outer.Err // without the address, which the sentence has in short
	}
	return &problem{gitops.Errorf(gitops.Unavailable, "argocd %s: connection failed", c.instance).WithCause(cause), true}
}

// unreadable is the problem of an answer that is not what it should be.
func (c *Client) unreadable(r request, response *http.Response, cause error) *problem {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(cause, &tooLarge) {
		return &problem{error: gitops.Errorf(gitops.TooLarge, "argocd %s: response too large: more than %d bytes (%s)", c.instance, tooLarge.Limit, r.what)}
	}
	var wrong *wrongAnswerError
	if errors.As(cause, &wrong) {
		return &problem{error: gitops.Errorf(gitops.Unavailable, "argocd %s: %s (%s)", c.instance, wrong, r.what)}
	}
	kind := response.Header.Get("Content-Type")
	if strings.HasPrefix(kind, "application/json") {
		return &problem{gitops.Errorf(gitops.Unavailable, "argocd %s: the response is cut off or malformed", c.instance).WithCause(cause), true}
	}
	return &problem{gitops.Errorf(gitops.Unavailable, "argocd %s: the response is %q instead of JSON: does url lead to Argo CD itself, past every login page?",
		c.instance, gitops.Clip(kind, 60)).WithCause(cause), true}
}

// wrongAnswerError says that an answer is well formed and not of what was asked.
type wrongAnswerError struct{ sentence string }

func (e *wrongAnswerError) Error() string { return e.sentence }

// refusal is the problem of an answer with another status than 200.
func (c *Client) refusal(r request, response *http.Response, value string) *problem {
	said, own := saidBy(response, value)
	fails := func(code gitops.Code, instance bool, sentence string) *problem {
		if said != "" {
			sentence += ": " + said
		}
		if !instance {
			sentence += " (" + r.what + ")"
		}
		e := gitops.Errorf(code, "argocd %s: %s", c.instance, sentence)
		if code == gitops.Unauthorized {
			e = e.WithCause(errors.New(c.config.TokenFile)) // for the log: who asks for an update need not know
		}
		if instance {
			e.RetryAfter = retryAfter(response.Header, time.Now())
		}
		return &problem{e, instance}
	}
	switch status := response.StatusCode; {
	case status >= 300 && status < 400:
		said = ""
		return fails(gitops.Unavailable, true, "redirects to "+placeOf(response)+", which is not followed: name in url where the API is")
	case status == http.StatusUnauthorized:
		return fails(gitops.Unauthorized, true, "the token in tokenFile is not accepted")
	case status == http.StatusTooManyRequests:
		return fails(gitops.RateLimited, true, "rate limited")
	case status >= 500:
		return fails(gitops.Unavailable, !own || !r.object, "answers with status "+strconv.Itoa(status))
	case !own:
		// A proxy or another server says so, and it knows no Applications.
		return fails(gitops.Unavailable, true, "answers with status "+strconv.Itoa(status)+" that is not from Argo CD's API")
	case status == http.StatusForbidden:
		return fails(gitops.Forbidden, false, "forbidden or not there")
	case status == http.StatusNotFound:
		return fails(gitops.NotFound, false, "not found")
	case status == http.StatusBadRequest:
		return fails(gitops.Rejected, false, "rejected")
	}
	return fails(gitops.Unavailable, false, "answers with status "+strconv.Itoa(response.StatusCode))
}

// saidBy is what an answer says, for a sentence, and whether Argo CD's API is who says it. A
// token that it repeats is left out.
func saidBy(response *http.Response, value string) (said string, own bool) {
	var answer struct {
		Code    *int   `json:"code"`
		Message string `json:"message"`
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxSaid))
	if err != nil || json.Unmarshal(body, &answer) != nil || answer.Code == nil {
		return "", false
	}
	return gitops.Clip(strings.ReplaceAll(answer.Message, value, "[token]"), maxQuoted), true
}

// placeOf is where a redirect leads, without what may be a secret of it.
func placeOf(response *http.Response) string {
	to, err := response.Location()
	if err != nil {
		return "nowhere"
	}
	place := url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path}
	return gitops.Clip(place.String(), maxQuoted)
}

// retryAfter reads Retry-After in both its forms (RFC 9110, section 10.2.3).
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(max(0, min(seconds, int(maxRetryAfter/time.Second)))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, min(at.Sub(now), maxRetryAfter))
}
