package discover

import (
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops/values"
)

// collide takes out what is found in a way that leaves open which of two is meant, and
// says so: neither is written, and all others are.
func (c *collection) collide(r *Rules) {
	if more := len(c.Found) - maxFound; more > 0 {
		c.problem(problem(reading{}, "", "the files name more than %d targets (apps in environments), and %d are left out: name fewer files with file and exclude", maxFound, more))
		c.Found = c.Found[:maxFound]
	}
	x := collisions{collection: c, rules: r, rejected: make(map[*Found]bool)}
	x.targets()
	x.names()
	x.places()
	c.Found = slices.DeleteFunc(c.Found, func(f *Found) bool { return x.rejected[f] })
}

type collisions struct {
	*collection
	rules    *Rules
	rejected map[*Found]bool
}

// reject takes two out.
func (x *collisions) reject(a, b *Found, p Problem) {
	x.rejected[a], x.rejected[b] = true, true
	if p.Files = []string{a.File, b.File}; a.File == b.File {
		p.Files = p.Files[:1]
	}
	x.problem(p)
}

// names of a target in a sentence and in a problem.
func (f *Found) names() reading { return reading{app: f.App, env: f.Environment} }

// targets finds those that are in two places.
func (x *collisions) targets() {
	first := make(map[reading]*Found, len(x.Found))
	for _, f := range x.Found {
		other, taken := first[f.names()]
		if !taken {
			first[f.names()] = f
			continue
		}
		x.reject(other, f, problem(f.names(), "", "%s is found twice, in %s (%s) and in %s (%s), and which one is meant is not known: remove one, or leave it out with exclude",
			f.names(), clip(other.File), other.Origin, clip(f.File), f.Origin))
	}
}

// names finds apps whose names differ only in case: file systems, DNS and registries do
// not tell them apart.
func (x *collisions) names() {
	first := make(map[string]*Found)
	named := make(map[string]bool) // names that a problem has named
	for _, f := range x.Found {
		lower := strings.ToLower(f.App)
		other, taken := first[lower]
		if !taken {
			first[lower] = f
			continue
		}
		if other.App != f.App && !named[f.App] {
			named[f.App] = true
			x.reject(other, f, problem(reading{app: f.App}, "", "the apps %q (%s) and %q (%s) have names that differ only in case: rename one",
				other.App, clip(other.File), f.App, clip(f.File)))
		}
	}
	if len(named) == 0 {
		return
	}
	for name := range named {
		named[first[strings.ToLower(name)].App] = true
	}
	for _, f := range x.Found {
		if named[f.App] {
			x.rejected[f] = true
		}
	}
}

// place is a key of a file.
type place struct{ file, key string }

// places finds targets that write one key of one file: a tag of dev would end up in
// prod's place.
func (x *collisions) places() {
	uses := make(map[string]int, len(x.Found))
	for _, f := range x.Found {
		for path := range f.files(nil) {
			uses[path]++
		}
	}
	first := make(map[place]*Found)
	forms := make(map[string]string)
	for _, f := range x.Found {
		for path, set := range f.files(x.rules.setOf(f)) {
			if uses[path] == 1 {
				continue
			}
			for _, t := range set {
				key := expand(form(forms, t.Inside)+"\x00"+form(forms, t.Key), f.App, f.Environment)
				at := place{path, strings.ReplaceAll(key, "{repository}", f.Image)}
				other, taken := first[at]
				if first[at] = f; !taken || other == f {
					continue
				}
				why := problem(f.names(), "", "%s and %s would both set %s in %s: give them different files or keys", other.names(), f.names(), clip(t.Key), clip(path))
				if !x.rejected[other] { // each of the two has the problem
					theirs := why
					theirs.App, theirs.Environment = other.App, other.Environment
					x.reject(other, f, theirs)
				}
				x.reject(other, f, why)
			}
		}
	}
}

// files yields the files of a target with what is set in each.
func (f *Found) files(set []values.Target) func(yield func(string, []values.Target) bool) {
	return func(yield func(string, []values.Target) bool) {
		if !yield(f.File, set) {
			return
		}
		for _, also := range f.Also {
			own := also.Set
			if own == nil {
				own = set
			}
			if !yield(also.Path, own) {
				return
			}
		}
	}
}

// form is a key in the one way that all its spellings have, once for each spelling. A
// key that is wrong is itself: whoever compiles the edit says what is wrong.
func form(known map[string]string, key string) string {
	text, ok := known[key]
	if !ok {
		var err error
		if text, err = values.SameTemplate(key); err != nil {
			text = key
		}
		known[key] = text
	}
	return text
}
