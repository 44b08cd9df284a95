// Package ecr asks the API of Amazon ECR for what its registry's own protocol does not
// tell: the password of a registry, images in the archive, when images were pushed, whether
// tags may move, and whether ECR has signed an image. It is the one door to AWS's SDK.
//
// Nothing is asked of AWS, and no credentials are looked for, before the first call.
package ecr

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	sdkconfig "github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/aws"
)

// Config is what a [Client] works with. Its zero value is one for AWS.
type Config struct {
	// ScanEvery is the least time between two calls of scans of one registry, whichever of
	// its repositories they are of; 0 for 500 ms.
	ScanEvery time.Duration
	// Timeout is how long a call may take, with the credentials for it and its second attempt;
	// 0 for 10 s.
	Timeout  time.Duration
	HTTP     *http.Client     // nil for the SDK's own, which knows proxies and AWS_CA_BUNDLE
	Recorder Recorder         // nil counts nothing
	Logger   *slog.Logger     // nil logs nothing
	Now      func() time.Time // nil for time.Now
}

// Recorder counts calls. Host is the registry's, operation one of [Operations], and code an HTTP
// status as a registry's own protocol has it (404 for a repository that does not exist, 429
// for a throttled call, which are all 400 of ECR) or one of [Failures]. Safe for concurrent use.
type Recorder interface {
	Request(host, operation, code string, took time.Duration)
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
func New(c Config) *Client {
	if c.ScanEvery == 0 {
		c.ScanEvery = 500 * time.Millisecond
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Recorder == nil {
		c.Recorder = noRecorder{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Client{config: c, regions: make(map[endpoint]*region), paces: make(map[aws.Registry]*pace)}
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
	registry, err := aws.ParseRegistry(host)
	if err != nil {
		return at{}, gitops.Errorf(gitops.Invalid, "%s is not a host of Amazon ECR: %s", gitops.Clip(host, 300), gitops.PublicOf(err))
	}
	key := endpoint{registry.Region, registry.FIPS, registry.DualStack}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shared == nil {
		shared, err := c.load(ctx, registry.Region)
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

// load reads the environment and AWS's files. The region is that of the role's STS where they name
// none: each registry is asked in its own.
func (c *Client) load(ctx context.Context, region string) (awssdk.Config, error) {
	options := []func(*sdkconfig.LoadOptions) error{sdkconfig.WithDefaultRegion(region), sdkconfig.WithRetryer(newRetryer)}
	if c.config.HTTP != nil {
		options = append(options, sdkconfig.WithHTTPClient(c.config.HTTP))
	}
	return sdkconfig.LoadDefaultConfig(ctx, options...)
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

// attempt asks for credentials first, so that a lack of them is told from what ECR says.
func (r at) attempt(ctx context.Context, do func(ctx context.Context) error) error {
	if _, err := r.credentials.Retrieve(ctx); err != nil {
		return &noCredentials{err}
	}
	return do(ctx)
}
