package policy

import (
	"regexp"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Image names without tag or digest, as the OCI distribution spec (v1.1,
// "Pulling manifests") and container registries in front of it write them.
var repositoryGrammar = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$`)

// CheckRepository reports what is wrong with an image's name, which has no tag and no
// digest, as an Invalid error on field.
func CheckRepository(field, repository string) error {
	if len(repository) > 400 || !repositoryGrammar.MatchString(repository) {
		return gitops.FieldErrorf(field, "must be an image name without tag or digest, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/api, not %q%s",
			clip(repository), wayOutOfName(repository))
	}
	return checkECR(field, repository)
}

// wayOutOfName says what to write in place of a text that is not an image's name.
func wayOutOfName(repository string) string {
	_, withoutScheme, scheme := strings.Cut(repository, "://")
	name, digest, pinned := strings.Cut(repository, "@")
	last := repository[strings.LastIndex(repository, "/")+1:]
	_, tag, tagged := strings.Cut(last, ":")
	switch {
	case scheme:
		return "; write " + clip(withoutScheme)
	case pinned && repositoryGrammar.MatchString(name):
		return "; leave @" + clip(digest) + " out"
	case tagged && repositoryGrammar.MatchString(strings.TrimSuffix(repository, ":"+tag)):
		return "; leave :" + clip(tag) + " out"
	case repositoryGrammar.MatchString(strings.ToLower(repository)):
		return "; write it in small letters, as registries do"
	case !strings.Contains(repository, "/") && repositoryGrammar.MatchString("host/"+repository):
		return "; write the registry's host before it"
	}
	return ""
}
