package policy

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// checkCase refuses names that differ only in case: orders, reports and files of the one
// would be taken for those of the other.
func checkCase(field string, names iter.Seq[string]) error {
	same := gitops.SameButCase(names)
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(same)) {
		problems = append(problems, gitops.FieldErrorf(field+"."+name, "differs from %s.%s only in case: give one of the two another name, or remove it", field, same[name]))
	}
	return errors.Join(problems...)
}

// UnknownApp says that there is no app of a name, and the way out.
func (p *Policy) UnknownApp(name string) string {
	if near := gitops.InOtherCase(name, maps.Keys(p.apps)); near != "" {
		return fmt.Sprintf("no app %q is configured: capitals count, and there is %s", name, near)
	}
	if p.mayNameApp(name) {
		return fmt.Sprintf("no app %q is configured, and no file of the branch names it: add its file there, or correct the name", name)
	}
	return fmt.Sprintf("no app %q is configured: add it to apps, or correct the name", name)
}

// notIn says that an app is not in an environment, where it is, and the way out.
func (p *Policy) notIn(environment, app string) string {
	var in []string
	for _, name := range p.names {
		if p.apps[app].runsIn(name) {
			in = append(in, name)
		}
	}
	if p.mayNameApp(app) {
		return fmt.Sprintf("app %q is not configured for environment %q, and no file of the branch names it there (it is in %s): add its file there, or correct the name", app, environment, strings.Join(in, ", "))
	}
	return fmt.Sprintf("app %q is not configured for environment %q (it is in %s): add that to the app's environments, or correct the name", app, environment, strings.Join(in, ", "))
}

// UnknownEnvironment says that there is no environment of a name, and which there are.
func (p *Policy) UnknownEnvironment(name string) string {
	if near := gitops.InOtherCase(name, slices.Values(p.names)); near != "" {
		return fmt.Sprintf("no environment %q is configured: capitals count, and there is %s", name, near)
	}
	return fmt.Sprintf("no environment %q is configured (there are %s)", name, strings.Join(p.names, ", "))
}
