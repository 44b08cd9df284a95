package discover

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
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
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	r.tops = make([]*node, len(r.rules))
	return r, nil
}

// compile checks one entry. Fields of errors are those of the entry.
func compile(c Config, nth int) (*rule, error) {
	r := &rule{Entry: c.Entries[nth], nth: nth, limits: c.Limits}
	problems := []error{r.compileEnvironments(c), r.compileFile(c)}
	for i, glob := range r.Exclude {
		x, err := parseExclude(glob)
		if err != nil {
			problems = append(problems, fieldError(fmt.Sprintf("exclude[%d]", i), err))
		}
		r.excludes = append(r.excludes, x)
	}
	problems = append(problems, r.compileImage(), r.compileAlso(), r.compileOwn())
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
	r.sorted = slices.Sorted(maps.Keys(r.known))
	if len(r.sorted) == 1 {
		r.only = r.sorted[0]
	}
	return errors.Join(problems...)
}

// below puts the field of an error about a list's item behind the list's field.
func below(field string, err error) error {
	var e *gitops.Error
	if !errors.As(err, &e) {
		return err
	}
	return gitops.FieldErrorf(field+e.Field, "%s", e.Message)
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

// checkSet checks what an update writes, with names in the place of braces. Fields of
// the error are those of the list: "[0].key".
func checkSet(set []values.Target) error {
	_, err := values.Compile(values.Bind(set, values.Names{App: "app", Environment: "env", Repository: "registry.example/app"}))
	return err
}
