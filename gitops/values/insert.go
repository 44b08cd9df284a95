package values

import (
	"bytes"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// neighbours are the keys a new tag is best read after.
var neighbours = []string{"repository", "newName", "name", "image", "registry"}

// insertion is where new entries of a map are written.
func (s *source) insertion(m *newEntries) (splice, error) {
	n := m.place.node()
	switch {
	case n.Kind == yaml.ScalarNode:
		return s.insertIntoNull(m)
	case n.Style&yaml.FlowStyle != 0:
		return s.insertIntoFlow(n, s.flow(m.trees, flowStyle(n)))
	}
	return s.insertIntoBlock(m)
}

// flowStyle is how scalars are written in a map: as JSON has them where it does.
func flowStyle(m *yaml.Node) yaml.Style {
	if likeJSON(m) {
		return yaml.DoubleQuotedStyle
	}
	return 0
}

// insertIntoNull makes a map of an empty value: on the line below a block key,
// in braces elsewhere.
func (s *source) insertIntoNull(m *newEntries) (splice, error) {
	at := m.place
	start, end, err := s.span(at.node())
	if err != nil {
		return splice{}, err
	}
	key := at.keys[len(at.keys)-1]
	if start != end || key == nil || at.parent().Style&yaml.FlowStyle != 0 {
		braces := "{" + s.flow(m.trees, flowStyle(at.parent())) + "}"
		if start == end && !s.blankBefore(start) {
			braces = " " + braces
		}
		return splice{start, end, braces}, nil
	}
	return s.linesAfter(key.Line, s.entryLines(m.trees, key.Column-1+s.indentation(at.doc), s.indentation(at.doc))), nil
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

// insertIntoFlow writes the entries after the opening brace: on a line of their own
// where the first entry has one.
func (s *source) insertIntoFlow(n *yaml.Node, text string) (splice, error) {
	start, ok := s.offset(n.Line, n.Column)
	brace := -1
	if ok {
		brace = bytes.IndexByte(s.text[start:s.lineEnd(n.Line)], '{')
	}
	if brace < 0 {
		return splice{}, refuse(NotRepresentable, "cannot be created: the map's opening brace is not on its first line")
	}
	start += brace + 1
	if len(n.Content) == 0 {
		return splice{start, start, text}, nil
	}
	text += ","
	if first := n.Content[0]; first.Line > n.Line && start == s.lineEnd(n.Line) {
		if begin, ok := s.offset(first.Line, first.Column); ok && len(bytes.TrimSpace(s.text[s.lines[first.Line-1]:begin])) == 0 {
			return splice{begin, begin, text + s.newline() + string(s.text[s.lines[first.Line-1]:begin])}, nil
		}
	}
	switch next := s.text[start]; next {
	case ' ':
		text = " " + text
	case '\n', '\r', '\t':
	default:
		text += " "
	}
	return splice{start, start, text}, nil
}

// insertIntoBlock writes the entries below a neighbour whose value ends on its
// own line, or else below the map's own key, or at the end of the file.
func (s *source) insertIntoBlock(m *newEntries) (splice, error) {
	at, step := m.place, s.indentation(m.place.doc)
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
	switch {
	case below >= 0:
		k := n.Content[below]
		return s.linesAfter(k.Line, s.entryLines(m.trees, k.Column-1, step)), nil
	case len(n.Content) == 0:
	case len(at.keys) > 0:
		first := n.Content[0]
		if k := at.keys[len(at.keys)-1]; k != nil && first.Line > k.Line {
			return s.linesAfter(k.Line, s.entryLines(m.trees, first.Column-1, step)), nil
		}
	case at.doc == len(s.docs)-1 && s.endsWithEntry(n):
		return s.atEnd(s.entryLines(m.trees, n.Column-1, step)), nil
	}
	return splice{}, refuse(NotRepresentable, "cannot be created: the map has no line of its own to put it after; write the key by hand once")
}

// endsWithEntry reports whether more entries of the root map can follow at the end
// of the text: nothing is there that would take them for its own.
func (s *source) endsWithEntry(root *yaml.Node) bool {
	text := bytes.TrimRight(s.text, " \t\r\n")
	last := root.Content[len(root.Content)-1]
	return last.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 && !bytes.HasSuffix(text, []byte("\n...")) && root.Column == 1
}

// atEnd adds lines at the end of the text; a text without a final newline stays
// without one.
func (s *source) atEnd(lines []string) splice {
	end := len(bytes.TrimRight(s.text, " \t\r\n"))
	return splice{end, end, s.newline() + strings.Join(lines, s.newline())}
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
func (s *source) linesAfter(line int, lines []string) splice {
	end := s.lineEnd(line)
	return splice{end, end, s.newline() + strings.Join(lines, s.newline())}
}
