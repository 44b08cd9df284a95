package registry

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What a registry is asked for. Each is a metric's label.
const (
	opHead      = "manifest_head" // is a manifest there, and what is its digest
	opManifest  = "manifest"
	opBlob      = "blob" // an image's configuration, a signature
	opTags      = "tags"
	opReferrers = "referrers"
	opToken     = "token"
)

// Operations lists every operation that a [Recorder] is given.
func Operations() []string {
	return []string{opHead, opManifest, opBlob, opTags, opReferrers, opToken}
}

// exchange is one request with its redirects and its repetition with a token. It belongs to the
// goroutine that asks.
type exchange struct {
	operation string

	mu         sync.Mutex    // the transport may still be at a request that was given up
	status     int           // of the latest answer; 0 where there was none
	retryAfter time.Duration // that the latest answer asked for
	token      string        // the latest that was sent; "" for none
	cached     bool          // it was not fetched for this exchange
}

type exchangeKey struct{}

func withExchange(ctx context.Context, operation string) (context.Context, *exchange) {
	x := &exchange{operation: operation}
	return context.WithValue(ctx, exchangeKey{}, x), x
}

func exchangeOf(ctx context.Context) *exchange {
	return ctx.Value(exchangeKey{}).(*exchange)
}

// answered notes an answer, or with nil that there was none.
func (x *exchange) answered(response *http.Response, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.status, x.retryAfter = 0, 0
	if response != nil {
		x.status = response.StatusCode
		x.retryAfter = retryAfter(response.Header.Get("Retry-After"), now)
	}
}

func (x *exchange) last() (status int, retryAfter time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.status, x.retryAfter
}

func (x *exchange) sends(token string, cached bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.token, x.cached = token, cached
}

func (x *exchange) sent() (token string, cached bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.token, x.cached
}

// longestRetryAfter bounds what a registry may ask for.
const longestRetryAfter = 24 * time.Hour

// retryAfter reads the header (RFC 9110, section 10.2.3): seconds, or a date.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if seconds, err := strconv.ParseUint(header, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(longestRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, min(at.Sub(now), longestRetryAfter))
	}
	return 0
}

// meter counts requests, reads when to come again, and bounds answers and their time.
type meter struct {
	host *host
	next http.RoundTripper
}

func (m *meter) RoundTrip(request *http.Request) (*http.Response, error) {
	x := exchangeOf(request.Context())
	ctx, cancel := context.WithTimeout(request.Context(), m.host.config.Timeout)
	began := time.Now()
	response, err := m.next.RoundTrip(request.WithContext(ctx))
	code := ""
	if err != nil {
		cancel()
		x.answered(nil, time.Time{})
		code = failureOf(err)
	} else {
		x.answered(response, m.host.config.Now())
		if _, err := request.URL.Parse(response.Header.Get("Location")); err != nil {
			response.Header.Del("Location") // what follows it would show it in an error, and it may be signed
		}
		code = strconv.Itoa(response.StatusCode)
		of, shared := ctx.Value(readingKey{}).(*reading)
		if !shared {
			of = &reading{large: m.host.shared.large}
		}
		body := http.MaxBytesReader(nil, response.Body, mostOf(x.operation))
		response.Body = &boundedBody{ReadCloser: body, ctx: ctx, cancel: cancel, host: m.host, operation: x.operation, of: of, own: !shared}
	}
	m.host.config.Recorder.Request(m.host.name, x.operation, code, time.Since(began))
	return response, err
}

// mostOf is the most that an operation's answer may have.
func mostOf(operation string) int64 {
	if operation == opTags {
		return maxTagPage
	}
	return maxManifest
}
