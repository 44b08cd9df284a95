package git

import (
	"cmp"
	"crypto/x509"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Config says where a repository is, and how to get in.
type Config struct {
	// URL of the repository: https, http, or one of git's two forms for SSH,
	// ssh://git@host:port/path and git@host:path. It carries no password, and over
	// https no user. Plain http with Credentials is refused unless the host is this
	// machine's loopback.
	URL string

	// Credentials for every request over https; nil for a server that asks for none.
	Credentials Credentials

	// SSH is required with a URL for SSH, and has no place with another.
	SSH SSH

	// Timeouts of the single steps.
	Timeouts Timeouts

	// Now is the clock that a server's times are compared with. Default time.Now.
	Now func() time.Time

	// RootCAs are trusted for the server's certificate. Default: the system's.
	RootCAs *x509.CertPool

	// Transport carries the requests over https; it must not follow redirects itself,
	// nor add credentials to them. Default: one of net/http's that uses the
	// environment's proxy settings.
	Transport http.RoundTripper
}

// Timeouts bound the steps of a write. A zero field takes its default.
type Timeouts struct {
	Connect time.Duration // making a connection, and once more for TLS; default 10 s
	Refs    time.Duration // asking where the branch is; default 30 s
	Fetch   time.Duration // one fetch; default 2 min
	Push    time.Duration // one push, with the server's hooks; default 1 min
}

// WithDefaults fills in what was left out.
func (t Timeouts) WithDefaults() Timeouts {
	t.Connect = cmp.Or(t.Connect, 10*time.Second)
	t.Refs = cmp.Or(t.Refs, 30*time.Second)
	t.Fetch = cmp.Or(t.Fetch, 2*time.Minute)
	t.Push = cmp.Or(t.Push, time.Minute)
	return t
}

// NewRemote makes the way to the repository. It does not use the network. Its
// errors are [gitops.Invalid] and name the field.
func NewRemote(c Config) (Remote, error) {
	c.Timeouts = c.Timeouts.WithDefaults()
	if c.Now == nil {
		c.Now = time.Now
	}

	if !isSSH(c.URL) {
		at, err := c.parseHTTP()
		if err != nil {
			return nil, err
		}
		return newHTTPRemote(at, c), nil
	}
	at, err := parseSSH(c.URL)
	switch {
	case err != nil:
		return nil, err
	case c.Credentials != nil:
		return nil, gitops.FieldErrorf("credentials", "has a token, which is for a URL of https: SSH takes a key")
	case c.SSH.KeyFile == "":
		return nil, gitops.FieldErrorf("credentials.sshKeyFile", "is missing: SSH takes a key")
	case c.SSH.KnownHostsFile == "":
		return nil, gitops.FieldErrorf("credentials.knownHostsFile", "is missing: without the server's keys anybody could be the server")
	}
	return newSSHRemote(at, c), nil
}

func (c Config) parseHTTP() (*url.URL, error) {
	at, err := url.Parse(c.URL)
	switch {
	case err != nil || at.Host == "":
		return nil, errNotAddress
	case at.Scheme != "https" && at.Scheme != "http":
		return nil, gitops.FieldErrorf("url", "must begin with https:// or ssh://, or be like git@host:path")
	case at.User != nil:
		return nil, gitops.FieldErrorf("url", "must not carry a user or password: put the token in a file")
	case at.RawQuery != "" || at.Fragment != "":
		return nil, gitops.FieldErrorf("url", "must not have a query or a fragment")
	case at.Scheme == "http" && c.Credentials != nil && !gitops.IsLoopback(at.Hostname()):
		return nil, gitops.FieldErrorf("url", "must begin with https://: over http anybody on the way could read the credentials")
	}
	if c.SSH != (SSH{}) {
		return nil, gitops.FieldErrorf("credentials.sshKeyFile", "is for a URL of SSH: over https the token is in a file")
	}
	at.Path = strings.TrimSuffix(at.Path, "/")
	return at, nil
}
