package values

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	yaml2 "go.yaml.in/yaml/v2"
	yaml "go.yaml.in/yaml/v4"
)

// source is one file as two readers see it, and where its lines begin.
type source struct {
	text    []byte
	limits  Limits
	json    bool         // the file is JSON, and stays it
	lines   []int        // offset of each line's first byte, after a byte order mark
	docs    []*yaml.Node // roots of the documents, by a YAML 1.2 reader; they know their line and column
	helm    []any        // the same documents by the YAML 1.1 reader that Helm has, aliases and merge keys applied
	aliases bool         // some node may be an alias

	blocks map[*yaml.Node]*block // YAML in block scalars, once a target is inside
	spans  map[*yaml.Node]splice // of values that edits of a [File] have set already
	seal   func() error          // the result of checkAuthentic, found once
}

// parseSource reads a file, which may be one that must not be edited: see
// [source.checkAuthentic].
func parseSource(text []byte, l Limits) (*source, error) {
	if err := l.checkText(text); err != nil {
		return nil, err
	}
	s := newSource(text, l)
	s.blocks = map[*yaml.Node]*block{}
	s.seal = sync.OnceValue(s.checkAuthentic)
	if err := s.readBoth(s.readable()); err != nil {
		return nil, err
	}
	if len(s.docs) != len(s.helm) {
		return nil, refuse(NotYAML, "the file has %d documents to a YAML 1.2 reader and %d to Helm's", len(s.docs), len(s.helm))
	}
	return s, nil
}

// readBoth has both readers read. They share nothing and are nearly all of an edit's
// time: side by side they take half of it. Where there are aliases the second must
// wait: it puts what they stand for in their places, which may be too much.
func (s *source) readBoth(text []byte) error {
	var nodesErr, treeErr, helmErr error
	readNodes := func() {
		if s.docs, nodesErr = readNodes(text); nodesErr == nil {
			treeErr = s.limits.checkTree(s.docs)
		}
	}
	var reading sync.WaitGroup
	if reading.Go(readNodes); s.aliases {
		if reading.Wait(); treeErr != nil {
			return treeErr
		}
	}
	s.helm, helmErr = readHelm(text)
	reading.Wait()
	if cmp.Or(nodesErr, helmErr) != nil {
		return notYAML(s.text, nodesErr, helmErr)
	}
	return treeErr
}

// newSource is the source of a text that is not parsed yet.
func newSource(text []byte, l Limits) *source {
	s := &source{text: text, limits: l, json: isJSON(text), aliases: bytes.IndexByte(text, '*') >= 0}
	first := 0
	if bytes.HasPrefix(text, []byte(byteOrderMark)) {
		first = len(byteOrderMark)
	}
	s.lines = make([]int, 1, 2+bytes.Count(text, []byte("\n")))
	s.lines[0] = first
	for i, c := range text {
		if c == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// readable is the text as YAML readers take it.
func (s *source) readable() []byte {
	if s.json {
		return jsonAsYAML(s.text)
	}
	return s.text
}

// checkText refuses what is not even parsed.
func (l Limits) checkText(text []byte) error {
	if err := l.check(Measure(text)); err != nil {
		return err
	}
	return checkEncoding(text)
}

func readNodes(text []byte) (docs []*yaml.Node, err error) {
	defer panicIsError(&err)
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var n yaml.Node
		switch err := d.Decode(&n); {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			return nil, err
		case n.Kind != yaml.DocumentNode || len(n.Content) != 1:
			return nil, errors.New("a document without a root")
		}
		docs = append(docs, n.Content[0])
	}
}

func readHelm(text []byte) (docs []any, err error) {
	defer panicIsError(&err)
	for d := yaml2.NewDecoder(bytes.NewReader(text)); ; {
		var v any
		switch err := d.Decode(&v); {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			return nil, err
		}
		docs = append(docs, v)
	}
}

// panicIsError turns a reader's panic into its error. One file that a reader
// cannot stand must fail its own update, not end the process, which would begin
// again with the same update.
func panicIsError(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("the reader panicked: %v", v)
	}
}

// offset is where a node begins. Nodes count columns in characters from 1, and
// a byte order mark does not count.
func (s *source) offset(line, column int) (int, bool) {
	if line < 1 || line > len(s.lines) || column < 1 {
		return 0, false
	}
	at := s.lines[line-1]
	for ; column > 1; column-- {
		if at >= len(s.text) || s.text[at] == '\n' {
			return 0, false
		}
		_, size := utf8.DecodeRune(s.text[at:])
		at += size
	}
	return at, true
}

// lineEnd is the offset of the line's break, or of the end of the file.
func (s *source) lineEnd(line int) int {
	end := len(s.text)
	if line < len(s.lines) {
		end = s.lines[line] - 1
		if end > 0 && s.text[end-1] == '\r' {
			end--
		}
	}
	return end
}

// newline is the line ending in use.
func (s *source) newline() string {
	if i := bytes.IndexByte(s.text, '\n'); i > 0 && s.text[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// span is the scalar's text with its quotes and without its anchor, as offsets
// into the file. An empty value has an empty span right after its colon.
func (s *source) span(n *yaml.Node) (start, end int, err error) {
	if sp, set := s.spans[n]; set {
		return sp.start, sp.end, nil
	}
	at, ok := s.offset(n.Line, n.Column)
	if !ok {
		return 0, 0, refuse(Unverified, "is at a place in the file that cannot be found again")
	}
	if n.Anchor != "" {
		if !bytes.HasPrefix(s.text[at:], []byte("&"+n.Anchor)) {
			return 0, 0, refuse(Unverified, "is at a place in the file that cannot be found again")
		}
		at += 1 + len(n.Anchor)
		if n.Value == "" && n.Style == 0 {
			return at, at, nil
		}
		for at < len(s.text) && (s.text[at] == ' ' || s.text[at] == '\t') {
			at++
		}
	}
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return 0, 0, blockScalar(n)
	case n.Style&yaml.DoubleQuotedStyle != 0:
		end = s.closingQuote(at, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		end = s.closingQuote(at, '\'')
	case bytes.HasPrefix(s.text[at:], []byte(n.Value)) && !strings.Contains(n.Value, "\n"):
		end = at + len(n.Value)
	}
	if end < at || (end == at && (n.Value != "" || n.Style != 0)) {
		return 0, 0, refuse(MultiLine, "is written over several lines; write it on one line first")
	}
	return at, end, nil
}

func (s *source) blankBefore(at int) bool {
	return at > 0 && (s.text[at-1] == ' ' || s.text[at-1] == '\t')
}

// closingQuote is the offset after the quote that closes the one at start, or 0
// when it is not on that line.
func (s *source) closingQuote(start int, quote byte) int {
	if start >= len(s.text) || s.text[start] != quote {
		return 0
	}
	for i := start + 1; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '\n':
			return 0
		case c == '\\' && quote == '"' && i+1 < len(s.text) && s.text[i+1] != '\n' && s.text[i+1] != '\r':
			i++
		case c == quote && quote == '\'' && i+1 < len(s.text) && s.text[i+1] == quote:
			i++
		case c == quote:
			return i + 1
		}
	}
	return 0
}
