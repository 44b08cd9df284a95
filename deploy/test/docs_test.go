package test

import (
	"regexp"
	"strings"
	"testing"
)

// TestCommandsExist sees that each command and flag of tallyman's that the docs
// of this directory name is one. What docs/adopt.md has in its blocks is run.
func TestCommandsExist(t *testing.T) {
	named := regexp.MustCompile("`tallyman ((?:[a-z-]+ )*[a-z-]+[^`]*)`|(?m)^    (?:bin/)?tallyman ([^#\n]*)")
	for _, file := range []string{"../docs/runbooks.md", "../docs/adopt.md", "../docs/api.md", "../docs/holds.md", "../README.md", "github-app/README.md"} {
		for _, found := range named.FindAllStringSubmatch(read(t, file), -1) {
			out, err := tallyman(append(strings.Fields(found[1]+found[2]), "--help")...).CombinedOutput()
			if err != nil {
				t.Errorf("%s: tallyman %s%s: %v\n%s", file, found[1], found[2], err, out)
			}
		}
	}
}
