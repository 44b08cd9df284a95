package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// The services of git's smart HTTP protocol (gitprotocol-http(5)).
const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
)

// remote speaks git's smart HTTP protocol, version 0, with one repository. It
// belongs to the actor.
//
// Every answer is read to its end or to its cap and then closed, whatever it
// says: an answer left open costs its connection, and with it a new TLS
// handshake for the next push.
type remote struct {
	configured  *url.URL
	at          *url.URL // where redirects have led
	credentials Credentials
	client      *http.Client
	timeouts    Timeouts
	now         func() time.Time
	draining    sync.WaitGroup
}

func newRemote(at *url.URL, c Config) *remote {
	transport := c.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: c.Timeouts.Connect, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout: c.Timeouts.Connect,
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 2,
			IdleConnTimeout:     5 * time.Minute,
			// A connection that died unnoticed must not cost a push its whole time.
			HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		}
	}
	return &remote{
		configured: at, at: at, credentials: c.Credentials, timeouts: c.Timeouts, now: c.Now,
		client: &http.Client{
			Transport: transport,
			// Redirects are followed here, not by net/http: it would send credentials
			// to any subdomain.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// close frees the connections. It waits for answers that are still being read,
// which end with their request's time at the latest.
func (r *remote) close() {
	r.draining.Wait()
	r.client.CloseIdleConnections()
}

// maxRedirects is how many redirects in a row are followed.
const maxRedirects = 5

// refs asks what the repository has, as one of the two services sees it. Being
// answered for receive-pack proves the right to push. A redirect within the same
// host is followed and remembered: that is how hosts answer for a repository
// that was renamed.
func (r *remote) refs(ctx context.Context, service, branch string) (advertisement, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeouts.Refs)
	defer cancel()
	for range maxRedirects {
		answer, err := r.send(ctx, http.MethodGet, "/info/refs?service="+service, "", nil, maxRefsBytes)
		var moved *movedError
		if errors.As(err, &moved) {
			if err := r.follow(moved); err != nil {
				return advertisement{}, err
			}
			continue
		}
		if err != nil {
			var status *statusError
			if errors.As(err, &status) && status.code == http.StatusNotFound {
				r.at = r.configured // what a redirect led to is gone: begin where we were told to
			}
			return advertisement{}, err
		}
		return parseAdvertisement(answer, service, branch)
	}
	return advertisement{}, errors.New("the server redirects without end")
}

// follow moves to where the server says the repository is.
func (r *remote) follow(moved *movedError) error {
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

func (r *remote) send(ctx context.Context, method, path, service string, body []byte, limit int64) ([]byte, error) {
	response, err := r.open(ctx, method, path, service, body)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return readCapped(response.Body, limit)
}

// open sends a request and returns the answer with its body still to be read and
// closed, if the status is 200. Every other status is an error.
func (r *remote) open(ctx context.Context, method, path, service string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, r.at.String()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", agent)
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-"+service+"-request")
		request.Header.Set("Accept", "application/x-"+service+"-result")
	}
	if r.credentials != nil {
		user, password, err := r.credentials.Basic(ctx)
		if err != nil {
			return nil, &credentialsError{err}
		}
		request.SetBasicAuth(user, password)
	}
	response, err := r.client.Do(request)
	if err != nil {
		return nil, withoutURL(err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	said, _ := readCapped(response.Body, maxReportBytes) // what could be read of it is enough
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		return nil, &movedError{request.URL, response.Header.Get("Location")}
	}
	return nil, newStatusError(response, said, r.now())
}

// drain reads what is left of an answer and closes it, in the background: what a
// server's post-receive hook has to say is nobody's to wait for, but an answer
// that was not read to its end would cost the connection.
func (r *remote) drain(body io.ReadCloser, cancel context.CancelFunc) {
	r.draining.Go(func() {
		defer cancel()
		defer body.Close()
		_, _ = io.Copy(io.Discard, io.LimitReader(body, maxReportBytes)) // a connection that breaks now is only not used again
	})
}

// readCapped reads to the end, so that the connection can be used again.
func readCapped(body io.Reader, limit int64) ([]byte, error) {
	answer, err := io.ReadAll(io.LimitReader(body, limit+1))
	switch {
	case err != nil:
		return answer, fmt.Errorf("reading the server's answer: %w", err)
	case int64(len(answer)) > limit:
		return nil, errTooMuch
	}
	return answer, nil
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

// agent is how we introduce ourselves, in HTTP and in git's protocol.
const agent = "tallyman"
