package values

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// maxTag is the length of the longest tag; see [gitops.CheckTag].
const maxTag = 128

// Document is a file that is only read, by the YAML 1.2 reader alone: nothing is
// written that another reader would have to agree with. It is immutable and safe for
// concurrent use.
type Document struct{ source *source }

// Read parses a file to read tags from it. It keeps a reference to
// the text, which must not be changed any more. Errors as [Edit.Set].
func Read(text []byte, l Limits) (*Document, error) {
	if err := l.checkText(text); err != nil {
		return nil, err
	}
	s := newSource(text, l)
	var err error
	if s.docs, err = readNodes(s.readable()); err != nil {
		return nil, notYAML(text, err, nil)
	}
	if err := l.checkTree(s.docs); err != nil {
		return nil, err
	}
	return &Document{s}, nil
}

// Tag returns the tag that the document holds for the edit: what the first target
// whose value names {tag} would have been set with. It is "" when that scalar is
// empty. The error is as that of [Edit.Apply]; it is Invalid when the scalar holds
// something else than what the value's template makes, and NotFound when no target's
// value names {tag}.
func (d *Document) Tag(e *Edit) (string, error) { return d.source.tag(e) }

// Tag is [Document.Tag] of the file with all edits so far.
func (f *File) Tag(e *Edit) (string, error) { return f.source.tag(e) }

func (s *source) tag(e *Edit) (string, error) {
	i := e.tagTarget()
	if i < 0 {
		return "", gitops.Errorf(gitops.NotFound, "no configured value contains {tag}")
	}
	t := e.targets[i]
	text, err := s.read(t)
	if err != nil || text == "" {
		return "", t.at(err)
	}
	tag, ok := t.value.tagIn(text)
	if !ok {
		return "", t.at(gitops.Errorf(gitops.Invalid, "holds %.200q, which does not have the form %s", text, t.value))
	}
	return tag, nil
}

// HasTag reports whether a target's value names {tag}, so that there is one to read.
func (e *Edit) HasTag() bool { return e.tagTarget() >= 0 }

// tagTarget is the first target whose value names {tag}; -1 when none does.
func (e *Edit) tagTarget() int {
	return slices.IndexFunc(e.targets, func(t target) bool { return t.value.uses("tag") })
}

// ReadTag is [Read] and [Document.Tag] at once.
func (e *Edit) ReadTag(text []byte) (string, error) {
	d, err := Read(text, e.limits)
	if err != nil {
		return "", err
	}
	return d.Tag(e)
}

// read returns the text that the target holds; an empty value is "". A file that an
// evaluation cannot stand is unreadable by itself, and not the end of a look at many.
func (s *source) read(t target) (text string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = refuseWithCause(Unverified, fmt.Errorf("the reader gave up: %v", v), "cannot be read in this file")
		}
	}()
	t.create = false
	g, err := s.locate(t)
	if err == nil && g.place.alias != nil && !t.follow {
		err = g.source.checkAlias(g.place)
	}
	if err == nil {
		err = g.source.checkScalar(g.place)
	}
	if err != nil || g.place.node().ShortTag() == "!!null" {
		return "", err
	}
	return g.place.node().Value, nil
}

// String is the template as it was configured.
func (t template) String() string {
	var b strings.Builder
	for _, p := range t {
		if p.variable != "" {
			b.WriteString("{" + p.variable + "}")
		}
		b.WriteString(p.literal)
	}
	return b.String()
}

// tagIn is the inverse of render: the tag in a text that the template could have
// made. Whoever wrote the file may have written another image's name or digest
// there, so any text stands for those, and for a second {tag}. Where several
// readings are possible the tag begins as late and ends as late as it can.
func (t template) tagIn(text string) (tag string, ok bool) {
	i := slices.IndexFunc(t, func(p piece) bool { return p.variable == "tag" })
	before, ok := t[:i].placeBefore(text)
	if !ok || strings.Contains(text, "\n") {
		return "", false
	}
	after, ok := t[i+1:].placeAfter(text)
	if !ok {
		return "", false
	}
	for start := range before.starts(text) {
		if end, ok := after.end(text, start); ok {
			return text[start:end], true
		}
	}
	return "", false
}

// side is where the pieces on one side of the tag allow it to begin or to end:
// exactly at the bound, or with any anywhere beyond the bound where the literal
// that touches the tag stands.
type side struct {
	bound int
	any   bool
	next  string // that literal, with any; may be empty
}

// placeBefore places the pieces before the tag as far to the left as they can be.
func (t template) placeBefore(text string) (s side, ok bool) {
	for i, p := range t {
		found := 0
		switch {
		case p.variable != "":
			s.any = true
			continue
		case s.any && i == len(t)-1:
			s.next = p.literal
			return s, true
		case s.any:
			found = strings.Index(text[s.bound:], p.literal)
			s.any = false
		case !strings.HasPrefix(text, p.literal): // only the first piece has no variable before it
			found = -1
		}
		if found < 0 {
			return side{}, false
		}
		s.bound += found + len(p.literal)
	}
	return s, true
}

// placeAfter places the pieces after the tag as far to the right as they can be.
func (t template) placeAfter(text string) (s side, ok bool) {
	s.bound = len(text)
	for i, p := range slices.Backward(t) {
		switch {
		case p.variable != "":
			s.any = true
			continue
		case s.any && i == 0:
			s.next = p.literal
			return s, true
		case s.any:
			s.bound = strings.LastIndex(text[:s.bound], p.literal)
			s.any = false
		case strings.HasSuffix(text, p.literal): // only the last piece has no variable after it
			s.bound -= len(p.literal)
		default:
			return side{}, false
		}
		if s.bound < 0 {
			return side{}, false
		}
	}
	return s, true
}

// starts yields where the tag may begin, the last place first.
func (s side) starts(text string) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		if !s.any {
			yield(s.bound)
			return
		}
		for end := len(text); end >= s.bound; end-- {
			found := strings.LastIndex(text[s.bound:end], s.next)
			if found < 0 {
				return
			}
			end = s.bound + found + len(s.next)
			if !yield(end) {
				return
			}
		}
	}
}

// end is the last place where a tag that begins at start may end.
func (s side) end(text string, start int) (end int, ok bool) {
	most := start + tagLength(text[start:])
	if !s.any {
		return s.bound, start < s.bound && s.bound <= most
	}
	limit := min(most+len(s.next), s.bound)
	if limit <= start {
		return 0, false
	}
	found := strings.LastIndex(text[start+1:limit], s.next)
	return start + 1 + found, found >= 0 && most > start
}

// tagLength is how many bytes at the beginning of the text are a tag by
// [gitops.CheckTag]; 0 when there is none.
func tagLength(text string) int {
	for i := range min(len(text), maxTag) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
		case i > 0 && (c == '.' || c == '-'):
		default:
			return i
		}
	}
	return min(len(text), maxTag)
}
