package githubapp

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// newTransport honours HTTPS_PROXY and its like.
func newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		ForceAttemptHTTP2:     true,
		IdleConnTimeout:       time.Minute,
	}
}

// checkRedirect lets nothing lead to another host: the transports below it add
// their credentials to whatever they are given.
func (a *App) checkRedirect(to *http.Request, via []*http.Request) error {
	if len(via) > 5 || to.URL.Scheme != a.api.Scheme || to.URL.Host != a.api.Host {
		return errors.New("GitHub's API redirects to where the credentials are not sent")
	}
	return nil
}

// asApp authenticates as the App.
type asApp struct {
	app  *App
	next http.RoundTripper
}

func (t asApp) RoundTrip(r *http.Request) (*http.Response, error) {
	key, err := readKey(t.app.config.PrivateKeyFile)
	if err != nil {
		closeBody(r)
		return nil, &keyError{err}
	}
	token, err := signJWT(t.app.config.AppID, key, time.Now()) // not by config.Now: GitHub compares it with the world's clock
	if err != nil {
		closeBody(r)
		return nil, &keyError{err}
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return t.next.RoundTrip(r)
}

// keyError says that there is no key to sign with.
type keyError struct{ err error }

func (e *keyError) Error() string { return "the App's private key: " + e.err.Error() }
func (e *keyError) Unwrap() error { return e.err }

// readKey reads a private key of RSA in PEM. Its errors do not show what is in
// the file.
func readKey(path string) (*rsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, errors.New("cannot be read")
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("does not hold a private key in PEM")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("does not hold a private key of RSA, which is what GitHub makes")
	}
	return key, nil
}

// asInstallation authenticates as the installation.
type asInstallation struct {
	tokens *source
	next   http.RoundTripper
}

func (t asInstallation) RoundTrip(r *http.Request) (*http.Response, error) {
	value, err := t.tokens.token(r.Context())
	if err != nil {
		closeBody(r)
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+value)
	response, err := t.next.RoundTrip(r)
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		t.tokens.invalidate(value)
	}
	return response, err
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // a RoundTripper has to; nothing was sent
	}
}

// maxAnswer is the most that is read of one answer: GitHub delivers no event of
// more than 25 MB, and the API repeats it.
const maxAnswer = 32 << 20

// cappedTransport bounds answers.
type cappedTransport struct{ next http.RoundTripper }

func (t cappedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{http.MaxBytesReader(nil, response.Body, maxAnswer), response.Body}
	return response, nil
}
