package git

import (
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
