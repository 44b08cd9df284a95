package values

import (
	yaml "go.yaml.in/yaml/v4"
)

// use is one place that refers to an anchored node.
type use struct {
	merge bool  // as <<: *name or in <<: [*name]; otherwise as *name
	by    place // the map that has the <<
}

// maxInherited bounds how many places may follow one edit through merge keys.
const maxInherited = 1000

// inherited returns the ways to all places that show the value at p because
// they merge a map that has it, in the terms of Helm's reader.
//
// A base that others merge is written to be shared, so setting a value in it by
// its own key is what was asked. Any other use of an anchor on the way makes two
// places of one value behind the reader's back: that is refused.
func (s *source) inherited(p place) ([][]any, error) {
	var ways [][]any
	err := s.follow(p, helmPath(p), p.evaluated, &ways)
	return ways, err
}

// inheritedEntry is the same for a new entry of the map at p.
func (s *source) inheritedEntry(p place, name string) ([][]any, error) {
	var ways [][]any
	err := s.follow(p, append(helmPath(p), any(name)), p.evaluated, &ways)
	return ways, err
}

// follow looks at the users of the nodes in p's chain; way leads from p's root
// to the value that changes.
func (s *source) follow(p place, way []any, strict bool, ways *[][]any) error {
	for i, n := range p.chain {
		if n.Anchor == "" {
			continue
		}
		for _, u := range s.usersOf(n) {
			if !u.merge || strict || i >= len(way) {
				return refuse(SharedAnchor, "belongs to the anchor &%s, which is used elsewhere in the file too; give the other use its own value first", show(n.Anchor))
			}
			if len(*ways) >= maxInherited {
				return refuse(SharedAnchor, "belongs to the anchor &%s, which is merged in too many places", show(n.Anchor))
			}
			other := append(helmPath(u.by), way[i:]...)
			*ways = append(*ways, other)
			if err := s.follow(u.by, other, strict, ways); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *source) usersOf(n *yaml.Node) []use {
	if s.users == nil {
		s.users = map[*yaml.Node][]use{}
		for doc, root := range s.docs {
			s.collectUses(place{doc: doc, chain: []*yaml.Node{root}})
		}
	}
	return s.users[n]
}

func (s *source) collectUses(p place) {
	switch n := p.node(); n.Kind {
	case yaml.AliasNode:
		s.users[n.Alias] = append(s.users[n.Alias], use{})
	case yaml.SequenceNode:
		for i, item := range n.Content {
			s.collectUses(p.step(nil, i, item))
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			if isMerge(k) && s.collectMerge(p, v) {
				continue
			}
			s.collectUses(p.step(nil, 0, k))
			s.collectUses(p.step(k, 0, v))
		}
	}
}

// collectMerge records *name and [*name, *name] after a <<.
func (s *source) collectMerge(p place, v *yaml.Node) bool {
	merged := []*yaml.Node{v}
	if v.Kind == yaml.SequenceNode {
		merged = v.Content
	}
	for _, m := range merged {
		if m.Kind != yaml.AliasNode {
			return false
		}
	}
	for _, m := range merged {
		s.users[m.Alias] = append(s.users[m.Alias], use{merge: true, by: p})
	}
	return true
}
