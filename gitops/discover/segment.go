package discover

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tallyman-dev/tallyman/gitops"
)

// segment is the pattern of one name of a path.
type segment struct {
	text   string // as configured
	pieces []piece
}

type kind int

const (
	literal kind = iota
	app          // {app}
	env          // {env}
	star         // *
)

type piece struct {
	kind kind
	text string // of a literal
}

// fixed reports whether the segment is one name.
func (s segment) fixed() bool { return len(s.pieces) == 1 && s.pieces[0].kind == literal }

func (s segment) has(k kind) bool {
	return slices.ContainsFunc(s.pieces, func(p piece) bool { return p.kind == k })
}

// reading is a way to read the names of a path. What the path does not name, or not
// yet, is "".
type reading struct {
	app, env string
	unknown  bool // env is a name, and not one of an environment
	cut      bool // there are more ways than are tried: names that are not known fit anything
}

// maxReadings is how many ways to read a name are tried below it, of those of known
// environments and of the others.
const maxReadings = 8

// environments are the names that {env} can stand for.
type environments struct {
	known map[string]bool // those of the entry
	other map[string]bool // configured, and not the entry's
}

// maxName is how long a name of a path may be, as in file systems.
const maxName = 255

// usable reports whether a name of a tree can be one of a path that is written: see
// [git.SplitPath].
func usable(name string) bool {
	return len(name) <= maxName && !strings.EqualFold(name, ".git") && name != "." && name != ".." &&
		utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return r == '\\' || unicode.IsControl(r) })
}

// matcher finds the readings of a name.
type matcher struct {
	environments
	left *int // steps that may still be taken
	// Those of known environments, and of others.
	found, unknown []reading
}

// readings returns the readings of a name by a segment, each of which goes on from one of
// the readings so far. Where there is one of a known environment, others do not count.
func (m *matcher) readings(s segment, name string, so []reading) []reading {
	m.found, m.unknown = nil, nil
	for _, r := range so {
		m.pieces(s.pieces, name, r)
	}
	list := m.found
	if len(list) == 0 {
		list = m.unknown
	}
	if len(list) > maxReadings {
		return []reading{{cut: true, unknown: len(m.found) == 0}}
	}
	return list
}

// add keeps a reading.
func (m *matcher) add(r reading) {
	list := &m.found
	if r.unknown {
		list = &m.unknown
	}
	if len(*list) <= maxReadings && !slices.Contains(*list, r) {
		*list = append(*list, r)
	}
}

func (m *matcher) pieces(pieces []piece, rest string, r reading) {
	if *m.left--; *m.left < 0 {
		return
	}
	if len(pieces) == 0 {
		if rest == "" {
			m.add(r)
		}
		return
	}
	p := pieces[0]
	text := p.text
	switch p.kind {
	case app:
		text = r.app
	case env:
		text = r.env
	}
	if text != "" { // a literal, or a name that is known already
		if rest, ok := strings.CutPrefix(rest, text); ok {
			m.pieces(pieces[1:], rest, r)
		}
		return
	}
	for end := range ends(pieces, rest) {
		if next, ok := m.take(p.kind, rest[:end], r); ok {
			m.pieces(pieces[1:], rest[end:], next)
		}
	}
}

// take reads a text as what a piece stands for.
func (m *matcher) take(k kind, text string, r reading) (reading, bool) {
	switch k {
	case app:
		r.app = text
	case env:
		if m.other[text] {
			return r, false
		}
		r.env, r.unknown = text, !m.known[text]
		return r, !r.unknown || gitops.CheckName("", text) == nil
	}
	return r, true
}

// ends yields where the text of the first piece can end, the last place first. The
// piece behind it, if there is one, is a literal.
func ends(pieces []piece, rest string) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		least := 1
		if pieces[0].kind == star {
			least = 0
		}
		if len(pieces) == 1 {
			if len(rest) >= least {
				yield(len(rest))
			}
			return
		}
		next := pieces[1]
		for end := len(rest); end >= least; {
			at := strings.LastIndex(rest[:end], next.text)
			if at < least || !yield(at) {
				return
			}
			end = at + len(next.text) - 1
		}
	}
}
