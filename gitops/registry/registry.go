// Package registry asks container registries for images, by the OCI distribution
// specification (v1.1): whether a tag is there, what it names, and which tags there are. It
// only reads.
//
// It does not retry, and waits for nothing: whoever asks decides when to ask again. What it
// learns of a host, and the tokens that it is given, are kept in memory.
package registry

import (
	"context"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/image"
)

// Host is a registry that needs more than its name.
type Host struct {
	Name             string // as image names have it, with a port where they have one
	DockerConfigFile string // read at each use; "" is anonymous
	CAFile           string // certificates in PEM that its own may be signed by, beside the system's; "" for none
}

// ECR is Amazon ECR's own API, beside the one of the distribution specification. Safe for
// concurrent use.
type ECR interface {
	// Credentials returns user and password for a host. With renew the ones of before were
	// rejected.
	Credentials(ctx context.Context, host string, renew bool) (user, password string, err error)
	// Presence tells an image in the archive from one that is not there.
	Presence(ctx context.Context, host, repository, tag string) (image.Presence, error)
	// Signed says why ECR's managed signing has not signed an image; "" where it has. Pending:
	// it is still doing it.
	Signed(ctx context.Context, host, repository, digest string) (why string, pending bool, err error)
}

// Recorder counts requests. Host is a registry's, also for requests to its token server and
// its storage; operation is one of [Operations], code an HTTP status or one of [Failures].
type Recorder interface {
	Request(host, operation, code string, took time.Duration)
}

// Config is what a [Client] needs. All of it may be left out.
type Config struct {
	Hosts    []Host
	ECR      ECR      // nil: hosts of ECR are asked without credentials
	Recorder Recorder //
	// Verify says why none of the signatures is the key's of the digest; "" where one is.
	Verify func(key *image.Key, digest string, signatures []image.Signature) (unsigned string)
	Logger *slog.Logger
	Now    func() time.Time
}

// Client asks registries. Safe for concurrent use.
type Client struct{ config Config }

// New returns a client. It sends nothing, and reads no file.
func New(c Config) *Client { return &Client{config: c} }

// Host returns the host that is asked about an image: docker.io is answered for by another.
func (c *Client) Host(repository string) string { return "" }

// Look asks for a tag.
func (c *Client) Look(ctx context.Context, q image.Question) (image.Answer, error) {
	return image.Answer{}, nil
}

// Tags calls each with every page of a repository's tags.
func (c *Client) Tags(ctx context.Context, repository string, each func(page []string) error) error {
	return nil
}

// Close closes the connections that are kept.
func (c *Client) Close() {}
