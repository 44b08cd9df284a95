package values

import (
	"strconv"

	yaml2 "go.yaml.in/yaml/v2"
	yaml "go.yaml.in/yaml/v4"
)

// expectation is the tree of what may differ between two decodings of a
// document by Helm's reader. A nil expectation is that nothing does.
type expectation struct {
	below map[any]*expectation // by key or list position; nil at a value that may differ
	want  string
	// created says that the value was not there before; inherited that the
	// place may show the new value or stay as it is, because something nearer
	// overrides what it merges.
	created, inherited bool
}

func (e *expectation) add(way []any, want string, created, inherited bool) {
	for _, step := range way {
		if e.below == nil {
			e.below = map[any]*expectation{}
		}
		next := e.below[step]
		if next == nil {
			next = &expectation{}
			e.below[step] = next
		}
		e = next
	}
	e.want, e.created, e.inherited = want, created, inherited
}

// differsOnly reports whether after is before with exactly what e expects.
func differsOnly(before, after any, e *expectation) bool {
	switch {
	case e == nil:
	case e.optional() && differsOnly(before, after, nil):
		return true
	case e.below == nil:
		return after == any(e.want)
	}
	switch b := before.(type) {
	case map[any]any:
		a, ok := after.(map[any]any)
		return ok && mapDiffersOnly(b, a, e)
	case []any:
		a, ok := after.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range b {
			if !differsOnly(b[i], a[i], e.at(i)) {
				return false
			}
		}
		return true
	case nil:
		if a, ok := after.(map[any]any); ok && e != nil {
			return mapDiffersOnly(nil, a, e) // an empty value that became a map
		}
	case float64:
		if a, ok := after.(float64); ok && b != b && a != a {
			return e == nil
		}
	}
	return e == nil && before == after
}

// lookup follows a way; nil when nothing is expected there.
func (e *expectation) lookup(way []any) *expectation {
	for _, step := range way {
		e = e.at(step)
	}
	return e
}

// optional says that nothing at or below e needs to differ.
func (e *expectation) optional() bool {
	for _, below := range e.below {
		if !below.optional() {
			return false
		}
	}
	return e.inherited || e.below != nil
}

func (e *expectation) at(step any) *expectation {
	if e == nil {
		return nil
	}
	return e.below[step]
}

func mapDiffersOnly(before, after map[any]any, e *expectation) bool {
	for k, a := range after {
		b, ok := before[k]
		x := e.at(k)
		if !ok && (x == nil || x.below != nil || !x.created) {
			return false
		}
		if ok && x != nil && x.created && !x.inherited {
			return false
		}
		if !differsOnly(b, a, x) {
			return false
		}
	}
	for k := range before {
		if _, ok := after[k]; !ok {
			return false
		}
	}
	if e != nil {
		for k, x := range e.below {
			if _, ok := after[k]; !ok && !x.optional() {
				return false
			}
		}
	}
	return true
}

// helmPath is the way to p in the terms of Helm's reader.
func helmPath(p place) []any {
	way := make([]any, 0, len(p.keys)+1)
	for i := range p.keys {
		if p.keys[i] == nil {
			way = append(way, p.index[i])
			continue
		}
		way = append(way, helmKey(p.keys[i]))
	}
	return way
}

// helmKey is what Helm's reader makes of a key: to YAML 1.1, the key on is true.
func helmKey(k *yaml.Node) any {
	if k.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return k.Value
	}
	if simpleName.MatchString(k.Value) && !wordGrammar.MatchString(k.Value) {
		if _, err := strconv.ParseFloat(k.Value, 64); err != nil && (k.Value[0] < '0' || k.Value[0] > '9') {
			return k.Value
		}
	}
	var v any
	if err := yaml2.Unmarshal([]byte(k.Value), &v); err != nil {
		return k.Value
	}
	switch v.(type) {
	case map[any]any, []any:
		return k.Value
	}
	return v
}

// helmAt follows a way through a decoded document.
func helmAt(v any, way []any) (any, bool) {
	for _, step := range way {
		switch at := v.(type) {
		case map[any]any:
			next, ok := at[step]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, ok := step.(int)
			if !ok || i < 0 || i >= len(at) {
				return nil, false
			}
			v = at[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// verify reads the edited text again with both readers and compares it with
// the original.
func (p *plan) verify(edited []byte) error {
	after, err := readSource(edited)
	if err != nil {
		return refuseWithCause(Unverified, err, "the edited file could not be read again, so it was dropped")
	}
	s := p.source
	if len(after.docs) != len(s.docs) {
		return refuse(Unverified, "the edited file has other documents than before, so it was dropped")
	}
	for i := range s.docs {
		if !p.sameNodes(s.docs[i], after.docs[i]) || !differsOnly(s.helm[i], after.helm[i], p.expected[i]) {
			return refuse(Unverified, "the edited file would differ in more than this value, so it was dropped")
		}
	}
	return nil
}

// sameNodes compares two documents node by node as they are written, where
// Helm's view compares what they mean.
func (p *plan) sameNodes(b, a *yaml.Node) bool {
	if want, ok := p.changed[b]; ok {
		return a.Kind == yaml.ScalarNode && a.ShortTag() == "!!str" && a.Value == want && a.Anchor == b.Anchor && len(b.Content) == 0
	}
	if created := p.created[b]; created != nil {
		return p.sameWithCreated(b, a, created.pairs)
	}
	if b.Kind != a.Kind || b.Tag != a.Tag || b.Value != a.Value || b.Style != a.Style ||
		(b.Line != a.Line && len(p.created) == 0) {
		return false
	}
	return b.Anchor == a.Anchor && p.sameContent(b.Content, a.Content)
}

func (p *plan) sameContent(before, after []*yaml.Node) bool {
	if len(before) != len(after) {
		return false
	}
	for i := range before {
		if !p.sameNodes(before[i], after[i]) {
			return false
		}
	}
	return true
}

// sameWithCreated takes the created pairs out of a map and compares the rest.
func (p *plan) sameWithCreated(b, a *yaml.Node, created []pair) bool {
	if a.Kind != yaml.MappingNode || a.Anchor != b.Anchor {
		return false
	}
	rest := append([]*yaml.Node(nil), a.Content...)
	for _, c := range created {
		at := -1
		for i := 0; i+1 < len(rest); i += 2 {
			if k, v := rest[i], rest[i+1]; k.Value == c.key && v.Value == c.value && k.ShortTag() == "!!str" && v.ShortTag() == "!!str" {
				at = i
			}
		}
		if at < 0 {
			return false
		}
		rest = append(rest[:at], rest[at+2:]...)
	}
	return p.sameContent(b.Content, rest)
}
