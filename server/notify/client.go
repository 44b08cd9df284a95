package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Client sends messages over HTTP. It honours HTTPS_PROXY and its like, follows no redirect,
// and reads no more of an answer than it needs. Safe for concurrent use.
type Client struct{ http *http.Client }

// NewClient makes a client.
func NewClient() *Client {
	return &Client{&http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: SendTime, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    SendTime,
			ForceAttemptHTTP2:      true,
			IdleConnTimeout:        time.Minute,
			MaxIdleConnsPerHost:    1,
			MaxResponseHeaderBytes: 16 << 10,
		},
		// What is sent is for this address alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close closes the connections that nothing is sent on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// maxAnswer is as much as is read of an answer.
const maxAnswer = 4 << 10

// answer is what a receiver answered.
type answer struct {
	status     int
	body       string // the beginning
	host       string // that was asked
	location   string // the host that it leads to, of a redirect
	retryAfter time.Duration
}

// post sends a body. Its errors do not have the address, which may be a secret, nor anything
// that the receiver sent.
func (c *Client) post(ctx context.Context, address *url.URL, header http.Header, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, SendTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, gitops.Errorf(gitops.Internal, "the receiver's address cannot be used")
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("User-Agent", "tallyman")
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, unreachable(ctx, address.Host, err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer)) // the status says what counts, also where the rest is lost
	a := answer{status: response.StatusCode, body: string(text), host: address.Host, retryAfter: retryAfter(response.Header.Get("Retry-After"), time.Now())}
	if to, err := response.Location(); err == nil {
		a.location = to.Host
	}
	return a, nil
}

// unreachable says why there is no answer. Of the cause only what this machine itself says is
// kept.
func unreachable(ctx context.Context, host string, err error) error {
	var timeout interface{ Timeout() bool }
	if ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout() {
		return gitops.Errorf(gitops.Unavailable, "%s did not answer within %s", host, SendTime)
	}
	failed := gitops.Errorf(gitops.Unavailable, "the connection to %s failed", host)
	var certificate *tls.CertificateVerificationError
	var network *net.OpError
	var name *net.DNSError
	switch {
	case errors.As(err, &certificate):
		return failed.WithCause(certificate)
	case errors.As(err, &name):
		return failed.WithCause(name)
	case errors.As(err, &network):
		return failed.WithCause(network)
	}
	return failed
}

// err is what an answer means that is no success; nil for one that is.
func (a answer) err() error {
	code := gitops.Unavailable
	switch {
	case a.status/100 == 2:
		return nil
	case a.status/100 == 3:
		return gitops.Errorf(gitops.Unavailable, "%s answered %d and leads to %s: redirects are not followed. Configure the address that it leads to", a.host, a.status, orElse(a.location, "no address"))
	case a.status == http.StatusBadRequest, a.status == http.StatusRequestEntityTooLarge, a.status == http.StatusUnprocessableEntity:
		code = gitops.Rejected
	case a.status == http.StatusUnauthorized:
		code = gitops.Unauthorized
	case a.status == http.StatusForbidden:
		code = gitops.Forbidden
	case a.status == http.StatusNotFound, a.status == http.StatusGone:
		code = gitops.NotFound
	case a.status == http.StatusTooManyRequests:
		code = gitops.RateLimited
	}
	return a.errorf(code, "%s answered %d", a.host, a.status)
}

func (a answer) errorf(code gitops.Code, format string, args ...any) error {
	err := gitops.Errorf(code, format, args...)
	err.RetryAfter = a.retryAfter
	return err
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// retryAfter is what a Retry-After says: seconds, or a date. 0 where it says nothing.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(header, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
