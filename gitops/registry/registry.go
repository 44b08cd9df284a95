// Package registry asks container registries for images, by the OCI distribution
// specification (v1.1): whether a tag is there, what it names, and which tags there are. It
// only reads.
//
// It does not retry: the caller decides when to ask again. What it learns of a host, and the
// tokens that it is given, are kept in memory.
package registry

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/image"
)

// Host is a registry that needs more than its name.
type Host struct {
	Name             string // as image names have it, with a port where they have one
	DockerConfigFile string // read for each token; "" is anonymous
	CAFile           string // certificates in PEM that are trusted besides the system's, read once; "" for none
}

// ECR is Amazon ECR's own API, beside the one of the distribution specification. Safe for
// concurrent use.
type ECR interface {
	// Credentials returns user and password for a host. With renew the registry rejected the
	// ones of before.
	Credentials(ctx context.Context, host string, renew bool) (user, password string, err error)
	// Presence tells an image in the archive from one that is not there.
	Presence(ctx context.Context, host, repository, tag string) (image.Presence, error)
	// Signed says why ECR's managed signing has not signed an image; "" where it has. pending:
	// ECR is still signing it.
	Signed(ctx context.Context, host, repository, digest string) (why string, pending bool, err error)
}

// Recorder counts requests. Host is a registry's, also for requests to its token server and
// its storage; operation is one of [Operations], and code an HTTP status or one of
// [Failures]. Safe for concurrent use.
type Recorder interface {
	Request(host, operation, code string, took time.Duration)
}

// Config is what a [Client] needs. All of it may be left out.
type Config struct {
	Hosts    []Host
	ECR      ECR      // nil: hosts of ECR are asked without credentials
	Recorder Recorder // nil counts nothing
	// Verify says why none of the signatures is the key's of the digest; "" where one is.
	// Pending: none of them is a signature of an image, so that one may still come. Nil:
	// nothing counts as signed.
	Verify func(key *image.Key, digest string, signatures []image.Signature) (unsigned string, pending bool)
	Logger *slog.Logger // nil logs nothing
	Now    func() time.Time
	// Dial connects in place of the system's, as tests do.
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Timeout time.Duration // of one request with its answer; 0 is 10 s
}

// Client asks registries. Safe for concurrent use.
type Client struct {
	config   Config
	signed   verified
	archived asked
	shared   *shared
	mostTags int // that are listed of a repository

	mu    sync.Mutex
	hosts map[string]*host // by name
}

// New returns a client. It sends nothing, and reads no file.
func New(c Config) *Client {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Verify == nil {
		c.Verify = func(_ *image.Key, _ string, all []image.Signature) (string, bool) {
			return "signatures are not verified here", len(all) == 0
		}
	}
	if c.Recorder == nil {
		c.Recorder = noRecorder{}
	}
	return &Client{config: c, shared: &shared{large: make(chan struct{}, 1)}, mostTags: maxListed, hosts: make(map[string]*host)}
}

// Host returns the host of an image's name: what is configured, counted and backed off from
// together. All names of Docker Hub are docker.io. It is "" for a name without a host.
func (c *Client) Host(repository string) string {
	name, err := parseName(repository)
	if err != nil {
		return ""
	}
	return name.host
}

// repository returns one that can be asked.
func (c *Client) repository(name string) (*repository, error) {
	parsed, err := parseName(name)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[parsed.host]
	if h == nil {
		h = newHost(parsed.host, &c.config, c.shared)
		c.hosts[parsed.host] = h
	}
	return &repository{host: h, path: parsed.path}, nil
}

// shared is what all hosts of a client have together.
type shared struct {
	large  chan struct{} // see reading
	closed atomic.Bool   // no connection is kept any more
}

// Close closes the connections that are kept. Questions that are asked now end by their own, and
// keep none.
func (c *Client) Close() {
	c.shared.closed.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.hosts {
		h.closeIdle()
	}
}

type noRecorder struct{}

func (noRecorder) Request(string, string, string, time.Duration) {}
