package values

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// block is a literal block scalar whose text is YAML of its own.
type block struct {
	outer  *source
	place  place
	node   *yaml.Node
	source *source // its text, below as many empty lines as the file has above it: the lines have their numbers
	first  int     // the line of the file that the text begins in
	indent int     // how far the text is set in
	key    key     // that selects it
}

// insideOf finds the block scalar that a key selects, and reads its text.
func (s *source) insideOf(k key) (*block, error) {
	found, err := s.find(k.all)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, s.missing(k)
	case len(found) > 1:
		return nil, refuse(SeveralSelected, "inside: selects %d values, in lines %s; it must select one", len(found), lineList(found))
	}
	p := found[0]
	n := p.node()
	if b := s.blocks[n]; b != nil {
		return b, nil
	}
	switch {
	case p.alias != nil:
		return nil, s.checkAlias(p)
	case n.Kind != yaml.ScalarNode:
		return nil, refuse(NotScalar, "inside: selects a map or a list, not text with YAML in it; leave out inside and write the whole key")
	case n.Style&yaml.LiteralStyle == 0:
		return nil, refuse(BlockScalar, "inside: selects text that is not a literal block (key: |); write it as one")
	}
	b := &block{outer: s, place: p, node: n, key: k}
	if err := b.findText(); err != nil {
		return nil, err
	}
	if b.source, err = parseSource([]byte(strings.Repeat("\n", b.first-1)+n.Value), s.limits); err != nil {
		return nil, atInside(k, err)
	}
	if s.blocks != nil { // a [Document] notes nothing
		s.blocks[n] = b
	}
	return b, nil
}

// atInside says of an error about "the file" which text it means.
func atInside(k key, err error) error { return at(key{text: "in the text of " + k.text}, err) }

// findText finds the block's lines in the file: each is its line in the text, set
// in by the same number of spaces. Lines without text may have fewer.
func (b *block) findText() error {
	b.first, b.indent = b.node.Line+1, -1
	for i, line := range strings.Split(strings.TrimRight(b.node.Value, "\n"), "\n") {
		at := b.first + i
		if at > len(b.outer.lines) {
			return refuse(Unverified, "is at a place in the file that cannot be found again")
		}
		written := string(b.outer.text[b.outer.lines[at-1]:b.outer.lineEnd(at)])
		if strings.TrimSpace(written) == "" {
			continue
		}
		spaces, ok := strings.CutSuffix(written, line)
		if !ok || strings.Trim(spaces, " ") != "" || b.indent >= 0 && len(spaces) != b.indent {
			return refuse(Unverified, "is at a place in the file that cannot be found again")
		}
		b.indent = len(spaces)
	}
	if b.indent < 0 {
		return refuse(NothingSelected, "inside: selects an empty text")
	}
	return nil
}

// outward turns a splice of the text into one of the file.
func (b *block) outward(sp splice) splice {
	newLine := b.outer.newline() + strings.Repeat(" ", b.indent)
	return splice{b.offset(sp.start), b.offset(sp.end), strings.ReplaceAll(sp.text, "\n", newLine)}
}

func (b *block) offset(at int) int {
	line, _ := slices.BinarySearch(b.source.lines, at+1) // lines that begin at or before it
	return min(b.outer.lines[line-1]+b.indent+at-b.source.lines[line-1], b.outer.lineEnd(line))
}

// setBlocks writes what is planned inside of block scalars into the file.
func (p *plan) setBlocks() error {
	for b, inner := range p.inside {
		if err := inner.spliceCreated(); err != nil {
			return err
		}
		if len(inner.splices) == 0 {
			continue
		}
		out, err := spliceAll(nil, inner.source.text, inner.splices)
		if err != nil {
			return err
		}
		if inner.paths, err = verifyText(inner.expected, inner.source, out); err != nil {
			return atInside(b.key, err)
		}
		w := want{text: string(out[b.first-1:])}
		for _, sp := range inner.splices {
			p.splices = append(p.splices, b.outward(sp))
		}
		p.expected.moves = p.expected.moves || len(inner.created) > 0
		p.expected.written[positionOf(b.place.doc, b.node)] = w
		p.expected.set(expected{b.place.doc, helmPath(b.place), w, b.key})
	}
	return nil
}

// inText names the paths that an edit changes in the block's text.
func (b *block) inText(paths []string) (named []string) {
	for _, path := range paths {
		named = append(named, fmt.Sprintf("%s in the text of %s", path, b.outer.showPlace(b.place.doc, helmPath(b.place))))
	}
	return named
}

// blockScalar says what to do about a value that is a block.
func blockScalar(n *yaml.Node) error {
	var inner any
	text := []byte(n.Value) // its lines were counted with the file's
	if bytes.Contains(text, []byte(":")) && Measure(text).Aliases == 0 && yaml.Unmarshal(text, &inner) == nil {
		if _, isMap := inner.(map[string]any); isMap {
			return refuse(BlockScalar, "is a block (| or >) with YAML of its own; select it with inside, and with key what is in it (an Argo CD Application can have valuesObject or parameters instead)")
		}
	}
	return refuse(BlockScalar, "is written as a block (| or >); write it on one line first")
}
