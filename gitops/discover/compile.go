package discover

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// Rules are compiled entries. Safe for concurrent use; looks are made one after the
// other.
type Rules struct {
	config Config
	rules  []*rule

	mu   sync.Mutex
	last *Result
	tops []*node // what the last look found for each rule
}

// rule is one entry.
type rule struct {
	Entry
	nth      int
	segments []segment
	excludes excludes
	environments
	only  string  // the environment of an entry in which nothing names it
	image segment // of Repository
}

// Compile checks the entries. The error joins an Invalid [gitops.Error] for each thing
// that is wrong, whose Field is the entry's and the field in it.
func Compile(c Config) (*Rules, error) {
	r := &Rules{config: c}
	var problems []error
	for i, e := range c.Entries {
		rule, err := compile(c, i)
		if err != nil {
			problems = append(problems, gitops.PrefixField(e.Field, err))
		}
		r.rules = append(r.rules, rule)
	}
	r.tops = make([]*node, len(r.rules))
	return r, errors.Join(problems...)
}

// compile checks one entry. Fields of errors are those of the entry.
func compile(c Config, nth int) (*rule, error) {
	r := &rule{Entry: c.Entries[nth], nth: nth}
	problems := []error{r.compileEnvironments(c), r.compileFile()}
	for i, glob := range r.Exclude {
		x, err := parseExclude(glob)
		if err != nil {
			problems = append(problems, fieldError(fmt.Sprintf("exclude[%d]", i), err))
		}
		r.excludes = append(r.excludes, x)
	}
	problems = append(problems, r.compileImage())
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return r, nil
}

// fieldError is a sentence about a field as an error.
func fieldError(field string, err error) error {
	return gitops.FieldErrorf(field, "%s", err)
}

func (r *rule) compileEnvironments(c Config) error {
	names := r.Environments
	if names == nil {
		names = c.Environments
	}
	r.known, r.other = make(map[string]bool, len(names)), make(map[string]bool)
	var problems []error
	if len(names) == 0 {
		problems = append(problems, gitops.FieldErrorf("environments", "must name at least one, or be left out for every environment"))
	}
	for i, name := range names {
		field := fmt.Sprintf("environments[%d]", i)
		switch {
		case r.known[name]:
			problems = append(problems, gitops.FieldErrorf(field, "names %q twice", gitops.Clip(name, 100)))
		case !slices.Contains(c.Environments, name):
			problems = append(problems, gitops.FieldErrorf(field, "%q is not among the configured environments (%s)", gitops.Clip(name, 100), strings.Join(c.Environments, ", ")))
		}
		r.known[name] = true
	}
	for _, name := range c.Environments {
		if !r.known[name] {
			r.other[name] = true
		}
	}
	if len(r.known) == 1 && len(names) == 1 {
		r.only = names[0]
	}
	return errors.Join(problems...)
}

func (r *rule) compileFile() (err error) {
	if r.File == "" {
		return gitops.FieldErrorf("file", "is missing: give the path of the files, such as charts/{app}/values-{env}.yaml")
	}
	if r.segments, err = parsePattern(r.File); err != nil {
		return fieldError("file", err)
	}
	switch {
	case !r.names(app):
		return gitops.FieldErrorf("file", "must name {app}, as in charts/{app}/values-{env}.yaml")
	case !r.names(env) && r.only == "":
		return gitops.FieldErrorf("file", "must name {env}, as in charts/{app}/values-{env}.yaml, or the entry must be for one environment: environments: [prod]")
	}
	return nil
}

// names reports whether the file's path names something.
func (r *rule) names(k kind) bool {
	return slices.ContainsFunc(r.segments, func(s segment) bool { return s.has(k) })
}

func (r *rule) compileImage() error {
	switch {
	case r.Repository == "":
		return nil
	case r.RepositoryKey != "":
		return gitops.FieldErrorf("repositoryKey", "is given beside repository: both say what the apps' images are; leave one out")
	}
	var err error
	if r.image, err = parseSegment(r.Repository); err != nil {
		return fieldError("repository", err)
	}
	if r.image.has(star) {
		return gitops.FieldErrorf("repository", "must not have *: one app has one image; write {app}, or give repositoryKey")
	}
	return policy.CheckRepository("repository", expand(r.Repository, "app", "env"))
}

// imageOf is the image that the entry's template gives an app.
func (r *rule) imageOf(n reading) string {
	return expand(r.Repository, strings.ToLower(n.app), strings.ToLower(n.env))
}

// setOf is what an update writes, unbound.
func (r *Rules) setOf(f *Found) []values.Target {
	switch {
	case f.Set != nil:
		return f.Set
	case r.rules[f.Entry].Set != nil:
		return r.rules[f.Entry].Set
	case r.config.Set == nil:
		return nil
	}
	return r.config.Set(f.Environment)
}

// longestFirst orders readings so that one of a longer environment comes first.
func longestFirst(a, b reading) int {
	return cmp.Or(len(b.env)-len(a.env), strings.Compare(a.env, b.env), strings.Compare(a.app, b.app))
}
