package policy

import (
	"regexp"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Image names without tag or digest, as the OCI distribution spec (v1.1,
// "Pulling manifests") and container registries in front of it write them.
var repositoryGrammar = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$`)

func checkRepository(field, repository string) error {
	if len(repository) > 400 || !repositoryGrammar.MatchString(repository) {
		return gitops.FieldErrorf(field, "must be an image name without tag or digest, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/api")
	}
	return checkECR(field, repository)
}
