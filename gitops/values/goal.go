package values

import (
	"strconv"
	"strings"
)

// goal is a target with the place it means in this file.
type goal struct {
	target target
	value  string
	source *source  // the file, or the YAML inside of it
	block  *block   // where that is; nil for the file
	place  place    // of the scalar, or of the map to create it in
	create []string // the keys to create there, one below the other; nil when it is there
}

// name is the key that the goal sets, and parent the place of the map it is in.
func (g goal) name() string {
	if g.create != nil {
		return g.create[len(g.create)-1]
	}
	return g.place.name()
}

func (g goal) parent() (place, bool) {
	p := g.place
	n := len(p.keys)
	switch {
	case len(g.create) > 1:
		return place{}, false
	case g.create != nil:
		return p, true
	case n == 0:
		return place{}, false
	}
	return place{doc: p.doc, chain: p.chain[:n], keys: p.keys[:n-1], index: p.index[:n-1]}, true
}

// setByOthers tells which keys of maps the goals other than i set. Ways that lead to
// the same map by an alias or a merge key are one.
func setByOthers(goals []goal, i int) setToo {
	return func(way []any, name string) bool {
		in := entries{}.at(goals[i].source.docs[goals[i].place.doc], way)
		for j, g := range goals {
			if parent, ok := g.parent(); j != i && ok && parent.node() == in && g.name() == name {
				return true
			}
		}
		return false
	}
}

// goals finds the place of each target, and its value.
func (s *source) goals(e *Edit, v Vars) (goals []goal, err error) {
	if err := s.seal(); err != nil {
		return nil, err
	}
	goals = make([]goal, len(e.targets))
	for i, t := range e.targets {
		g, err := s.locate(t)
		if err == nil {
			g.value, err = t.value.render(v)
		}
		if err != nil {
			return nil, t.at(err)
		}
		if n := g.place.node(); g.create == nil && t.value.isDigest() && hexDigest.MatchString(n.Value) {
			_, g.value, _ = strings.Cut(g.value, ":")
		}
		goals[i] = g
	}
	return goals, nil
}

// locate finds the one place a target means.
func (s *source) locate(t target) (goal, error) {
	g := goal{target: t, source: s}
	if t.inside != nil {
		b, err := s.insideOf(*t.inside)
		if err != nil {
			return goal{}, err
		}
		g.block, g.source = b, b.source
		if err := g.source.seal(); err != nil {
			return goal{}, err
		}
	}
	found, err := g.source.find(t.key.all)
	switch {
	case err != nil:
		return goal{}, err
	case len(found) == 1:
		g.place = found[0]
		return g, nil
	case len(found) > 1:
		return goal{}, refuse(SeveralSelected, "selects %d values, in lines %s; it must select one", len(found), lineList(found))
	case !t.create:
		return goal{}, g.source.missing(t.key)
	}
	g.place, g.create, err = g.source.locateParent(t)
	return g, err
}

// at names the target in an error that is about what it selects.
func (t target) at(err error) error {
	k := t.key
	if t.inside != nil {
		k.text += " (inside " + t.inside.text + ")"
	}
	return at(k, err)
}

// lineList names where places are, for a sentence.
func lineList(places []place) string {
	var lines []string
	for _, p := range places {
		lines = append(lines, strconv.Itoa(p.raw.Line))
	}
	return listed(lines)
}
