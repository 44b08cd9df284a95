package discover

import (
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops/git"
)

// Look finds what is in a repository: everything at the first look, and then what
// changed since the last. The same result is returned as long as it says the same.
func (r *Rules) Look(root *git.Directory, read Read) *Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := r.last == nil
	for i, rule := range r.rules {
		was := r.tops[i]
		if was != nil && was.hash == root.Name && !was.pending {
			continue
		}
		w := newWalk(rule, read)
		r.tops[i] = w.directory(at{dir: root, was: was}, []reading{{}})
		changed = changed || w.changed
	}
	if changed {
		r.last = r.collect()
	}
	return r.last
}

// collect makes one result of what each directory has.
func (r *Rules) collect() *Result {
	c := collection{unknown: make(map[string]int)}
	for i, top := range r.tops {
		if top.steps > maxSteps {
			c.problem(problem(reading{}, "", "%s: file matches more files and directories than can be looked at, and some are left out: name directories in it, or leave some out with exclude", r.rules[i].Field))
		}
		c.add(top)
	}
	c.collide(r)
	for _, name := range slices.Sorted(maps.Keys(c.unknown)) {
		c.Unknown = append(c.Unknown, Unknown{name, c.unknown[name]})
	}
	return &c.Result
}

// collection is a result that is being made.
type collection struct {
	Result
	unknown map[string]int
}

func (c *collection) add(n *node) {
	for _, p := range n.problems {
		c.problem(p)
	}
	if n.own != nil && n.own.needs {
		c.Needs = append(c.Needs, n.own.path)
	}
	for _, f := range n.files {
		c.file(f)
	}
	for _, d := range n.dirs {
		c.add(d)
	}
}

func (c *collection) file(f *file) {
	c.Found = append(c.Found, f.found...)
	for _, p := range f.problems {
		c.problem(p)
	}
	c.More += f.more
	if f.needs != "" {
		c.Needs = append(c.Needs, f.needs)
	}
	for _, name := range f.unknown {
		if _, counted := c.unknown[name]; counted || len(c.unknown) < maxUnknown {
			c.unknown[name]++
		}
	}
}

// problem keeps a problem, or counts it.
func (c *collection) problem(p Problem) {
	if len(c.Problems) == MaxProblems {
		c.More++
		return
	}
	c.Problems = append(c.Problems, p)
}
