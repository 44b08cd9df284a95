package values

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// plan is one edit of one file: what is written where, and how the result must
// read back.
type plan struct {
	source   *source
	splices  []splice
	sets     []set
	expected []*expectation // by document; nil when nothing in it changes

	changed map[*yaml.Node]string      // scalars, and what they become
	created map[*yaml.Node]*newEntries // maps, and what they get
	order   []*newEntries              // the same in the order of the targets
}

// splice replaces the bytes from start to end.
type splice struct {
	start, end int
	text       string
}

// set is one value that is set.
type set struct {
	splice
	place     place
	way       []any   // in the terms of Helm's reader
	inherited [][]any // ways to where it shows, too
	value     string
}

// newEntries are the pairs to create in one map.
type newEntries struct {
	place place
	key   key // of the first target, to name in an error
	pairs []pair
}

type pair struct{ key, value string }

// goal is a target with the place it means in this file.
type goal struct {
	target target
	value  string
	place  place // of the scalar, or of the map to create it in
	create bool
}

// name is the key that the goal sets, and parent the place of the map it is in.
func (g goal) name() string {
	if g.create {
		return g.target.key.last
	}
	return g.place.name()
}

func (g goal) parent() (place, bool) {
	p := g.place
	if g.create {
		return p, true
	}
	n := len(p.keys)
	if n == 0 {
		return place{}, false
	}
	return place{doc: p.doc, chain: p.chain[:n], keys: p.keys[:n-1], index: p.index[:n-1], evaluated: p.evaluated}, true
}

func newPlan(s *source) *plan {
	return &plan{
		source:   s,
		expected: make([]*expectation, len(s.docs)),
		changed:  map[*yaml.Node]string{},
		created:  map[*yaml.Node]*newEntries{},
	}
}

// locate finds the one place a target means.
func (s *source) locate(t target) (goal, error) {
	found, err := s.find(t.key.all)
	if err != nil {
		return goal{}, err
	}
	switch {
	case len(found) == 1:
		return goal{target: t, place: found[0]}, nil
	case len(found) > 1:
		return goal{}, refuse(SeveralSelected, "selects %d values, in lines %s; it must select one", len(found), lineList(found))
	case !t.create:
		return goal{}, s.missing(t.key)
	}
	parents, err := s.find(t.key.parent)
	if err != nil {
		return goal{}, err
	}
	switch {
	case len(parents) == 0:
		return goal{}, s.missing(t.key)
	case len(parents) > 1:
		return goal{}, refuse(SeveralSelected, "could be created in %d places, in lines %s; the key must select one", len(parents), lineList(parents))
	}
	return goal{target: t, place: parents[0], create: true}, nil
}

// setAll plans all goals of one edit.
func (p *plan) setAll(goals []goal) error {
	for i, g := range goals {
		if err := p.set(g, setByOthers(goals, i)); err != nil {
			return at(g.target.key, err)
		}
	}
	return nil
}

// set plans one goal. setToo tells which keys of the same map other goals set.
func (p *plan) set(g goal, setToo func(name string) bool) error {
	s := p.source
	if parent, ok := g.parent(); ok && g.target.value.uses("tag") {
		if err := s.checkDigest(parent, g.name(), setToo); err != nil {
			return err
		}
	}
	if g.create {
		return p.create(g)
	}
	if err := checkScalar(g.place); err != nil {
		return err
	}
	n := g.place.node()
	if _, twice := p.changed[n]; twice {
		return refuse(SeveralSelected, "selects the same value as another key of this edit")
	}
	start, end, err := s.span(n)
	if err != nil {
		return err
	}
	inherited, err := s.inherited(g.place)
	if err != nil {
		return err
	}
	if err := checkHeld(n, g.value); err != nil {
		return err
	}
	way := helmPath(g.place)
	if s.isString(n, g.place.doc, way, g.value) {
		return nil
	}
	text := spell(g.value, n.Style)
	if start == end && !s.blankBefore(start) {
		text = " " + text
	}
	p.splices = append(p.splices, splice{start, end, text})
	p.sets = append(p.sets, set{splice{start, end, text}, g.place, way, inherited, g.value})
	p.changed[n] = g.value
	p.expect(g.place.doc, way, inherited, g.value, false)
	return nil
}

// isString reports whether both readers already see value there as a string.
// 1.10 without quotes is none, though it has the same letters.
func (s *source) isString(n *yaml.Node, doc int, way []any, value string) bool {
	seen, ok := helmAt(s.helm[doc], way)
	return ok && seen == any(value) && n.Value == value && n.ShortTag() == "!!str"
}

func (p *plan) expect(doc int, way []any, inherited [][]any, value string, created bool) {
	if p.expected[doc] == nil {
		p.expected[doc] = &expectation{}
	}
	e := p.expected[doc]
	for _, w := range inherited {
		if e.lookup(w) == nil {
			e.add(w, value, created, true)
		}
	}
	e.add(way, value, created, false)
}

// apply writes the splices into the file's text and verifies the result.
func (p *plan) apply() ([]byte, error) {
	if err := p.spliceCreated(); err != nil {
		return nil, err
	}
	out, err := spliceAll(nil, p.source.text, p.splices)
	if err != nil {
		return nil, err
	}
	return out, p.verify(out)
}

// spliceAll puts the splices into a text, which stays as it is. It writes the result
// over out where that is large enough.
func spliceAll(out, text []byte, splices []splice) ([]byte, error) {
	sort.SliceStable(splices, func(i, j int) bool { return splices[i].start < splices[j].start })
	size := len(text)
	for _, sp := range splices {
		size += len(sp.text)
	}
	out = slices.Grow(out[:0], size)
	at := 0
	for _, sp := range splices {
		if sp.start < at {
			return nil, refuse(Unverified, "two values of this edit overlap in the file")
		}
		out = append(out, text[at:sp.start]...)
		out = append(out, sp.text...)
		at = sp.end
	}
	return append(out, text[at:]...), nil
}

// lineList names where places are, for a sentence.
func lineList(places []place) string {
	const most = 5
	var lines []string
	for _, p := range places[:min(most, len(places))] {
		lines = append(lines, fmt.Sprint(p.node().Line))
	}
	text := strings.Join(lines, ", ")
	if len(places) > most {
		text += " and more"
	}
	return text
}
