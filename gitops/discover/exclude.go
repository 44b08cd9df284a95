package discover

import "strings"

// exclude is a glob of paths. Where a path has come to in it is a set of its segments:
// bit i says that segment i is next, and bit len(exclude) that all of it matched.
type exclude []string

const anyDepth = "**"

func (x exclude) start() uint64 { return x.skip(1) }

// skip adds the segments that come next where a ** stands for nothing.
func (x exclude) skip(state uint64) uint64 {
	for i, s := range x {
		if s == anyDepth && state&(1<<i) != 0 {
			state |= 1 << (i + 1)
		}
	}
	return state
}

// next is the state after one more name.
func (x exclude) next(state uint64, name string) uint64 {
	var after uint64
	for i, s := range x {
		switch {
		case state&(1<<i) == 0:
		case s == anyDepth:
			after |= 1 << i
		case matchGlob(s, name):
			after |= 1 << (i + 1)
		}
	}
	return x.skip(after)
}

func (x exclude) matched(state uint64) bool { return state&(1<<len(x)) != 0 }

// matchGlob reports whether a name is what a pattern with * stands for.
func matchGlob(pattern, name string) bool {
	first, rest, glob := strings.Cut(pattern, "*")
	if !glob {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	for {
		part, more, glob := strings.Cut(rest, "*")
		if !glob {
			return strings.HasSuffix(name, part)
		}
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name, rest = name[at+len(part):], more
	}
}

// excludes are those of an entry.
type excludes []exclude

func (x excludes) start() []uint64 {
	states := make([]uint64, len(x))
	for i := range x {
		states[i] = x[i].start()
	}
	return states
}

// next writes the states after one more name into to, and reports whether one of the
// globs matched.
func (x excludes) next(to, from []uint64, name string) (matched bool) {
	for i := range x {
		to[i] = x[i].next(from[i], name)
		matched = matched || x[i].matched(to[i])
	}
	return matched
}

// match reports whether the path or a directory that it is in is excluded.
func (x excludes) match(path string) bool {
	states := x.start()
	for name := range strings.SplitSeq(path, "/") {
		if x.next(states, states, name) {
			return true
		}
	}
	return false
}
