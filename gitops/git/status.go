package git

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// statusError is an HTTP status other than 200.
type statusError struct {
	code       int
	retryAfter time.Duration
	limited    bool   // the server says that we asked too often
	line       string // what it says, in a line that may be shown; may be empty
}

func (e *statusError) Error() string {
	if e.line == "" || e.byUs() { // then the sentence for people has the line
		return fmt.Sprintf("HTTP status %d", e.code)
	}
	return fmt.Sprintf("HTTP status %d: %s", e.code, e.line)
}

// byUs reports whether the server finds fault with the request, and so may say what
// people can act on.
func (e *statusError) byUs() bool { return e.code >= 400 && e.code < 500 }

// newStatusError reads what a status comes with. The secrets are those that were
// sent: an answer that has them in it must not make them known.
func newStatusError(r *http.Response, body []byte, secrets []string, now time.Time) *statusError {
	e := &statusError{code: r.StatusCode, line: firstLine(hide(string(body), secrets)), retryAfter: retryAfter(r.Header, now)}
	// GitHub answers 403 as well as 429 to who asks too often, and says so in these
	// headers ("Rate limits for the REST API" in its documentation) or in words.
	e.limited = r.StatusCode == http.StatusTooManyRequests ||
		r.StatusCode == http.StatusForbidden && (e.retryAfter > 0 || r.Header.Get("X-Ratelimit-Remaining") == "0" ||
			strings.Contains(strings.ToLower(e.line), "rate limit"))
	return e
}

var (
	htmlTitle = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	htmlPage  = regexp.MustCompile(`(?i)^\s*<(!doctype|html|head|\?xml)`)
)

// firstLine is what a body says in a line: its first one, the title of a web page,
// or the message in an object.
func firstLine(body string) string {
	var object struct{ Message, Error string }
	if err := json.Unmarshal([]byte(body), &object); err == nil {
		return shorten(Sanitize(cmp.Or(object.Message, object.Error)))
	}
	if htmlPage.MatchString(body) {
		title := htmlTitle.FindStringSubmatch(body)
		if title == nil {
			return ""
		}
		return shorten(Sanitize(html.UnescapeString(title[1])))
	}
	line, _, _ := strings.Cut(strings.TrimSpace(body), "\n")
	return shorten(Sanitize(line))
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

// errorForStatus is the error for a status, with what the server says.
func errorForStatus(e *statusError) error {
	answer := func(code gitops.Code, sentence string) error {
		if e.line != "" && e.byUs() {
			sentence += ": " + e.line
		}
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
