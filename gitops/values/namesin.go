package values

import (
	"cmp"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// Named is what an [Inverse] finds: the names with which its key selects a value.
type Named struct {
	App, Environment string // "" where the key does not name it
	Value            string // the scalar's text; "" for an empty one
	Line             int
	// Err is a [*gitops.Error] that says why the key does not select one scalar with these
	// names, although the file has them.
	Err error
}

// In returns what the key finds in a file, in the file's order, each names once. The
// names are as they stand in the file: they need not be names of apps.
//
// A map in which a name is a key, and the rest of the path leads nowhere, has no app
// there: .{app}.image.tag does not find the keys without an image. Names that are given
// for comparison are found, and an Err says what is missing.
//
// An error is about the file, and what [Edit.Apply] says of it.
func (v *Inverse) In(d *Document) (all []Named, err error) {
	w := inversion{source: d.source}
	for _, doc := range d.source.docs {
		w.walk(doc, v.steps, finding{})
		if w.err != nil {
			return nil, w.err
		}
	}
	return w.once(v), nil
}

// finding is a way down to a node.
type finding struct {
	app, env string
	compared bool // a name was found by a comparison
	line     int  // where the last name stands
}

func (f finding) named() bool { return f.app != "" || f.env != "" }

type inversion struct {
	source *source
	found  []candidate
	err    error // about the file
}

// candidate is a place that the key selects with its names.
type candidate struct {
	Named
	other bool // a map or a list, which is no app's value, and makes another of these names ambiguous
}

// walk follows the steps from a node. The tree with what its aliases stand for is
// bounded; see [Limits.checkTree].
func (w *inversion) walk(n *yaml.Node, steps []inverseStep, f finding) {
	if n = meant(n); w.err != nil {
		return
	}
	if len(steps) == 0 {
		w.end(n, f)
		return
	}
	switch s := steps[0]; s.kind {
	case toKey:
		w.toKey(n, s.text, steps[1:], f)
	case toAll:
		for i, below := range n.Content {
			if n.Kind == yaml.SequenceNode || i%2 == 1 && !isMerge(n.Content[i-1]) {
				w.walk(below, steps[1:], f)
			}
		}
	case where:
		if next, ok := w.compare(n, s.conditions, f); ok {
			w.walk(n, steps[1:], next)
		}
	}
}

func (w *inversion) toKey(n *yaml.Node, p pattern, steps []inverseStep, f finding) {
	if p.name == "" || f.has(p.name) {
		below, err := child(n, p.with(f))
		switch {
		case err != nil:
			w.fail(n, f, err)
		case below != nil:
			w.walk(below, steps, f)
		case f.compared:
			w.fail(n, f, refuse(NothingSelected, "has no %s in line %d; %s", show(p.with(f)), n.Line, has(n, p.with(f))))
		}
		return
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := meant(n.Content[i])
		if isMerge(n.Content[i]) || k.Kind != yaml.ScalarNode {
			continue
		}
		if next, ok := f.take(p, k.Value, n.Content[i].Line); ok {
			w.walk(n.Content[i+1], steps, next)
		}
	}
}

// compare takes the names from what is compared.
func (w *inversion) compare(n *yaml.Node, conditions []condition, f finding) (finding, bool) {
	for _, c := range conditions {
		at := n
		for _, step := range c.path {
			below, err := child(at, step)
			if err != nil {
				w.fail(at, f, err)
			}
			if below == nil {
				return f, false
			}
			at = meant(below)
		}
		if at.Kind != yaml.ScalarNode || at.ShortTag() == "!!null" {
			return f, false
		}
		var ok bool
		if f, ok = f.take(c.text, at.Value, at.Line); !ok {
			return f, false
		}
		f.compared = f.compared || c.text.name != ""
	}
	return f, true
}

// end is the place where the key ends.
func (w *inversion) end(n *yaml.Node, f finding) {
	found := candidate{Named: Named{App: f.app, Environment: f.env, Line: f.line}}
	switch {
	case n.Kind != yaml.ScalarNode:
		found.other = !f.compared
		found.Err = refuse(NotScalar, "is not a single value in line %d", n.Line)
	case n.ShortTag() != "!!null":
		found.Value = n.Value
	}
	w.found = append(w.found, found)
}

// fail notes an error where names are found already, or of the file.
func (w *inversion) fail(n *yaml.Node, f finding, err error) {
	if f.named() {
		w.found = append(w.found, candidate{Named: Named{App: f.app, Environment: f.env, Line: cmp.Or(f.line, n.Line), Err: err}})
		return
	}
	w.err = err
}

// once joins what is found with the same names: which is meant is not known.
func (w *inversion) once(v *Inverse) []Named {
	first := make(map[[2]string]int, len(w.found))
	all := w.found[:0]
	for _, c := range w.found {
		if v.app && c.App == "" || v.env && c.Environment == "" {
			continue // the walk ended before all names were known
		}
		id := [2]string{c.App, c.Environment}
		at, twice := first[id]
		switch {
		case !twice:
			first[id] = len(all)
			all = append(all, c)
		case all[at].other && c.other:
		case all[at].Err == nil || c.Err == nil || all[at].other != c.other:
			all[at].other = false
			all[at].Err = refuse(SeveralSelected, "is there twice, in lines %d and %d; remove one", all[at].Line, c.Line)
		}
	}
	named := make([]Named, 0, len(all))
	for _, c := range all {
		if !c.other {
			named = append(named, c.Named)
		}
	}
	return named
}

func (f finding) has(name string) bool {
	return name == markApp && f.app != "" || name == markEnv && f.env != ""
}

// with is the pattern's text with the names that are known.
func (p pattern) with(f finding) string {
	switch p.name {
	case markApp:
		return p.before + f.app + p.after
	case markEnv:
		return p.before + f.env + p.after
	}
	return p.before
}

// take reads a text by a pattern.
func (f finding) take(p pattern, text string, line int) (finding, bool) {
	if p.name == "" || f.has(p.name) {
		return f, text == p.with(f)
	}
	text, before := strings.CutPrefix(text, p.before)
	text, after := strings.CutSuffix(text, p.after)
	if !before || !after || text == "" {
		return f, false
	}
	if f.line = line; p.name == markApp {
		f.app = text
	} else {
		f.env = text
	}
	return f, true
}

// child is what a plain step leads to, nil when that is nothing.
func child(n *yaml.Node, step string) (*yaml.Node, error) {
	switch n.Kind {
	case yaml.SequenceNode:
		if i, ok := listIndex(step, len(n.Content)); ok {
			return n.Content[i], nil
		}
	case yaml.MappingNode:
		i, err := lookup(n, step)
		if err != nil || i < 0 {
			return nil, err
		}
		return n.Content[i+1], nil
	}
	return nil, nil
}
