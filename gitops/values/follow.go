package values

import (
	yaml "go.yaml.in/yaml/v4"
)

// follow is what may change with an anchor's value.
type follow struct {
	want want
	all  bool            // any path
	ways map[string]bool // by wayID
}

// expectFollowing says which paths may change with the goal's.
func (p *plan) expectFollowing(g goal, w want) error {
	p.expect(g, w)
	if !g.target.follow {
		return nil
	}
	f := follow{want: w, all: len(g.target.follows) == 0 && !g.target.shared, ways: map[string]bool{}}
	for _, q := range g.target.follows {
		if err := p.source.waysOf(q, f.ways); err != nil {
			return err
		}
	}
	p.expected.follows = append(p.expected.follows, f)
	return nil
}

// waysOf adds the ways to what a query selects, with aliases and merge keys
// applied: a key that may follow is mostly there because of one.
func (s *source) waysOf(q query, ways map[string]bool) error {
	if q.plain {
		for doc := range s.docs {
			s.addWay(doc, q.steps, ways)
		}
		return nil
	}
	candidates, err := s.candidates(q)
	if err != nil {
		return err
	}
	for _, c := range candidates {
		if steps, doc, err := wayTo(c); err == nil && doc < len(s.docs) {
			s.addWay(doc, steps, ways)
		}
	}
	return nil
}

// addWay adds the way that steps lead in a document. The last need not be there
// yet.
func (s *source) addWay(doc int, steps []string, ways map[string]bool) {
	known, n := entries{}, s.docs[doc]
	way := make([]any, 0, len(steps))
	for i, step := range steps {
		switch n = meant(n); n.Kind {
		case yaml.SequenceNode:
			index, ok := listIndex(step, len(n.Content))
			if !ok {
				return
			}
			way, n = append(way, index), n.Content[index]
		case yaml.MappingNode:
			key, value := known.named(n, step)
			if value == nil && i < len(steps)-1 {
				return
			}
			way, n = append(way, key), value
		default:
			return
		}
	}
	ways[wayID(doc, way)] = true
}
