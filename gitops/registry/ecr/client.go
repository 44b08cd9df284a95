// Package ecr asks the API of Amazon ECR for what its registry's own protocol does not
// tell: the password of a registry, images in the archive, when images were pushed, whether
// tags may move, and whether ECR has signed an image. It is the one door to AWS's SDK.
//
// Nothing is asked of AWS, and no credentials are looked for, before the first call.
package ecr

import (
	"context"
	"log/slog"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	sdkconfig "github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/aws"
)

// timeout is how long one call may take, with the credentials for it and its second attempt.
const timeout = 10 * time.Second

// Config is what a [Client] works with. Its zero value is one for AWS.
type Config struct {
	// Registry says which registry a host is of; nil for [aws.ParseRegistry]. A fake on
	// 127.0.0.1 has another.
	Registry func(host string) (aws.RegistryHost, error)
	// ScanEvery is the least time between two calls of scans of one registry, whichever of
	// its repositories they are of; 0 for 500 ms.
	ScanEvery time.Duration
	Recorder  Recorder // nil for none
	Logger    *slog.Logger
	Now       func() time.Time // nil for time.Now
}

// Recorder is told of every call to the API. Safe for concurrent use.
type Recorder interface {
	// Requested is called at the end of a call: the registry's host, the API's operation, and
	// its result, which is "ok" or a [gitops.Code].
	Requested(host, operation, code string, took time.Duration)
}

// Client asks ECR, each registry in its own region. Safe for concurrent use.
//
// Credentials are those of AWS's default chain: the environment's keys, a web identity (IRSA), a
// profile, a container's (EKS Pod Identity), the instance's. They are the same for every region.
type Client struct {
	config Config

	mu      sync.Mutex // guards what follows
	shared  *awssdk.Config
	regions map[endpoint]*region
	paces   map[aws.Registry]*pace
}

// endpoint is which of AWS's endpoints a host belongs to. Hosts of several accounts share it.
type endpoint struct {
	region          string
	fips, dualStack bool
}

// region is what one endpoint is asked with.
type region struct {
	api         *sdk.Client
	credentials awssdk.CredentialsProvider
	token       token
}

// New makes a client. It connects to nothing.
func New(config Config) *Client {
	if config.Registry == nil {
		config.Registry = aws.ParseRegistry
	}
	if config.ScanEvery == 0 {
		config.ScanEvery = 500 * time.Millisecond
	}
	if config.Recorder == nil {
		config.Recorder = noRecorder{}
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Client{config: config, regions: make(map[endpoint]*region), paces: make(map[aws.Registry]*pace)}
}

// Serves reports whether a host is one of ECR's private registries.
func (c *Client) Serves(host string) bool {
	_, err := c.config.Registry(host)
	return err == nil
}

// at is one registry and what it is asked with.
type at struct {
	aws.RegistryHost
	*region
	host string
}

// open finds a host's registry and makes what it is asked with. A configuration of AWS
// that cannot be read is read again by the next call.
func (c *Client) open(ctx context.Context, host string) (at, error) {
	registry, err := c.config.Registry(host)
	if err != nil {
		return at{}, gitops.Errorf(gitops.Invalid, "%s is not a host of Amazon ECR: %s", gitops.Clip(host, 300), gitops.PublicOf(err))
	}
	key := endpoint{registry.Region, registry.FIPS, registry.DualStack}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shared == nil {
		// The region is that of the role's STS where the environment names none. Each
		// registry is asked in its own.
		shared, err := sdkconfig.LoadDefaultConfig(ctx, sdkconfig.WithDefaultRegion(registry.Region), sdkconfig.WithRetryer(newRetryer))
		if err != nil {
			return at{}, gitops.Errorf(gitops.Unauthorized, "AWS's configuration cannot be used: check AWS_PROFILE and the other AWS_ variables, and the files that they name").WithCause(err)
		}
		c.shared = &shared
	}
	if c.regions[key] == nil {
		c.regions[key] = &region{api: sdk.NewFromConfig(*c.shared, key.apply), credentials: c.shared.Credentials}
	}
	return at{registry, c.regions[key], host}, nil
}

// apply has a client ask this endpoint, or the one that AWS_ENDPOINT_URL_ECR names: that one is
// as it is.
func (e endpoint) apply(o *sdk.Options) {
	o.Region = e.region
	if o.BaseEndpoint != nil {
		return
	}
	if e.fips {
		o.EndpointOptions.UseFIPSEndpoint = awssdk.FIPSEndpointStateEnabled
	}
	if e.dualStack {
		o.EndpointOptions.UseDualStackEndpoint = awssdk.DualStackEndpointStateEnabled
	}
}

// operation is a call of ECR's API. Its name is that of IAM's action, too.
type operation string

const (
	getAuthorizationToken      operation = "GetAuthorizationToken"
	describeImages             operation = "DescribeImages"
	describeRepositories       operation = "DescribeRepositories"
	describeImageSigningStatus operation = "DescribeImageSigningStatus"
)

// call does one call of the API about a repository: counted, within its time, and once more with
// new credentials where AWS says that they have expired.
func (c *Client) call(ctx context.Context, r at, op operation, repository string, do func(ctx context.Context) error) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := r.attempt(ctx, do)
	if isExpired(err) {
		if cache, ok := r.credentials.(*awssdk.CredentialsCache); ok {
			cache.Invalidate()
			err = r.attempt(ctx, do)
		}
	}
	code := "ok"
	if err != nil {
		err = explain(err, r, op, repository)
		code = string(gitops.CodeOf(err))
	}
	c.config.Recorder.Requested(r.host, string(op), code, time.Since(began))
	return err
}

// attempt asks for credentials first, so that a lack of them is told from what ECR says.
func (r at) attempt(ctx context.Context, do func(ctx context.Context) error) error {
	if _, err := r.credentials.Retrieve(ctx); err != nil {
		return &noCredentials{err}
	}
	return do(ctx)
}

type noRecorder struct{}

func (noRecorder) Requested(string, string, string, time.Duration) {}
