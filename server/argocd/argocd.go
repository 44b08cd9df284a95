// Package argocd asks Argo CD where Applications stand, over its REST API, with a token that
// may get Applications and no more: it reads, and has Argo CD look at git again.
//
// # What it asks of an instance
//
// At most 10 requests begin within any second and at most 5 refreshes run at once, whoever
// asks: each request is a live read of the Kubernetes API behind Argo CD, which has a limit
// of its own. Two who want the same Application refreshed at the same time have one
// refresh. After an answer that says that the instance cannot be asked (the network, 429,
// 5xx, a rejected token), nothing is sent for a while, and then one request tries it.
//
// Of Argo CD's answers 404 alone says that an Application is not there, and only with a
// project that the token may get in: 403 is for what is forbidden and for what is not there.
//
// Facts: measured on Argo CD 3.4.7; the field list of lists is closed in its source
// (pkg/apiclient/application/forwarder_overwrite.go).
package argocd

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Config says which Argo CD to ask, and how.
type Config struct {
	// URL is where people and API find it, as in https://argocd.myshop.example; it may have a
	// path. Plain http is refused but for a loopback address. Required.
	URL string

	// TokenFile holds the token, read for each request: a new one counts at once. Required.
	TokenFile string

	// RootCAs are trusted for its certificate. Default: the system's.
	RootCAs *x509.CertPool

	// Projects are the AppProjects whose Applications are looked for. Required, at least one.
	Projects []string

	// Now is the clock on the wall, for when the token expires. Pauses and pace go by the
	// process's own. Default time.Now.
	Now func() time.Time

	// Beside is a client of the same instance, if there is one: both together keep its limits.
	// A role's token is of one project, so an instance may have several.
	Beside *Client

	Logger   *slog.Logger      // default: nothing is logged
	Recorder Recorder          // default: nothing is counted
	Via      http.RoundTripper // sends the requests; default: over the network
}

// Recorder counts what is asked. Its methods return at once, and are safe for concurrent use.
type Recorder interface {
	// ArgoCDRequest is called after each request that was sent: result is "ok", or the code of
	// its error.
	ArgoCDRequest(instance, result string)

	// ArgoCDTokenExpires is called when a token is used for the first time. The zero time
	// says that it never expires, or that it does not say.
	ArgoCDTokenExpires(instance string, at time.Time)
}

// Client asks one Argo CD. Safe for concurrent use.
type Client struct {
	config   Config
	base     *url.URL
	instance string
	http     *http.Client
	idle     func()

	token     token
	pace      *pace
	refreshes chan struct{} // has one element for each that runs
	breaker   *breaker

	mu      sync.Mutex
	flights map[Ref]*flight // refreshes under way
}

// Most refreshes at once: each makes the instance's controller compare with git.
const maxRefreshes = 5

// New checks the configuration. It uses neither the network nor the file. Its errors are
// [gitops.Invalid] and name the field as the entries of argocd have it.
func New(c Config) (*Client, error) {
	base, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	switch {
	case c.TokenFile == "":
		return nil, gitops.FieldErrorf("tokenFile", "is missing: name the file that holds the token")
	case len(c.Projects) == 0:
		return nil, gitops.FieldErrorf("projects", "is empty: name at least one AppProject")
	case slices.Contains(c.Projects, ""):
		return nil, gitops.FieldErrorf("projects", "has an empty name")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Recorder == nil {
		c.Recorder = uncounted{}
	}
	client := &Client{
		config: c, base: base, instance: base.Host + base.Path, idle: func() {},
		pace: newPace(), refreshes: make(chan struct{}, maxRefreshes), flights: make(map[Ref]*flight),
	}
	if c.Beside != nil {
		client.pace, client.refreshes = c.Beside.pace, c.Beside.refreshes
		client.config.Beside = nil // it may end before this one
	}
	client.breaker = newBreaker(c.Logger.With(slog.String("instance", client.instance)))
	via := c.Via
	if via == nil {
		transport := newTransport(c.RootCAs)
		via, client.idle = transport, transport.CloseIdleConnections
	}
	client.http = &http.Client{Transport: via, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return client, nil
}

// parseURL reads the address of an instance.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return nil, gitops.FieldErrorf("url", "is missing, as in https://argocd.myshop.example")
	case err != nil || u.Host == "" || u.Opaque != "":
		return nil, gitops.FieldErrorf("url", "is not a URL, as in https://argocd.myshop.example") // it is not shown: it may have a password
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, gitops.FieldErrorf("url", "must have no user, no query and no fragment: the token is in tokenFile")
	case u.Scheme != "https" && (u.Scheme != "http" || !gitops.IsLoopback(u.Hostname())):
		return nil, gitops.FieldErrorf("url", "%s must begin with https://: the token is sent there (http is for loopback addresses)", text)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return u, nil
}

// newTransport honours HTTPS_PROXY and its like, and takes answers compressed.
func newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    5 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    maxRefreshes + 5,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
		// A connection that died unnoticed must not cost each request its whole time.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 3 * time.Second},
	}
}

// Instance names the Argo CD in metrics and logs: its host, and its path if it has one.
func (c *Client) Instance() string { return c.instance }

// Projects are the AppProjects whose Applications are looked for.
func (c *Client) Projects() []string { return slices.Clone(c.config.Projects) }

// Close lets go of the connections that are kept. A request that is under way goes on.
func (c *Client) Close() { c.idle() }

// uncounted is the Recorder that counts nothing.
type uncounted struct{}

func (uncounted) ArgoCDRequest(string, string)         {}
func (uncounted) ArgoCDTokenExpires(string, time.Time) {}
