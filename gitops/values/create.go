package values

import (
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// neighbours are the keys a new tag is best read after.
var neighbours = []string{"repository", "newName", "name", "image", "registry"}

// create plans a new entry in a map that is there.
func (p *plan) create(g goal) error {
	s, n, name := p.source, g.place.node(), g.target.key.last
	switch {
	case n.Kind == yaml.AliasNode:
		return refuse(Alias, "lies beyond the alias *%s; give the key of the anchor &%s itself", show(n.Value), show(n.Value))
	case n.Kind == yaml.MappingNode:
		if i, err := lookup(n, name); err != nil || i >= 0 {
			return err
		}
	case n.Kind != yaml.ScalarNode || n.ShortTag() != "!!null" || len(g.place.chain) == 1:
		return s.missing(g.target.key)
	}
	if n.Style&yaml.TaggedStyle != 0 {
		return refuse(ExplicitTag, "would be created in a map with the explicit tag %s; remove it first", n.ShortTag())
	}
	inherited, err := s.inheritedEntry(g.place, name)
	if err != nil {
		return err
	}
	m := p.created[n]
	if m == nil {
		m = &newEntries{place: g.place, key: g.target.key}
		p.created[n] = m
		p.order = append(p.order, m)
	}
	for _, other := range m.pairs {
		if other.key == name {
			return refuse(SeveralSelected, "is created by another key of this edit")
		}
	}
	m.pairs = append(m.pairs, pair{name, g.value})
	way := append(helmPath(g.place), any(name))
	p.expect(g.place.doc, way, inherited, g.value, true)
	return nil
}

// spliceCreated turns the entries to create into splices, one for each map.
func (p *plan) spliceCreated() error {
	for _, m := range p.order {
		sp, err := p.source.insertion(m.place, m.pairs)
		if err != nil {
			return at(m.key, err)
		}
		p.splices = append(p.splices, sp)
	}
	return nil
}

func (s *source) insertion(at place, pairs []pair) (splice, error) {
	n := at.node()
	entries := make([]string, len(pairs))
	for i, c := range pairs {
		entries[i] = spell(c.key, 0) + ": " + spell(c.value, 0)
	}
	switch {
	case n.Kind == yaml.ScalarNode:
		return s.insertIntoNull(at, entries)
	case n.Style&yaml.FlowStyle != 0:
		return s.insertIntoFlow(n, entries)
	}
	return s.insertIntoBlock(at, entries)
}

// insertIntoNull makes a map of an empty value: on the line below a block key,
// in braces elsewhere.
func (s *source) insertIntoNull(at place, entries []string) (splice, error) {
	n := at.node()
	start, end, err := s.span(n)
	if err != nil {
		return splice{}, err
	}
	braces := "{" + strings.Join(entries, ", ") + "}"
	key := at.keys[len(at.keys)-1]
	if start != end || key == nil || at.parent().Style&yaml.FlowStyle != 0 {
		if start == end && !s.blankBefore(start) {
			braces = " " + braces
		}
		return splice{start, end, braces}, nil
	}
	indent := key.Column - 1 + s.indentation(at.doc)
	return s.linesAfter(key.Line, indent, entries), nil
}

// indentation is how far the file's first nested map is set in.
func (s *source) indentation(doc int) int {
	const usual = 2
	root := s.docs[doc]
	if root.Kind != yaml.MappingNode {
		return usual
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		k, v := root.Content[i], root.Content[i+1]
		if v.Kind == yaml.MappingNode && v.Style&yaml.FlowStyle == 0 && v.Line > k.Line && v.Column > k.Column {
			return v.Column - k.Column
		}
	}
	return usual
}

func (s *source) insertIntoFlow(n *yaml.Node, entries []string) (splice, error) {
	start, ok := s.offset(n.Line, n.Column)
	brace := -1
	if ok {
		brace = strings.IndexByte(string(s.text[start:s.lineEnd(n.Line)]), '{')
	}
	if brace < 0 {
		return splice{}, refuse(NotRepresentable, "cannot be created: the map's opening brace is not on its first line")
	}
	start += brace + 1
	text := strings.Join(entries, ", ")
	if len(n.Content) > 0 {
		text += ","
		switch next := s.text[start]; next {
		case ' ':
			text = " " + text
		case '\n', '\r', '\t':
		default:
			text += " "
		}
	}
	return splice{start, start, text}, nil
}

// insertIntoBlock writes the entries below a neighbour whose value ends on its
// own line, or else below the map's own key.
func (s *source) insertIntoBlock(at place, entries []string) (splice, error) {
	n := at.node()
	below, rank := -1, len(neighbours)+1
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !s.onOneLine(n.Content[i], n.Content[i+1]) {
			continue
		}
		if r := neighbourRank(n.Content[i].Value); r <= rank {
			below, rank = i, r
		}
	}
	if below >= 0 {
		k := n.Content[below]
		return s.linesAfter(k.Line, k.Column-1, entries), nil
	}
	if len(at.keys) > 0 && len(n.Content) > 0 {
		first := n.Content[0]
		if k := at.keys[len(at.keys)-1]; k != nil && first.Line > k.Line {
			return s.linesAfter(k.Line, first.Column-1, entries), nil
		}
	}
	return splice{}, refuse(NotRepresentable, "cannot be created: the map has no line of its own to put it after; write the key by hand once")
}

// neighbourRank is small for what a tag belongs after; of equals the last is taken.
func neighbourRank(name string) int {
	for i, n := range neighbours {
		if n == name {
			return i
		}
	}
	return len(neighbours)
}

func (s *source) onOneLine(k, v *yaml.Node) bool {
	if v.Kind != yaml.ScalarNode || v.Line != k.Line {
		return false
	}
	_, end, err := s.span(v)
	return err == nil && end <= s.lineEnd(k.Line)
}

// linesAfter adds lines below a line, each with its own ending; below the last
// line of a file without a final newline, the file stays without one.
func (s *source) linesAfter(line, indent int, entries []string) splice {
	end := s.lineEnd(line)
	var text strings.Builder
	for _, entry := range entries {
		text.WriteString(s.newline() + strings.Repeat(" ", indent) + entry)
	}
	return splice{end, end, text.String()}
}
