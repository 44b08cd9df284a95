package values

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// expectation is all that an edit, or several of one file, may change: what the
// documents mean, and how they are written.
type expectation struct {
	sets    map[string]expected       // by [wayID]
	written map[position]want         // scalars that are written over
	entries map[position][]*entryTree // maps that get entries
	follows []follow
	moves   bool // lines are added to the text of a block: what is below it moves
}

// expected is a value that must be there afterwards.
type expected struct {
	doc  int
	way  []any
	want want
	key  key // of the target, to name in an error
}

// position is where a node begins in the text before the edit.
type position struct {
	doc, line, column int
	kind              yaml.Kind // a map begins where its first key does
}

func positionOf(doc int, n *yaml.Node) position { return position{doc, n.Line, n.Column, n.Kind} }

func newExpectation() *expectation {
	return &expectation{sets: map[string]expected{}, written: map[position]want{}, entries: map[position][]*entryTree{}}
}

func (x *expectation) set(e expected) { x.sets[wayID(e.doc, e.way)] = e }

// add makes what another edit of the file changes expected, too.
func (x *expectation) add(other *expectation) {
	for id, e := range other.sets {
		x.sets[id] = e
	}
	for at, w := range other.written {
		x.written[at] = w
	}
}

// verify compares two readings of a file. It returns the paths at which they mean
// something else, the targets' first.
func (x *expectation) verify(before, after *source) (paths []string, err error) {
	if len(after.docs) != len(before.docs) || before.json && !after.json {
		return nil, refuse(Unverified, "the edited file would not be read as before, so it was dropped")
	}
	v := verification{expectation: x, before: before, changed: map[string]bool{}, more: map[string]string{}}
	for doc := range before.docs {
		inHelm := diffHelm(before.helm[doc], after.helm[doc])
		v.check(doc, inHelm)
		v.check(doc, diffNodes(before.docs[doc], after.docs[doc]))
		v.checkDigests(doc, inHelm)
	}
	if err := cmp.Or(v.err(), v.pinned); err != nil {
		return nil, err
	}
	for doc := range before.docs {
		if !x.sameWritten(doc, before.docs[doc], after.docs[doc]) {
			return nil, refuse(Unverified, "the edited file would differ in more than this value, so it was dropped")
		}
	}
	known := entries{}
	for id, e := range x.sets {
		seen, ok := helmAt(after.helm[e.doc], e.way)
		n := known.at(after.docs[e.doc], e.way)
		if !ok || n == nil || !(helmLeaf{seen}).is(e.want) || !(nodeLeaf{n}).is(e.want) {
			return nil, at(e.key, refuse(Unverified, "would not be read back as %s by every reader, so the edit was dropped", show(e.want.text)))
		}
		if v.changed[id] { // the others had the value already
			paths = append(paths, before.showPlace(e.doc, e.way))
		}
	}
	slices.Sort(paths)
	return append(paths, v.followed()...), nil
}

// verification is what the comparison of one file finds.
type verification struct {
	*expectation
	before  *source
	changed map[string]bool   // targets that change, by wayID
	more    map[string]string // other paths that do
	denied  []string          // of these, what no target may change
	pinned  error             // of these, the first tag that a digest would win over
	wrong   bool              // a target has another value than it should
	full    bool              // there are too many changes to name
}

func (v *verification) check(doc int, c *changes) {
	v.full = v.full || c.full()
	for _, change := range c.all {
		id := wayID(doc, change.way)
		if e, ok := v.sets[id]; ok {
			v.changed[id] = true
			v.wrong = v.wrong || change.after == nil || !change.after.is(e.want)
			continue
		}
		v.more[id] = v.before.showPlace(doc, change.way)
		if !v.allowed(id, change) {
			v.denied = append(v.denied, v.more[id])
		}
	}
}

// allowed reports whether a target that follows its anchor may change this path.
func (v *verification) allowed(id string, c change) bool {
	return slices.ContainsFunc(v.follows, func(f follow) bool {
		return c.after != nil && !c.below && c.after.is(f.want) && (f.all || f.ways[id])
	})
}

func (v *verification) followed() (paths []string) {
	for _, path := range v.more {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

func (v *verification) err() error {
	slices.Sort(v.denied)
	v.denied = slices.Compact(v.denied) // both readers see most of them
	switch {
	case v.full:
		return refuse(SharedAnchor, "would change more than %d other values of the file, too, through anchors; give this value a place of its own", maxChanges)
	case len(v.denied) == 0 && v.wrong:
		return refuse(Unverified, "would not be read back alike by every reader, so the edit was dropped")
	case len(v.denied) == 0:
		return nil
	case len(v.follows) > 0:
		return refuse(SharedAnchor, "would change %s, too, which is not among the keys that may follow; list it under follows, or give it a value of its own", listed(v.denied))
	}
	return refuse(SharedAnchor, "would change %s, too, by an anchor or a merge key (<<); give that a value of its own, or let it follow: anchor: follow", listed(v.denied))
}

// listed joins names for a sentence.
func listed(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + " and more"
}

// showPlace names a path; in a file of several documents it says in which.
func (s *source) showPlace(doc int, way []any) string {
	if len(s.docs) > 1 {
		return showWay(way) + " (document " + strconv.Itoa(doc) + ")"
	}
	return showWay(way)
}

// sameWritten compares two documents node by node as they are written, where the
// diffs compare what they mean.
func (x *expectation) sameWritten(doc int, b, a *yaml.Node) bool {
	at := positionOf(doc, b)
	if w, ok := x.written[at]; ok {
		return nodeLeaf{a}.is(w) && a.Anchor == b.Anchor
	}
	if created := x.entries[at]; created != nil {
		return a.Kind == yaml.MappingNode && a.Anchor == b.Anchor && x.sameWithEntries(doc, b, a, created)
	}
	if b.Kind != a.Kind || b.Tag != a.Tag || b.Style != a.Style || b.Anchor != a.Anchor || b.Value != a.Value ||
		len(b.Content) != len(a.Content) || b.Line != a.Line && len(x.entries) == 0 && !x.moves {
		return false
	}
	for i := range b.Content {
		if !x.sameWritten(doc, b.Content[i], a.Content[i]) {
			return false
		}
	}
	return true
}

// sameWithEntries takes the new entries out of a map and compares the rest.
func (x *expectation) sameWithEntries(doc int, b, a *yaml.Node, created []*entryTree) bool {
	rest := slices.Clone(a.Content)
	for _, c := range created {
		at := -1
		for i := 0; i+1 < len(rest); i += 2 {
			if c.is(rest[i], rest[i+1]) {
				at = i
			}
		}
		if at < 0 {
			return false
		}
		rest = slices.Delete(rest, at, at+2)
	}
	if len(b.Content) != len(rest) {
		return false
	}
	for i := range rest {
		if !x.sameWritten(doc, b.Content[i], rest[i]) {
			return false
		}
	}
	return true
}
