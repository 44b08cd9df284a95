package git

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// httpRemote speaks git's smart HTTP protocol (gitprotocol-http(5)), version 0.
//
// Every answer is read to its end or to its cap and then closed, whatever it
// says: an answer left open costs its connection, and with it a new TLS
// handshake for the next push.
type httpRemote struct {
	configured  *url.URL
	at          *url.URL // where redirects have led
	credentials Credentials
	client      *http.Client
	timeouts    Timeouts
	now         func() time.Time
	sent        []string // the secrets of the latest request
	draining    sync.WaitGroup
}

func newHTTPRemote(at *url.URL, c Config) *httpRemote {
	transport := c.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: c.Timeouts.Connect, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout: c.Timeouts.Connect,
			TLSClientConfig:     &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 2,
			IdleConnTimeout:     5 * time.Minute,
			// A connection that died unnoticed must not cost a push its whole time.
			HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		}
	}
	return &httpRemote{
		configured: at, at: at, credentials: c.Credentials, timeouts: c.Timeouts, now: c.Now,
		client: &http.Client{
			Transport: transport,
			// Redirects are followed here, not by net/http: it would send credentials
			// to any subdomain.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Close frees the connections. It waits for answers that are still being read,
// which end with their request's time at the latest.
func (r *httpRemote) Close() {
	waitBriefly(&r.draining)
	r.client.CloseIdleConnections()
}

// maxRedirects is how many redirects in a row are followed.
const maxRedirects = 5

// Refs follows a redirect within the same host, and remembers it: that is how
// hosts answer for a repository that was renamed.
func (r *httpRemote) Refs(ctx context.Context, service, branch string, below ...string) (Advertisement, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeouts.Refs)
	defer cancel()
	for range maxRedirects {
		answer, err := r.get(ctx, "/info/refs?service="+service)
		var moved *MovedError
		if errors.As(err, &moved) {
			if err := r.follow(moved); err != nil {
				return Advertisement{}, err
			}
			continue
		}
		if err != nil {
			var status *statusError
			if errors.As(err, &status) && status.code == http.StatusNotFound {
				r.at = r.configured // what a redirect led to is gone: begin where we were told to
			}
			return Advertisement{}, err
		}
		return parseInfoRefs(answer, service, branch, below)
	}
	return Advertisement{}, errors.New("the server redirects without end")
}

func (r *httpRemote) Fetch(ctx context.Context, w FetchRequest, held Source) (map[Hash]Object, error) {
	body, err := w.request()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeouts.Fetch)
	defer cancel()
	response, err := r.open(ctx, http.MethodPost, "/"+UploadPack, UploadPack, body)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return w.read(ctx, response.Body, held)
}

// Push is one POST, without asking for the refs first: the server compares the
// old tip with what it has.
func (r *httpRemote) Push(ctx context.Context, u PushRequest) error {
	body, err := u.request()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeouts.Push)
	response, err := r.open(ctx, http.MethodPost, "/"+ReceivePack, ReceivePack, body)
	if err != nil {
		cancel()
		return err
	}
	defer r.drain(response.Body, cancel)
	err = u.readReport(response.Body)
	var no *Refusal
	if errors.As(err, &no) {
		return no.without(r.sent)
	}
	return err
}

// follow moves to where the server says the repository is.
func (r *httpRemote) follow(moved *MovedError) error {
	to, err := moved.from.Parse(moved.location)
	if err != nil {
		return errors.New("the server redirects to what is no URL")
	}
	path, ok := strings.CutSuffix(to.Path, "/info/refs")
	upgrade := r.at.Scheme == "http" && to.Scheme == "https" && r.at.Hostname() == to.Hostname()
	if !ok || to.User != nil || !upgrade && (to.Scheme != r.at.Scheme || to.Host != r.at.Host) {
		return &redirectError{to.Scheme + "://" + to.Host}
	}
	r.at = &url.URL{Scheme: to.Scheme, Host: to.Host, Path: path}
	return nil
}

func (r *httpRemote) get(ctx context.Context, path string) ([]byte, error) {
	response, err := r.open(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return readCapped(response.Body, maxRefsBytes)
}

// open sends a request and returns the answer with its body still to be read and
// closed, if the status is 200. Every other status is an error.
func (r *httpRemote) open(ctx context.Context, method, path, service string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, r.at.String()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", agent)
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-"+service+"-request")
		request.Header.Set("Accept", "application/x-"+service+"-result")
	}
	var password string
	r.sent = nil
	if r.credentials != nil {
		var user string
		if user, password, err = r.credentials.Basic(ctx); err != nil {
			return nil, &credentialsError{err}
		}
		request.SetBasicAuth(user, password)
		if password != "" {
			r.sent = []string{strings.TrimPrefix(request.Header.Get("Authorization"), "Basic "), password}
		}
	}
	response, err := r.client.Do(request)
	if err != nil {
		return nil, withoutURL(err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	if told, ok := r.credentials.(Invalidator); ok && response.StatusCode == http.StatusUnauthorized {
		told.Invalidate(password)
	}
	said, _ := readCapped(response.Body, maxReportBytes) // what could be read of it is enough
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		return nil, &MovedError{request.URL, response.Header.Get("Location")}
	}
	return nil, newStatusError(response, said, r.sent, r.now())
}

// drain reads what is left of an answer and closes it, in the background: what a
// server's post-receive hook has to say is not waited for, but an answer
// that was not read to its end would cost the connection.
func (r *httpRemote) drain(body io.ReadCloser, cancel context.CancelFunc) {
	r.draining.Go(func() {
		defer cancel()
		defer body.Close()
		_, _ = io.Copy(io.Discard, io.LimitReader(body, maxReportBytes)) // a connection that breaks now is only not used again
	})
}

// withoutURL drops the URL that net/http puts before each error: paths of
// private repositories are not for logs that many read.
func withoutURL(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}
