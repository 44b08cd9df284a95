package policy

import (
	"regexp"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/aws"
)

// ECR is what an ECR event knows of a repository. The host's name is left out:
// several hosts serve the same one.
type ECR struct {
	Account, Region, Name string
}

// String is the name as it is configured, by the registry's usual host.
func (r ECR) String() string {
	domain := "amazonaws.com" // where an event names a region that does not exist
	if partition, ok := aws.PartitionOf(r.Region); ok {
		domain = partition.Domain
	}
	return r.Account + ".dkr.ecr." + r.Region + "." + domain + "/" + r.Name
}

// HostOf is the host of an image's registry, by one name: an ECR registry is known by its
// usual host, whichever of them the image's name begins with.
func HostOf(repository string) string {
	if ecr, ok := ParseECR(repository); ok {
		repository = ecr.String()
	}
	host, _, _ := strings.Cut(repository, "/")
	return host
}

// The host of an ECR private registry: account, region and domain. With FIPS it has
// ecr-fips, over IPv6 dkr-ecr (Amazon ECR User Guide, "Amazon ECR private registry").
var (
	ecrHost        = regexp.MustCompile(`^([a-z0-9]+)\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(.+)$`)
	ecrLooks       = regexp.MustCompile(`(^|\.)dkr[.-]ecr(-fips)?(\.|$)`)
	ecrLabel       = regexp.MustCompile(`(^|\.)(dkr|ecr|ecr-fips|dkr-ecr|dkr-ecr-fips)\.`)
	accountGrammar = regexp.MustCompile(`^[0-9]{12}$`)
)

// ParseECR takes an image name without tag apart; ok is false when it is not of an
// ECR private registry.
func ParseECR(repository string) (r ECR, ok bool) {
	host, name, _ := strings.Cut(repository, "/")
	m := ecrHost.FindStringSubmatch(host)
	if m == nil || name == "" || !accountGrammar.MatchString(m[1]) {
		return ECR{}, false
	}
	partition, known := aws.PartitionOf(m[2])
	if !known || m[3] != partition.Domain && m[3] != partition.DualStack {
		return ECR{}, false
	}
	return ECR{Account: m[1], Region: m[2], Name: name}, true
}

// checkECR rejects a host that looks like one of ECR's and is not. No event would
// ever name it, and pushes to what was meant would be ignored.
func checkECR(field, repository string) error {
	host, _, _ := strings.Cut(repository, "/")
	looks := ecrLooks.MatchString(host) || aws.IsHost(host) && ecrLabel.MatchString(host)
	if _, ok := ParseECR(repository); ok || !looks { // a load balancer's name ends in amazonaws.com, too
		return nil
	}
	reject := func(format string, args ...any) error {
		return gitops.FieldErrorf(field, "%s is not a host of Amazon ECR: "+format, append([]any{clip(host)}, args...)...)
	}
	m := ecrHost.FindStringSubmatch(host)
	if m == nil {
		return reject("it must be ACCOUNT.dkr.ecr.REGION.DOMAIN, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com")
	}
	if !accountGrammar.MatchString(m[1]) {
		return reject("an AWS account has 12 digits, not %q", clip(m[1]))
	}
	partition, ok := aws.PartitionOf(m[2])
	if !ok {
		return reject("%q is not an AWS region such as eu-west-1", clip(m[2]))
	}
	return reject("it must end in %s or %s in the region %s", partition.Domain, partition.DualStack, m[2])
}
