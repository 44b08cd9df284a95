package policy

import (
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/aws"
	names "github.com/tallyman-dev/tallyman/gitops/image"
)

// ECR is what an ECR event knows of a repository. The host's name is left out:
// several hosts serve the same one.
type ECR struct {
	Account, Region, Name string
}

// String is the name as it is configured, by the registry's usual host.
func (r ECR) String() string {
	return aws.Registry{Account: r.Account, Region: r.Region}.Host() + "/" + r.Name
}

// HostOf is the host of an image's registry, by one name: an ECR registry is known by its
// usual host, whichever of them the image's name begins with, and Docker Hub by docker.io,
// also where the name begins with none.
func HostOf(repository string) string {
	host, _, _ := strings.Cut(names.Canonical(repository), "/")
	return host
}

// ParseECR takes an image name without tag apart; ok is false when it is not of an
// ECR private registry.
func ParseECR(repository string) (r ECR, ok bool) {
	host, name, _ := strings.Cut(repository, "/")
	at, err := aws.ParseRegistry(host)
	if err != nil || name == "" {
		return ECR{}, false
	}
	return ECR{Account: at.Account, Region: at.Region, Name: name}, true
}

// checkECR rejects a host that looks like one of ECR's and is not. No event would
// ever name it, and pushes to what was meant would be ignored.
func checkECR(field, repository string) error {
	host, _, _ := strings.Cut(repository, "/")
	if _, err := aws.ParseRegistry(host); err != nil && aws.LooksLikeRegistry(host) {
		return gitops.FieldErrorf(field, "%s is not a host of Amazon ECR: %s", clip(host), gitops.PublicOf(err))
	}
	return nil
}
