package catalog

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Hiding says which problem may hide an app in an environment: a file that cannot be read
// names nobody, and whoever is in it is still there. File is where the app was, and ""
// where that is not known.
func (c *Catalog) Hiding(environment, file string) (Problem, bool) {
	for _, p := range c.problems {
		if p.Hides && (p.Environment == "" || p.Environment == environment) && p.near(file) {
			return p, true
		}
	}
	for _, l := range c.looks {
		if l.Result != nil && l.Result.More > 0 {
			return Problem{Manifests: l.Manifests, Message: fmt.Sprintf("%d more problems on the branch are not listed, and one of them may be the app's: solve those that are", l.Result.More)}, true
		}
	}
	return Problem{}, false
}

// near reports whether a file is one that is at fault, or stands in or below the directory
// of one.
func (p Problem) near(file string) bool {
	return file == "" || len(p.Files) == 0 || slices.ContainsFunc(p.Files, func(at string) bool {
		directory := path.Dir(at)
		return directory == "." || strings.HasPrefix(file, directory+"/")
	})
}
