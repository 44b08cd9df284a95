package values

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	yaml2 "go.yaml.in/yaml/v2"
	yaml "go.yaml.in/yaml/v4"
)

// MaxFile is the size in bytes over which a file is refused.
const MaxFile = 5 << 20

const byteOrderMark = "\ufeff"

// source is one file as two readers see it, and where its lines begin.
type source struct {
	text  []byte
	lines []int        // offset of each line's first byte, after a byte order mark
	docs  []*yaml.Node // roots of the documents, by a YAML 1.2 reader; they know their line and column
	helm  []any        // the same documents by the YAML 1.1 reader that Helm has, aliases and merge keys resolved
	users map[*yaml.Node][]use
	spans map[*yaml.Node]splice // of values that edits of a [File] have set already
}

func readSource(text []byte) (*source, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	s := &source{text: text}
	// The readers share nothing and are nearly all of an edit's time: side by side
	// they take half of it.
	var nodesErr, helmErr error
	var reading sync.WaitGroup
	reading.Go(func() { s.docs, nodesErr = readNodes(text) })
	s.helm, helmErr = readHelm(text)
	reading.Wait()
	if err := cmp.Or(nodesErr, helmErr); err != nil {
		return nil, notYAML(text, err)
	}
	if len(s.docs) != len(s.helm) {
		return nil, refuse(NotYAML, "the file has %d documents to a YAML 1.2 reader and %d to Helm's", len(s.docs), len(s.helm))
	}
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
	return s, nil
}

// checkText refuses what is not even parsed.
func checkText(text []byte) error {
	if len(text) > MaxFile {
		return refuse(FileTooLarge, "the file has %d bytes; at most %d are edited", len(text), MaxFile)
	}
	return checkEncoding(text)
}

// checkEncoding refuses what would make "line 7, column 3" mean different bytes
// to different readers.
func checkEncoding(text []byte) error {
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return refuse(BadEncoding, "the file is UTF-16; store it as UTF-8")
	case bytes.IndexByte(text, 0) >= 0:
		return refuse(BadEncoding, "the file has a NUL byte; store it as UTF-8 text")
	case !utf8.Valid(text):
		return refuse(BadEncoding, "the file is not UTF-8")
	case bytes.LastIndex(text, []byte(byteOrderMark)) > 0:
		return refuse(BadEncoding, "the file has a byte order mark within the text; remove it")
	}
	if bytes.Count(text, []byte("\r")) != bytes.Count(text, []byte("\r\n")) {
		return refuse(BadEncoding, "the file has a carriage return without a line feed; use one kind of line ending")
	}
	for _, separator := range []string{"\u0085", "\u2028", "\u2029"} {
		if bytes.Contains(text, []byte(separator)) {
			return refuse(BadEncoding, "the file has a Unicode line separator (U+0085, U+2028 or U+2029), which YAML readers treat differently; remove it")
		}
	}
	return nil
}

var (
	// templateText is a template's opening braces outside of quotes and comments.
	templateText = regexp.MustCompile(`(?m)^[^#"'\n]*\{\{`)
	lineNumber   = regexp.MustCompile(`line [0-9]+`)
)

// notYAML takes only the line from a parser's message: the rest may quote the file.
func notYAML(text []byte, cause error) error {
	if templateText.Match(text) {
		return refuseWithCause(Placeholder, cause, "the file is a template ({{ }}) for another tool to fill in, not YAML")
	}
	where := ""
	if line := lineNumber.FindString(cause.Error()); line != "" {
		where = "; see " + line
	}
	return refuseWithCause(NotYAML, cause, "the file is not YAML to every reader%s", where)
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

// offset is where a node begins. Nodes count columns in characters from 1, and
// a byte order mark is none.
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
		return 0, 0, refuse(Unverified, "its place in the file cannot be told")
	}
	if n.Anchor != "" {
		if !bytes.HasPrefix(s.text[at:], []byte("&"+n.Anchor)) {
			return 0, 0, refuse(Unverified, "its place in the file cannot be told")
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
		return 0, 0, refuse(BlockScalar, "is written as a block (| or >); write it on one line first")
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

// panicIsError turns a reader's panic into its error. One file that a reader
// cannot stand must fail its own update, not end the process, which would begin
// again with the same update.
func panicIsError(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("the reader gave up: %v", v)
	}
}
