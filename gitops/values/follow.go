package values

import (
	"fmt"
	"slices"

	yaml "go.yaml.in/yaml/v4"

	"github.com/tallyman-dev/tallyman/gitops"
)

// follow is what may change with an anchor's value.
type follow struct {
	want want
	tag  bool            // the value has the tag
	all  bool            // any path
	ways map[string]bool // by wayID
}

// expectFollowing says which paths may change with the goal's.
func (p *plan) expectFollowing(g goal, w want) error {
	p.expect(g, w)
	if !g.target.follow {
		return nil
	}
	f := follow{want: w, tag: g.target.value.uses("tag"), all: len(g.target.follows) == 0 && !g.target.shared, ways: map[string]bool{}}
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

// checkDigests refuses a tag that follows an anchor to a place where a digest would be
// deployed instead, unless that changes, too.
func (v *verification) checkDigests(doc int, inHelm *changes) {
	changes := func(in []any, name string) bool {
		id := wayID(doc, append(slices.Clone(in), name))
		return v.changed[id] || v.more[id] != ""
	}
	for _, c := range inHelm.all {
		last := len(c.way) - 1
		if v.more[wayID(doc, c.way)] == "" || !v.followsTag(c) || last < 0 {
			continue
		}
		if err := v.before.checkDigest(doc, c.way[:last], fmt.Sprint(c.way[last]), changes); err != nil {
			v.pinned = refuse(DigestWins, "would change %s, too, which %s", v.before.showPlace(doc, c.way), gitops.PublicOf(err))
			return
		}
	}
}

// followsTag reports whether a tag follows an anchor to this path.
func (v *verification) followsTag(c change) bool {
	return slices.ContainsFunc(v.follows, func(f follow) bool { return f.tag && c.after != nil && c.after.is(f.want) })
}
