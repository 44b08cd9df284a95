// Package aws has the partitions of Amazon Web Services: what their regions are
// called, and the domains of the hosts in them.
//
// Facts: botocore's partitions.json; the domains of dual-stack hosts as Amazon ECR's
// credential helper and Renovate have them.
package aws

import (
	"regexp"
	"slices"
	"strings"
)

// Partition is a set of regions with accounts and a domain of its own.
type Partition struct {
	Name      string // as in an ARN
	Domain    string // of the hosts in it
	DualStack string // of those that are reached over IPv6, too
	regions   *regexp.Regexp
}

// partitions has the narrower names of regions first: cn-north-1 has the form of a
// region of the first partition, too.
var partitions = []Partition{
	{"aws-cn", "amazonaws.com.cn", "on.amazonwebservices.com.cn", regions(`cn`)},
	{"aws-eusc", "amazonaws.eu", "on.amazonwebservices.eu", regions(`eusc-[a-z]{2}`)},
	{"aws-us-gov", "amazonaws.com", "on.aws", regions(`us-gov`)},
	{"aws-iso", "c2s.ic.gov", "on.aws.ic.gov", regions(`us-iso`)},
	{"aws-iso-b", "sc2s.sgov.gov", "on.aws.scloud", regions(`us-isob`)},
	{"aws-iso-e", "cloud.adc-e.uk", "on.cloud-aws.adc-e.uk", regions(`eu-isoe`)},
	{"aws-iso-f", "csp.hci.ic.gov", "on.aws.hci.ic.gov", regions(`us-isof`)},
	{"aws", "amazonaws.com", "on.aws", regions(`[a-z]{2}`)},
}

// regions matches the names of regions that begin alike, such as eu-west-1.
func regions(begin string) *regexp.Regexp {
	return regexp.MustCompile(`^` + begin + `-[a-z]+-[0-9]{1,2}$`)
}

// PartitionOf finds the partition of a region; ok is false when no region is called so.
func PartitionOf(region string) (p Partition, ok bool) {
	i := slices.IndexFunc(partitions, func(p Partition) bool { return p.regions.MatchString(region) })
	if i < 0 {
		return Partition{}, false
	}
	return partitions[i], true
}

// IsHost reports whether the host is in a domain of AWS.
func IsHost(host string) bool {
	return slices.ContainsFunc(partitions, func(p Partition) bool {
		return strings.HasSuffix(host, "."+p.Domain) || strings.HasSuffix(host, "."+p.DualStack)
	})
}
