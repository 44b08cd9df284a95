package values

import (
	"maps"
	"slices"

	yaml "go.yaml.in/yaml/v4"
)

// plan is one edit of one file: what is written where, and how the result must
// read back.
type plan struct {
	source   *source
	splices  []splice
	sets     []set
	expected *expectation

	said    map[*yaml.Node]want        // scalars, and what the goals say of them
	changed map[*yaml.Node]bool        // those of them that change
	created map[*yaml.Node]*newEntries // maps, and what they get
	order   []*newEntries              // the same in the order of the targets
	inside  map[*block]*plan           // of the YAML in block scalars
	paths   []string                   // that change in such YAML, once it is verified
}

// set is one value that is set.
type set struct {
	splice
	place place
	want  want
}

func newPlan(s *source) *plan {
	return &plan{
		source:   s,
		expected: newExpectation(),
		said:     map[*yaml.Node]want{},
		changed:  map[*yaml.Node]bool{},
		created:  map[*yaml.Node]*newEntries{},
		inside:   map[*block]*plan{},
	}
}

// plan plans all targets of an edit.
func (s *source) plan(e *Edit, v Vars) (*plan, error) {
	goals, err := s.goals(e, v)
	if err != nil {
		return nil, err
	}
	p := newPlan(s)
	return p, p.setAll(goals)
}

// setAll plans all goals of one edit. Those that an alias leads to come last: they
// are met when another goal sets the anchor to the same value.
func (p *plan) setAll(goals []goal) error {
	for _, aliases := range []bool{false, true} {
		for i, g := range goals {
			if (g.place.alias != nil) != aliases {
				continue
			}
			in := p
			if g.block != nil {
				if in = p.inside[g.block]; in == nil {
					in = newPlan(g.source)
					p.inside[g.block] = in
				}
			}
			if err := in.set(g, setByOthers(goals, i)); err != nil {
				return g.target.at(err)
			}
		}
	}
	return p.setBlocks()
}

// set plans one goal.
func (p *plan) set(g goal, setToo setToo) error {
	if err := g.checkDigest(p.source, setToo); err != nil {
		return err
	}
	switch {
	case g.place.alias != nil && !g.target.follow:
		return p.setAlias(g)
	case g.create != nil:
		return p.create(g)
	}
	return p.setScalar(g)
}

// setAlias accepts a goal that an alias leads to when another goal sets the anchor
// to the same value: then there is nothing more to write.
func (p *plan) setAlias(g goal) error {
	w := want{text: g.value}
	if said, ok := p.said[g.place.node()]; !ok || said != w || g.create != nil {
		return p.source.checkAlias(g.place)
	}
	p.expect(g, w)
	return nil
}

func (p *plan) setScalar(g goal) error {
	s, n := p.source, g.place.node()
	if err := s.checkScalar(g.place); err != nil {
		return err
	}
	if _, twice := p.said[n]; twice {
		return refuse(SeveralSelected, "selects the same value as another key of this edit")
	}
	start, end, err := s.span(n)
	if err != nil {
		return err
	}
	if err := s.checkColon(n, start, end); err != nil {
		return err
	}
	if err := g.target.checkOldValue(n, g.name(), g.value); err != nil {
		return err
	}
	w := want{text: g.value, typed: g.target.keepType && keepsType(n, g.name(), g.value)}
	p.said[n] = w
	if err := p.expectFollowing(g, w); err != nil || s.isAlready(n, g.place, w) {
		return err
	}
	text := s.spell(w, g.place.style())
	if start == end && !s.blankBefore(start) {
		text = " " + text
	}
	p.changed[n] = true
	p.splices = append(p.splices, splice{start, end, text})
	p.sets = append(p.sets, set{splice{start, end, text}, g.place, w})
	p.expected.written[positionOf(g.place.doc, n)] = w
	return nil
}

// isAlready reports whether both readers already see the value there. 1.10 without
// quotes is a number, though it has the same letters as the text "1.10".
func (s *source) isAlready(n *yaml.Node, p place, w want) bool {
	seen, ok := helmAt(s.helm[p.doc], helmPath(p))
	return ok && helmLeaf{seen}.is(w) && nodeLeaf{n}.is(w)
}

// expect says that the goal's path must have the value afterwards.
func (p *plan) expect(g goal, w want) {
	way := helmPath(g.place)
	for _, name := range g.create {
		way = append(way, name)
	}
	p.expected.set(expected{g.place.doc, way, w, g.target.key})
}

// creates reports whether the edit adds an entry to a map.
func (p *plan) creates() bool {
	for _, inner := range p.inside {
		if inner.creates() {
			return true
		}
	}
	return len(p.created) > 0
}

// result writes the splices into the file's text and verifies what comes of it.
func (p *plan) result() (Result, error) {
	if err := p.spliceCreated(); err != nil {
		return Result{}, err
	}
	if len(p.splices) == 0 {
		return Result{Text: p.source.text}, nil
	}
	out, err := spliceAll(nil, p.source.text, p.splices)
	if err != nil {
		return Result{}, err
	}
	r := Result{Text: out, Changed: true}
	if r.Paths, err = verifyText(p.expected, p.source, out); err != nil {
		return Result{}, p.atOnly(err)
	}
	for _, b := range slices.SortedFunc(maps.Keys(p.inside), func(a, b *block) int { return a.node.Line - b.node.Line }) {
		r.Paths = append(r.Paths, b.inText(p.inside[b].paths)...)
	}
	return r, nil
}

// verifyText reads an edited text again with both readers.
func verifyText(x *expectation, before *source, out []byte) (paths []string, err error) {
	if err := before.limits.checkGrown(out); err != nil {
		return nil, err
	}
	after, err := parseSource(out, before.limits)
	if err != nil {
		return nil, refuseWithCause(Unverified, err, "the edited file could not be read again, so it was dropped")
	}
	return x.verify(before, after)
}

// checkGrown refuses an edit that would make a file which the next one refuses.
func (l Limits) checkGrown(out []byte) error {
	if most := l.WithDefaults().Bytes; len(out) > most {
		return refuse(FileTooLarge, "the file would have %d bytes with this edit, and at most %d are read: split it, or raise limits.file.bytes", len(out), most)
	}
	return nil
}

// atOnly names the key of an edit that has one, in an error about its result.
func (p *plan) atOnly(err error) error {
	if len(p.expected.sets) != 1 {
		return err
	}
	for _, e := range p.expected.sets {
		err = at(e.key, err)
	}
	return err
}
