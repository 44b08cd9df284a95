package discover

import (
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// node is what a directory has for an entry. The next look takes it as it is when the
// directory is the same.
type node struct {
	name     string
	hash     git.Hash
	readings []reading // of the path down to here
	dirs     []*node   // in the tree's order
	files    []*file   // in the tree's order
	problems []Problem // of the directory, and of entries that are neither
	own      *own      // the own file of the app that the directory is of
	steps    int       // what a look at it takes; counted again when it is passed over, so that the bound is the same in each look
	pending  bool      // contents are missing below
}

// walk is a look at one entry.
type walk struct {
	*rule
	match   matcher
	read    Read
	steps   int        // that may still be taken
	states  [][]uint64 // of the excludes, by depth
	own     *own       // of the app in whose directory the walk is
	fresh   bool       // that own file is not as it was: nothing below can be passed over
	changed bool       // something that was found, or is wrong, is not as it was
}

// newWalk begins at the root.
func newWalk(r *rule, read Read) *walk {
	w := &walk{rule: r, read: read, steps: maxSteps}
	w.match = matcher{environments: r.environments, left: &w.steps}
	w.states = make([][]uint64, len(r.segments)+1)
	for i := range w.states {
		w.states[i] = r.excludes.start()
	}
	return w
}

// at is a directory on the way.
type at struct {
	dir   *git.Directory
	path  string // with a slash behind it; "" for the root
	depth int
	was   *node // nil when there was none
}

// directory looks at a directory that is not as it was.
func (w *walk) directory(a at, readings []reading) *node {
	before := w.steps
	w.steps -= keep
	n := &node{hash: a.dir.Name, readings: readings}
	if a.was != nil {
		n.name = a.was.name
	}
	if w.ownDepth > 0 && a.depth == w.ownDepth {
		w.app(a, n)
	} else {
		w.entries(a, n)
	}
	n.steps = before - w.steps
	return n
}

// app looks at the directory that an app's own file can be in.
func (w *walk) app(a at, n *node) {
	n.own = w.ownIn(a)
	w.own, w.fresh = n.own, a.was != nil && a.was.own != n.own
	w.changed = w.changed || w.fresh || a.was == nil && n.own != nil
	switch o := n.own; {
	case o == nil:
		w.entries(a, n)
	case o.needs:
		n.pending = true
	case o.err != nil:
		n.pending = o.again
		n.problems = w.ownProblem(n, o)
	case o.file != "":
		w.ownFiles(a, n)
	default:
		w.entries(a, n)
	}
}

// entries goes through what is in a directory.
func (w *walk) entries(a at, n *node) {
	visit := w.visitor(a, n)
	if s := w.segments[a.depth]; s.fixed() {
		if e, below, found := a.dir.Lookup(s.text); found {
			visit.entry(e, below)
		}
	} else {
		for e, below := range a.dir.Entries() {
			if visit.entry(e, below); w.steps < 0 {
				n.pending = true // what was not looked at may have something
				break
			}
		}
	}
	visit.end()
}

// visitor goes through the entries of one directory, beside what was found there.
type visitor struct {
	*walk
	at
	node  *node
	dirs  cursor[*node]
	files cursor[*file]
}

func (w *walk) visitor(a at, n *node) visitor {
	v := visitor{walk: w, at: a, node: n}
	if a.was != nil {
		v.dirs.list, v.files.list = a.was.dirs, a.was.files
		n.dirs, n.files = make([]*node, 0, len(a.was.dirs)), make([]*file, 0, len(a.was.files))
	}
	return v
}

// entry takes one entry of the directory.
func (v *visitor) entry(e git.Entry, below git.Below) {
	v.walk.steps--
	last := v.depth == len(v.segments)-1
	switch {
	case last && below.File != nil:
		v.file(e, below.File)
	case !last && below.Directory != nil:
		v.below(e, below.Directory)
	case e.Mode == git.ModeSymlink:
		v.symlink(string(e.Name))
	}
}

// below takes a directory in which files can match.
func (v *visitor) below(e git.Entry, dir *git.Directory) {
	was, known := v.dirs.next(e.Name, v.walk)
	if known && was.hash == e.Hash && !was.pending && !v.fresh {
		v.walk.steps -= was.steps
		v.node.dirs = append(v.node.dirs, was)
		return
	}
	name, readings := "", []reading(nil)
	if known {
		name, readings = was.name, was.readings
	} else {
		name = string(e.Name)
		if readings = v.readings(name); len(readings) == 0 {
			return
		}
	}
	if v.excludes.next(v.states[v.depth+1], v.states[v.depth], name) {
		return
	}
	n := v.directory(at{dir, v.path + name + "/", v.depth + 1, was}, readings)
	n.name = name
	v.node.dirs = append(v.node.dirs, n)
	v.node.pending = v.node.pending || n.pending
}

// file takes a file that can match.
func (v *visitor) file(e git.Entry, content *git.File) {
	was, known := v.files.next(e.Name, v.walk)
	if known && was.hash == e.Hash && was.needs == "" && !was.again && !v.fresh {
		v.walk.steps -= was.steps
		v.node.files = append(v.node.files, was)
		return
	}
	before, name := v.walk.steps, string(e.Name)
	readings := v.readings(name)
	if len(readings) == 0 || v.excludes.next(v.states[v.depth+1], v.states[v.depth], name) {
		return
	}
	f := &file{name: name, hash: e.Hash}
	v.readFile(f, v.path+name, readings, content, was)
	f.steps = before - v.walk.steps
	v.node.addFile(f)
	v.changed = v.changed || !f.same(was)
}

// readings are those of a name in the directory.
func (v *visitor) readings(name string) []reading {
	if !usable(name) {
		return nil
	}
	return v.match.readings(v.segments[v.depth], name, v.node.readings)
}

// symlink notes a symbolic link where the path of an app's file would go through it.
func (v *visitor) symlink(name string) {
	s := v.segments[v.depth]
	if s.has(star) && !s.has(app) {
		return
	}
	readings := legal(v.readings(name))
	if len(readings) == 0 || readings[0].unknown || v.excludes.next(v.states[v.depth+1], v.states[v.depth], name) {
		return
	}
	v.walk.steps -= keep
	v.node.problems = append(v.node.problems, problem(readings[0], v.path+name,
		"%s is a symbolic link, which is not followed: put the file or the directory itself there, or leave the path out with exclude", clip(v.path+name)))
}

// end notes what is gone.
func (v *visitor) end() {
	v.dirs.rest(v.walk)
	v.files.rest(v.walk)
	if was := v.was; was == nil && len(v.node.problems) > 0 || was != nil && !slices.EqualFunc(was.problems, v.node.problems, sameProblem) {
		v.changed = true
	}
}

// labelled is what a cursor goes through.
type labelled interface {
	label() string
	directory() bool
}

func (n *node) label() string   { return n.name }
func (n *node) directory() bool { return true }
func (f *file) label() string   { return f.name }
func (f *file) directory() bool { return false }

// cursor goes through what was found in a directory beside the directory's entries.
type cursor[T labelled] struct {
	list []T
	at   int
}

// next returns what was found at a name. What is passed over is not there any more.
func (c *cursor[T]) next(name []byte, w *walk) (was T, known bool) {
	for c.at < len(c.list) {
		switch label := c.list[c.at].label(); {
		case label == string(name):
			c.at++
			return c.list[c.at-1], true
		case !precedes(label, name, c.list[c.at].directory()):
			return was, false
		}
		w.changed = true
		c.at++
	}
	return was, false
}

func (c *cursor[T]) rest(w *walk) { w.changed = w.changed || c.at < len(c.list) }

// precedes reports whether a name comes before another of the same kind in a tree,
// where the names of directories count with a slash behind them.
func precedes(a string, b []byte, directories bool) bool {
	n := min(len(a), len(b))
	if a[:n] != string(b[:n]) {
		return a[:n] < string(b[:n])
	}
	if len(a) == len(b) || !directories {
		return len(a) < len(b)
	}
	if len(a) == n {
		return '/' < b[n]
	}
	return a[n] < '/'
}

// legal are the readings whose names apps and environments can have: those of
// configured environments, or else the others.
func legal(readings []reading) []reading {
	var of [2][]reading
	for _, r := range readings {
		if r.app == "" || gitops.CheckName("app", r.app) == nil {
			if r.unknown {
				of[1] = append(of[1], r)
			} else {
				of[0] = append(of[0], r)
			}
		}
	}
	if len(of[0]) > 0 {
		return of[0]
	}
	return of[1]
}
