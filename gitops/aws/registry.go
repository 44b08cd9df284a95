package aws

import (
	"fmt"
	"regexp"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Registry is a private registry of Amazon ECR: one account's in one region. Several hosts
// serve the same one.
type Registry struct {
	Account, Region string
}

// RegistryHost is a host of a [Registry]: which registry, and which of AWS's endpoints.
type RegistryHost struct {
	Registry
	FIPS      bool // its endpoints use validated cryptography
	DualStack bool // its endpoints are reached over IPv6, too
}

// The host of an ECR private registry: account, region and domain. With FIPS it has
// ecr-fips, over IPv6 dkr-ecr (Amazon ECR User Guide, "Amazon ECR private registry").
var (
	registryHost   = regexp.MustCompile(`^([a-z0-9]+)\.dkr[.-]ecr(-fips)?\.([a-z0-9-]+)\.(.+)$`)
	registryLooks  = regexp.MustCompile(`(^|\.)dkr[.-]ecr(-fips)?(\.|$)`)
	registryLabel  = regexp.MustCompile(`(^|\.)(dkr|ecr|ecr-fips|dkr-ecr|dkr-ecr-fips)\.`)
	accountGrammar = regexp.MustCompile(`^[0-9]{12}$`)
)

// ParseRegistry takes the host of an ECR private registry apart. The error says why it is
// not one.
func ParseRegistry(host string) (RegistryHost, error) {
	m := registryHost.FindStringSubmatch(host)
	if m == nil {
		return RegistryHost{}, gitops.Errorf(gitops.Invalid, "it must be ACCOUNT.dkr.ecr.REGION.DOMAIN, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com")
	}
	account, fips, region, domain := m[1], m[2] != "", m[3], m[4]
	if !accountGrammar.MatchString(account) {
		return RegistryHost{}, gitops.Errorf(gitops.Invalid, "an AWS account has 12 digits, not %q", gitops.Clip(account, 300))
	}
	partition, known := PartitionOf(region)
	switch {
	case !known:
		return RegistryHost{}, gitops.Errorf(gitops.Invalid, "%q is not an AWS region such as eu-west-1", gitops.Clip(region, 300))
	case domain != partition.Domain && domain != partition.DualStack:
		return RegistryHost{}, gitops.Errorf(gitops.Invalid, "it must end in %s or %s in the region %s", partition.Domain, partition.DualStack, region)
	}
	return RegistryHost{Registry{account, region}, fips, domain == partition.DualStack}, nil
}

// LooksLikeRegistry reports whether a host was meant as an ECR private registry's, whether
// or not it is one. A load balancer's name ends in amazonaws.com, too.
func LooksLikeRegistry(host string) bool {
	return registryLooks.MatchString(host) || IsHost(host) && registryLabel.MatchString(host)
}

// Host is the registry's usual host.
func (r Registry) Host() string {
	domain := "amazonaws.com" // where an event names a region that does not exist
	if partition, ok := PartitionOf(r.Region); ok {
		domain = partition.Domain
	}
	return r.Account + ".dkr.ecr." + r.Region + "." + domain
}

// RepositoryARN is how IAM names one of its repositories.
func (r Registry) RepositoryARN(name string) string {
	partition, _ := PartitionOf(r.Region)
	return fmt.Sprintf("arn:%s:ecr:%s:%s:repository/%s", partition.Name, r.Region, r.Account, name)
}
