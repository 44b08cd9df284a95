package values

import (
	"bytes"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// File is a file that several edits change one after the other. It is parsed once
// and, after the last of them, verified once: an edit then costs what it changes and
// not what the file is large. It belongs to one goroutine.
type File struct {
	source   *source      // its nodes say what the edits have set, its text does not
	expected *expectation // of all edits
	text     []byte       // with all edits
	kept     []byte       // a text that must stay as it is; see Keep
	spare    []byte       // a text that the next one is written over
}

// Open parses a file. Errors as [Edit.Set]; it keeps a reference to the text, which
// must not be changed any more.
func Open(text []byte, l Limits) (*File, error) {
	s, err := parseSource(text, l)
	if err != nil {
		return nil, err
	}
	s.spans = make(map[*yaml.Node]splice)
	return &File{source: s, expected: newExpectation(), text: text}, nil
}

// Change is an edit of an open file that is not made yet. It holds until the next one is
// prepared.
type Change struct {
	Result
	file  *File
	plan  *plan // nil where nothing changes, or again is there
	again *File // the file with the edit, where that is read again
}

// Prepare finds out what an edit makes of the file with those before, as [Edit.Set]
// does, except that the result is not verified: [File.Verify] does that for all of them.
// The file stays as it is until [Change.Make], and after an error.
//
// The text belongs to the file: an edit writes over those of before the last one, so
// that many edits of a large file need the memory of few. [File.Keep] prevents that.
func (f *File) Prepare(e *Edit, v Vars) (Change, error) {
	p, err := f.source.plan(e, v)
	if err != nil {
		return Change{}, err
	}
	if p.movesOrShares() {
		return f.prepareAlone(e, v)
	}
	if len(p.splices) == 0 {
		return Change{Result: Result{Text: f.text}}, nil
	}
	out, err := f.spliced(p)
	if err != nil {
		return Change{}, err
	}
	if err := f.source.limits.checkGrown(out); err != nil {
		return Change{}, p.atOnly(err)
	}
	if bytes.Equal(out, f.text) {
		return Change{Result: Result{Text: f.text}}, nil
	}
	c := Change{Result: Result{Text: out, Changed: true}, file: f, plan: p}
	for _, s := range p.sets {
		c.Paths = append(c.Paths, f.source.showPlace(s.place.doc, helmPath(s.place)))
	}
	return c, nil
}

// movesOrShares reports whether a plan must be verified by itself: it moves what
// comes after it, or it changes a value that other places may show.
func (p *plan) movesOrShares() bool {
	if len(p.created) > 0 || len(p.inside) > 0 || len(p.expected.follows) > 0 {
		return true
	}
	for _, s := range p.sets {
		if s.place.alias != nil {
			return true
		}
		for _, n := range s.place.chain {
			if n.Anchor != "" {
				return true
			}
		}
	}
	return false
}

// prepareAlone verifies the edits so far, makes one more in the text they gave, and
// reads the file again.
func (f *File) prepareAlone(e *Edit, v Vars) (Change, error) {
	if err := f.Verify(); err != nil {
		return Change{}, err
	}
	r, err := e.Within(f.source.limits).Set(f.text, v)
	if err != nil || !r.Changed {
		return Change{Result: Result{Text: f.text}}, err
	}
	again, err := Open(r.Text, f.source.limits)
	if err != nil {
		return Change{}, err
	}
	return Change{Result: r, file: f, again: again}, nil
}

// Make makes the edit.
func (c Change) Make() {
	switch f := c.file; {
	case c.again != nil:
		*f = *c.again
	case c.plan != nil:
		f.take(c.plan)
		f.spare = nil
		f.release(f.text)
		f.text = c.Text
	}
}

// spliced is the text with the edits so far and those of the plan.
func (f *File) spliced(p *plan) ([]byte, error) {
	all := make([]splice, 0, len(f.source.spans)+len(p.splices))
	for n, sp := range f.source.spans {
		if !p.changed[n] {
			all = append(all, sp)
		}
	}
	return spliceAll(f.spare, f.source.text, append(all, p.splices...))
}

// take makes the plan's values those of the source, so that the next edit finds them,
// and expects them of the result.
func (f *File) take(p *plan) {
	for _, s := range p.sets {
		n := s.place.node()
		f.source.spans[n] = s.splice
		n.Value = s.want.text
		if !s.want.typed {
			n.Tag = "!!str"
		}
		if strings.HasSuffix(s.text, `"`) {
			n.Style |= yaml.DoubleQuotedStyle // quotes that are there stay
		}
		setHelm(f.source.helm[s.place.doc], helmPath(s.place), s.want.helmValue())
	}
	f.expected.add(p.expected)
}

// setHelm sets the value at the end of a way that is there.
func setHelm(v any, way []any, value any) {
	last := len(way) - 1
	if last < 0 {
		return
	}
	at, _ := helmAt(v, way[:last])
	switch at := at.(type) {
	case map[any]any:
		at[way[last]] = value
	case []any:
		if i, ok := way[last].(int); ok && i >= 0 && i < len(at) {
			at[i] = value
		}
	}
}

// Verify reads the file with all edits again, and compares it with the first reading,
// in which the edits have set their values: nothing else may differ. An error does
// not say which of the edits is at fault, but it names the paths.
//
// That finds all that comparing with the text before the edits would: an edit that
// other paths show, which the first reading would hide, is made alone.
func (f *File) Verify() error {
	if bytes.Equal(f.text, f.source.text) {
		return nil
	}
	_, err := verifyText(f.expected, f.source, f.text)
	return err
}
