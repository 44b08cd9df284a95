package git

import (
	"errors"
	"regexp"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// SplitPath splits the path of a file into its names, and refuses what git would
// not have in a tree.
func SplitPath(path string) ([]string, error) {
	names := strings.Split(path, "/")
	for _, name := range names {
		if name == "" || name == "." || name == ".." || strings.EqualFold(name, ".git") || strings.ContainsAny(name, "\x00\n\\") {
			return nil, gitops.Errorf(gitops.Invalid, "%q is no path of a file in the repository", path)
		}
	}
	return names, nil
}

// PathError says what is wrong with a path in the repository. Another error stays as
// it is: it is not the path's fault.
func PathError(path string, err error) error {
	var code gitops.Code
	switch {
	case errors.Is(err, ErrNoEntry):
		code = gitops.NotFound
	case errors.Is(err, ErrSymlink), errors.Is(err, ErrSubmodule), errors.Is(err, ErrDirectory), errors.Is(err, ErrNotDirectory):
		code = gitops.Invalid
	default:
		return err
	}
	return gitops.Errorf(code, "%s: %s in the manifest repository", path, err)
}

// branchName is what git allows in the name of a branch, and a little less
// (git-check-ref-format(1)).
var branchName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+/-]{0,199}$`)

// ValidateBranch reports a name that no branch can have.
func ValidateBranch(name string) error {
	if !branchName.MatchString(name) || strings.Contains(name, "..") || strings.Contains(name, "//") ||
		strings.Contains(name, "/.") || strings.HasSuffix(name, "/") || strings.HasSuffix(name, ".") || strings.HasSuffix(name, ".lock") {
		return gitops.FieldErrorf("branch", "is not a name that a branch can have")
	}
	return nil
}
