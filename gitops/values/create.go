package values

import (
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// newEntries are the entries to create in one map.
type newEntries struct {
	place place
	key   key // of the first target, to name in an error
	trees []*entryTree
}

// entryTree is an entry to create: a value, or a map of more entries.
type entryTree struct {
	key   string
	value want
	below []*entryTree
}

// locateParent finds the map in which a target's key is to be created, and the
// keys to create there.
func (s *source) locateParent(t target) (place, []string, error) {
	k := t.key
	var names []string
	for {
		names = append([]string{k.last}, names...)
		parents, err := s.find(k.parent)
		switch {
		case err != nil:
			return place{}, nil, err
		case len(parents) == 1:
			return parents[0], names, nil
		case len(parents) > 1:
			return place{}, nil, refuse(SeveralSelected, "could be created in %d places, in lines %s; the key must select one", len(parents), lineList(parents))
		case !t.createParents:
			return place{}, nil, s.missing(t.key)
		}
		above, last, ok := splitLast(k.parent.tree)
		if !ok || len(s.docs) == 0 || isGlob(last) || !plainGrammar.MatchString(last) {
			return place{}, nil, s.missing(t.key)
		}
		k.parent, k.last = newQuery(above), last
	}
}

// create plans a new entry in a map that is there.
func (p *plan) create(g goal) error {
	s, n, name := p.source, g.place.node(), g.create[0]
	switch {
	case n.Kind == yaml.MappingNode:
		if i, err := lookup(n, name); err != nil || i >= 0 {
			return err
		}
	case n.Kind != yaml.ScalarNode || n.ShortTag() != "!!null" || len(g.place.chain) == 1:
		return s.missing(g.target.key)
	}
	if err := s.checkPlaceholder(g.place); err != nil {
		return err
	}
	if n.Style&yaml.TaggedStyle != 0 {
		return refuse(ExplicitTag, "would be created in a map with the explicit tag %s; remove it first", n.ShortTag())
	}
	w := want{text: g.value}
	if err := p.expectFollowing(g, w); err != nil {
		return err
	}
	m := p.created[n]
	if m == nil {
		m = &newEntries{place: g.place, key: g.target.key}
		p.created[n] = m
		p.order = append(p.order, m)
	}
	var ok bool
	if m.trees, ok = addEntry(m.trees, g.create, w); !ok {
		return refuse(SeveralSelected, "is created by another key of this edit")
	}
	p.expected.entries[positionOf(g.place.doc, n)] = m.trees
	return nil
}

// addEntry adds a value below the names; false when something is there.
func addEntry(trees []*entryTree, names []string, w want) ([]*entryTree, bool) {
	last := len(names) == 1
	for _, t := range trees {
		if t.key != names[0] {
			continue
		}
		if last || t.below == nil {
			return trees, false
		}
		var ok bool
		t.below, ok = addEntry(t.below, names[1:], w)
		return trees, ok
	}
	t := &entryTree{key: names[0]}
	if last {
		t.value = w
	} else {
		t.below, _ = addEntry(nil, names[1:], w)
	}
	return append(trees, t), true
}

// is reports whether a pair of an edited map is this entry.
func (t *entryTree) is(k, v *yaml.Node) bool {
	if k.Value != t.key || k.ShortTag() != "!!str" || v.Anchor != "" {
		return false
	}
	if t.below == nil {
		return nodeLeaf{v}.is(t.value)
	}
	if v.Kind != yaml.MappingNode || len(v.Content) != 2*len(t.below) {
		return false
	}
	for i, below := range t.below {
		if !below.is(v.Content[2*i], v.Content[2*i+1]) {
			return false
		}
	}
	return true
}

// flow writes the entries within braces, in the style of the map's other scalars.
func (s *source) flow(trees []*entryTree, style yaml.Style) string {
	entries := make([]string, len(trees))
	for i, t := range trees {
		value := s.spell(t.value, style)
		if t.below != nil {
			value = "{" + s.flow(t.below, style) + "}"
		}
		entries[i] = s.spell(want{text: t.key}, style) + ": " + value
	}
	return strings.Join(entries, ", ")
}

// entryLines writes the entries as lines, set in by indent, the maps in them by step more.
func (s *source) entryLines(trees []*entryTree, indent, step int) (lines []string) {
	for _, t := range trees {
		line := strings.Repeat(" ", indent) + s.spell(want{text: t.key}, 0) + ":"
		if t.below == nil {
			lines = append(lines, line+" "+s.spell(t.value, 0))
			continue
		}
		lines = append(append(lines, line), s.entryLines(t.below, indent+step, step)...)
	}
	return lines
}

// spliceCreated turns the entries to create into splices, one for each map.
func (p *plan) spliceCreated() error {
	for _, m := range p.order {
		sp, err := p.source.insertion(m)
		if err != nil {
			return at(m.key, err)
		}
		p.splices = append(p.splices, sp)
	}
	p.order = nil
	return nil
}
