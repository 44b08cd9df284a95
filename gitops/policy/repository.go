package policy

import (
	"regexp"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Image names without tag or digest, as the OCI distribution spec (v1.1,
// "Pulling manifests") and container registries in front of it write them.
var repositoryGrammar = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$`)

// The hosts of an ECR private registry: standard and FIPS, China, and the
// dual-stack ones (Amazon ECR User Guide, "Amazon ECR private registry").
var ecrGrammar = regexp.MustCompile(`^([0-9]{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com|amazonaws\.com\.cn|on\.aws|on\.amazonwebservices\.com\.cn)/(.+)$`)

// ECR is what an ECR event knows of a repository. The host's name is left out:
// several hosts serve the same one.
type ECR struct {
	Account, Region, Name string
}

// String is the name as it is configured, by the registry's usual host.
func (r ECR) String() string {
	return r.Account + ".dkr.ecr." + r.Region + ".amazonaws.com/" + r.Name
}

// ParseECR takes an image name without tag apart; ok is false when it is not of an
// ECR private registry.
func ParseECR(repository string) (r ECR, ok bool) {
	m := ecrGrammar.FindStringSubmatch(repository)
	if m == nil {
		return ECR{}, false
	}
	return ECR{Account: m[1], Region: m[2], Name: m[3]}, true
}

func checkRepository(field, repository string) error {
	if len(repository) > 400 || !repositoryGrammar.MatchString(repository) {
		return gitops.FieldErrorf(field, "must be an image name without tag or digest, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/api")
	}
	return nil
}
