package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// Registry says how one registry is asked for images.
type Registry struct {
	// Host is the registry's host as it stands in the names of images, such as ghcr.io or
	// registry.example:5000. Hosts of ECR need no entry: they are asked with the AWS
	// credentials of the process. Required.
	Host string `yaml:"host"`
	// DockerConfigFile holds credentials as "docker login" writes them, for the host. It is
	// read again for each token; credential helpers are not executed. Default: the registry
	// is asked without credentials.
	DockerConfigFile string `yaml:"dockerConfigFile"`
	// CAFile holds certificates in PEM that are trusted besides the system's, for the host.
	// It is read when the program starts and when the configuration is reloaded.
	CAFile string `yaml:"caFile"`
}

// Image is what an environment demands of the images that it writes; {} is that they are
// there.
type Image struct {
	// Wait is how long an image is looked for that its registry does not have, as in "5m",
	// 1s to 24h; then the update fails. Default 5m.
	Wait time.Duration `yaml:"wait"`
	// Platforms are those that an image must be for, as in linux/amd64 or linux/arm/v7.
	// Default: any.
	Platforms []string `yaml:"platforms"`
	// Moved is "refuse", and a tag that names another image than before is not written
	// unless an order names the digest, or "allow", and what it names now is written.
	// Default refuse.
	Moved string `yaml:"moved" oneOf:"refuse,allow"`
	// Poll is how often the registry is asked for tags that no event told of, as in "10m",
	// 1m to 24h. Default: never.
	Poll time.Duration `yaml:"poll"`
	// SignedBy is the file of a public key in PEM; an image must have a signature of
	// cosign by it. It is read when the program starts and when the configuration is
	// reloaded. Default: no signature is needed.
	SignedBy string `yaml:"signedBy"`
	// ECRSigning demands that ECR's managed signing has signed an image. Default false.
	ECRSigning bool `yaml:"ecrSigning"`
}

// ImagesInspected reports whether some environment has images inspected.
func (c *Config) ImagesInspected() bool {
	for _, env := range c.Environments {
		if env.Image != nil {
			return true
		}
	}
	return false
}

// polls reports whether some environment has its registries polled.
func (c *Config) polls() bool {
	for _, env := range c.Environments {
		if env.Image != nil && env.Image.Poll != 0 {
			return true
		}
	}
	return false
}

// RegistryField is the field of one registry.
func RegistryField(i int) string { return fmt.Sprintf("registries[%d]", i) }

// ImageField is the field of an environment's image.
func ImageField(environment string) string { return "environments." + environment + ".image" }

// setDefaults fills in the defaults of one environment's image.
func (i *Image) setDefaults() {
	if i != nil {
		byDefault(&i.Wait, 5*time.Minute)
		byDefault(&i.Moved, "refuse")
	}
}

// longestImage bounds how long an image is waited for, and how seldom is polled.
const longestImage = 24 * time.Hour

// registryHost is a host as it stands in the names of images.
var registryHost = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:([0-9]{1,5}))?$`)

// dockerHub are names of Docker Hub that do not stand in the names of images.
var dockerHub = []string{"registry-1.docker.io", "index.docker.io", "hub.docker.com", "registry.hub.docker.com"}

// checkImages checks what environments demand of images, and the registries, by themselves.
// What needs the apps, the access rules or a file is checked by what uses it.
func (c *Config) checkImages(report reporter) {
	for i, r := range c.Registries {
		field := RegistryField(i) + ".host"
		checkRegistryHost(report, field, r.Host)
		same := func(other Registry) bool { return other.Host == r.Host }
		if first := slices.IndexFunc(c.Registries, same); first < i && r.Host != "" {
			report(field, "%s is the host of %s, too: remove one of them", gitops.Clip(r.Host, 100), RegistryField(first))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Environments)) {
		if image := c.Environments[name].Image; image != nil {
			image.check(report, ImageField(name))
		}
	}
}

// checkRegistryHost checks the form of a registry's host.
func checkRegistryHost(report reporter, field, host string) {
	bare, path, hasPath := strings.Cut(host, "/")
	_, withoutScheme, scheme := strings.Cut(host, "://")
	m := registryHost.FindStringSubmatch(host)
	given := gitops.Clip(host, 100)
	switch {
	case host == "":
		report(field, "is missing: a registry's host, such as ghcr.io or registry.example:5000")
	case slices.Contains(dockerHub, host):
		report(field, "%s does not stand in the names of images: write docker.io, which is Docker Hub", given)
	case scheme:
		report(field, "must be a host without a scheme, not %q: write %s", given, gitops.Clip(strings.TrimRight(withoutScheme, "/"), 100))
	case hasPath && path != "":
		report(field, "must be a host alone, for all of its repositories, not %q: write %s", given, gitops.Clip(bare, 100))
	case m == nil && registryHost.MatchString(strings.ToLower(host)):
		report(field, "must be in small letters, as in the names of images, not %q: write %s", given, gitops.Clip(strings.ToLower(host), 100))
	case m == nil:
		report(field, "must be a host, or host:port, as it stands in the names of images, such as ghcr.io or registry.example:5000, not %q", given)
	case host != "localhost" && !strings.ContainsAny(host, ".:"):
		report(field, "must have a dot or a port, as every registry's host in the name of an image but localhost, not %q: an image %s/NAME is one of docker.io", given, given)
	case m[2] != "" && !isPort(m[3]):
		report(field, "must have a port of 1 to 65535, not %q", m[3])
	}
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}

// check checks one environment's image.
func (i Image) check(report reporter, field string) {
	if i.Wait < time.Second || i.Wait > longestImage {
		report(field+".wait", "must be 1s to 24h, not %s: it is how long an update waits for an image that is not there", i.Wait)
	}
	if i.Poll != 0 && (i.Poll < time.Minute || i.Poll > longestImage) {
		report(field+".poll", "must be 1m to 24h, not %s; without the field the registry is not polled", i.Poll)
	}
	if i.Platforms != nil && len(i.Platforms) == 0 {
		report(field+".platforms", "must name at least one platform, such as linux/amd64; without the field an image may be for any")
	}
	var platforms []image.Platform
	for n, text := range i.Platforms {
		at := fmt.Sprintf("%s.platforms[%d]", field, n)
		platform, err := image.ParsePlatform(at, text)
		if err != nil {
			report(at, "%s", err.(*gitops.Error).Message)
			continue
		}
		same := func(p image.Platform) bool { return p.Serves(platform) && platform.Serves(p) }
		if first := slices.IndexFunc(platforms, same); first >= 0 {
			report(at, "%s is the platform of %s.platforms[%d], too: remove one of them", text, field, first)
		}
		platforms = append(platforms, platform)
	}
}
