package proposals

import (
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Prefix is what the names of all topic branches begin with.
const Prefix = "tallyman/"

// Branch is the name of the topic branch of an app in an environment: [CheckBranch] says
// whether git takes it.
func Branch(environment, app string) string { return Prefix + environment + "/" + app }

// CheckBranch reports, as an [gitops.Invalid] error, that an app in an environment can have no
// topic branch. The grammar of names leaves one thing that git refuses in a branch's name: a
// part that ends with ".lock" (git-check-ref-format(1), rule 1).
func CheckBranch(environment, app string) error {
	for _, part := range [][2]string{{"environment", environment}, {"app", app}} {
		if err := gitops.CheckName(part[0], part[1]); err != nil {
			return err
		}
		if strings.HasSuffix(part[1], ".lock") {
			return gitops.FieldErrorf(part[0], `%s cannot be in the name of a branch, which no part of may end with ".lock": give it another name, or write its environment with write: push`, part[1])
		}
	}
	return nil
}

// CheckBase reports, as an [gitops.Invalid] error, that there can be no topic branches beside a
// base branch: one of them would be below it, or it among them.
func CheckBase(branch string) error {
	if branch+"/" == Prefix || strings.HasPrefix(branch, Prefix) {
		return gitops.FieldErrorf("branch", "%.100s cannot be the base of pull requests: the branches below %s are tallyman's topic branches", branch, Prefix)
	}
	return nil
}
