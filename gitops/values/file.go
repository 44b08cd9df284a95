package values

import (
	"bytes"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// File is a file that several edits change one after the other. It is parsed once
// and, after the last of them, verified once: an edit then costs what it changes and
// not what the file is large. It belongs to one goroutine.
type File struct {
	source *source // its nodes say what the edits have set, its text does not
	plan   *plan   // of all edits
	text   []byte  // with all edits
	kept   []byte  // a text that must stay as it is; see Keep
	spare  []byte  // a text that the next one is written over
}

// Open parses a file. Errors as [Edit.Apply]; it keeps a reference to the text, which
// must not be changed any more.
func Open(text []byte) (*File, error) {
	s, err := readSource(text)
	if err != nil {
		return nil, err
	}
	s.spans = make(map[*yaml.Node]splice)
	return &File{source: s, plan: newPlan(s), text: text}, nil
}

// Apply makes an edit on top of those before, as [Edit.Apply] does, except that the
// result is not verified: [File.Verify] does that for all of them. After an error the
// file is as it was.
//
// The text belongs to the file: an edit writes over those of before the last one, so
// that many edits of a large file need the memory of few. [File.Keep] prevents that.
func (f *File) Apply(e *Edit, v Vars) (out []byte, changed bool, err error) {
	goals, err := f.source.goals(e, v)
	if err != nil {
		return nil, false, err
	}
	if slices.ContainsFunc(goals, func(g goal) bool { return g.create }) {
		return f.applyAlone(e, v)
	}
	p := newPlan(f.source)
	if err := p.setAll(goals); err != nil {
		return nil, false, err
	}
	if len(p.splices) == 0 {
		return f.text, false, nil
	}
	out, err = f.spliced(p)
	if err != nil {
		return nil, false, err
	}
	f.take(p)
	if bytes.Equal(out, f.text) {
		return f.text, false, nil
	}
	f.spare = nil
	f.release(f.text)
	f.text = out
	return out, true, nil
}

// applyAlone makes an edit that creates keys: what comes after it stands elsewhere
// then, so the file is parsed again.
func (f *File) applyAlone(e *Edit, v Vars) (out []byte, changed bool, err error) {
	if err := f.Verify(); err != nil {
		return nil, false, err
	}
	out, changed, err = e.Apply(f.text, v)
	if err != nil || !changed {
		return f.text, false, err
	}
	again, err := Open(out)
	if err != nil {
		return nil, false, err
	}
	*f = *again
	return out, true, nil
}

// spliced is the text with the edits so far and those of the plan.
func (f *File) spliced(p *plan) ([]byte, error) {
	all := make([]splice, 0, len(f.source.spans)+len(p.splices))
	for n, sp := range f.source.spans {
		if _, again := p.changed[n]; !again {
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
		n.Value, n.Tag = s.value, "!!str"
		if strings.HasSuffix(s.text, `"`) {
			n.Style |= yaml.DoubleQuotedStyle // quotes that are there stay
		}
		setHelm(f.source.helm[s.place.doc], s.way, s.value)
		f.plan.changed[n] = s.value
		if e := f.plan.expected[s.place.doc]; e != nil {
			for _, w := range s.inherited {
				if old := e.lookup(w); old != nil && old.inherited {
					old.want = s.value
				}
			}
		}
		f.plan.expect(s.place.doc, s.way, s.inherited, s.value, false)
	}
}

// setHelm sets the value at the end of a way that is there.
func setHelm(v any, way []any, value string) {
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

// Verify reads the file with all edits again, as [Edit.Apply] does with the result of
// one. An error does not say which of the edits is at fault.
func (f *File) Verify() error {
	if bytes.Equal(f.text, f.source.text) {
		return nil
	}
	return f.plan.verify(f.text)
}
