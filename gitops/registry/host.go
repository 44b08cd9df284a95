package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/aws"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// host is one registry, and what is known of it.
type host struct {
	name   string // as image names have it
	plain  bool   // asked over HTTP
	ecr    bool   // one of ECR's, and there are AWS credentials
	files  Host   // of the configuration; empty where it has no entry
	config *Config
	shared *shared
	tokens tokens
	// headWorks: it has answered a HEAD with 200, so it knows HEAD, and its 404 to one counts.
	headWorks atomic.Bool
	fresh     freshTokens
	// archiveUnknown: ECR did not say of the latest absent image whether it is in its archive.
	// It is logged once: very many may be absent, and each is looked for again and again.
	archiveUnknown atomic.Bool

	mu        sync.Mutex
	client    *auth.Client // nil until it can be made
	transport *http.Transport
}

func newHost(name string, c *Config, all *shared) *host {
	h := &host{name: name, plain: plainHTTP(name), config: c, shared: all, fresh: freshTokens{now: c.Now}}
	if i := slices.IndexFunc(c.Hosts, func(host Host) bool { return host.Name == name }); i >= 0 {
		h.files = c.Hosts[i]
	}
	if _, err := aws.ParseRegistry(name); err == nil && c.ECR != nil {
		h.ecr = true
		h.tokens = &ecrTokens{host: h, ecr: c.ECR, turn: make(chan struct{}, 1)}
	} else {
		h.tokens = &bearerTokens{host: h, entries: make(map[string]*entry)}
	}
	return h
}

// authClient makes the client when it is first needed: its certificates are in a file.
func (h *host) authClient() (*auth.Client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.client != nil {
		return h.client, nil
	}
	roots, err := h.roots()
	if err != nil {
		return nil, gitops.Errorf(gitops.Unavailable, "registry %s is not asked: its caFile %v", h.name, err)
	}
	h.transport = h.config.newTransport(roots)
	h.client = &auth.Client{
		Client:     &http.Client{Transport: &meter{host: h, next: h.transport}, CheckRedirect: checkRedirect},
		Header:     http.Header{"User-Agent": {"tallyman"}},
		Credential: func(context.Context, string) (auth.Credential, error) { return h.credential() },
		Cache:      h.tokens,
		ClientID:   "tallyman",
	}
	return h.client, nil
}

// roots are the system's certificates and those of the configuration; nil is the system's.
func (h *host) roots() (*x509.CertPool, error) {
	if h.files.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(h.files.CAFile)
	if err != nil {
		return nil, errors.New("cannot be read")
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // there is no system's, as in an image from scratch
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("holds no certificate in PEM")
	}
	return pool, nil
}

// newTransport honours HTTPS_PROXY and its like.
func (c *Config) newTransport(roots *x509.CertPool) *http.Transport {
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dial,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 16, // the inspection asks 8 at once, and a poll one more
		IdleConnTimeout:     5 * time.Minute,
		// An image's answer is a header of some hundred bytes.
		MaxResponseHeaderBytes: 64 << 10,
		// A connection that died unnoticed must not cost each request its whole time.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
}

const maxRedirects = 5

// errRedirect is a redirect that is not followed.
var errRedirect = errors.New("the registry redirects without end, or away from TLS")

// checkRedirect bounds redirects, which storage is reached by. The auth client has taken the
// credentials off one that leads to another host.
func checkRedirect(to *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > maxRedirects || first.Scheme == "https" && to.URL.Scheme != "https" {
		return errRedirect
	}
	return nil
}

func (h *host) closeIdle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.transport != nil {
		h.transport.CloseIdleConnections()
	}
}

// url is an address in the API.
func (h *host) url(path string) string {
	u := url.URL{Scheme: "https", Host: image.Endpoint(h.name), Path: "/v2/" + path}
	if h.plain {
		u.Scheme = "http"
	}
	return u.String()
}
