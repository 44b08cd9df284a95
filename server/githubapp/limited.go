package githubapp

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How long to wait after a secondary limit that does not say.
const (
	firstWait = time.Minute
	longWait  = 16 * time.Minute
)

// limitedTransport says how long to wait where GitHub does not. Its secondary limits come
// with 403 or 429, often without Retry-After but with the moment when the primary limit's
// hour ends, although much of that is left; go-github would wait for that hour, and asks
// nothing at all meanwhile. GitHub's advice is a minute, and more each time.
//
// Facts: GitHub's documentation, "Rate limits for the REST API", "Exceeding the rate limit".
type limitedTransport struct {
	next http.RoundTripper

	mu   sync.Mutex
	wait time.Duration // after the next; 0 is firstWait
}

func (t *limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	switch limited, err := secondary(response); {
	case err != nil:
		_ = response.Body.Close() // it has failed
		return nil, err
	case limited && response.Header.Get("Retry-After") == "":
		response.Header.Set("Retry-After", strconv.Itoa(int(t.longer()/time.Second)))
	case !limited && response.StatusCode < 300 && r.Method != http.MethodGet: // it is writes that are limited
		t.mu.Lock()
		t.wait = 0
		t.mu.Unlock()
	}
	return response, nil
}

func (t *limitedTransport) longer() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := max(t.wait, firstWait)
	t.wait = min(2*now, longWait)
	return now
}

// secondary reports whether an answer is a secondary limit. It reads the answer's body and
// puts it back.
func secondary(response *http.Response) (bool, error) {
	limiting := response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusTooManyRequests
	if !limiting || response.Header.Get("X-Ratelimit-Remaining") == "0" {
		return false, nil
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return false, err
	}
	_ = response.Body.Close() // all of it is read
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response.StatusCode == http.StatusTooManyRequests || strings.Contains(strings.ToLower(string(body)), "secondary"), nil
}
