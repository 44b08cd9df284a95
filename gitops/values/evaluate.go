package values

import (
	"container/list"
	"errors"
	"slices"

	"github.com/mikefarah/yq/v4/pkg/yqlib"
	yaml "go.yaml.in/yaml/v4"
)

// evaluate asks yq which nodes the expression selects, and then goes there
// again by exact keys: yq says where, never what.
func (s *source) evaluate(q query) ([]place, error) {
	candidates, err := s.candidates(q)
	if err != nil {
		return nil, err
	}
	var found []place
	for _, c := range candidates {
		p, err := s.placeOf(c)
		if err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, nil
}

// candidates are what yq selects. It is shown what aliases stand for, because its
// conditions would look at their names.
func (s *source) candidates(q query) ([]*yqlib.CandidateNode, error) {
	roots := list.New()
	most := s.limits.WithDefaults().Nodes
	budget := most
	for i, doc := range s.docs {
		if err := q.checkKeys(doc, map[*yaml.Node]bool{}); err != nil {
			return nil, err
		}
		if s.aliases {
			if doc = resolved(doc, &budget); budget < 0 {
				return nil, refuse(FileTooLarge, "is in a file whose aliases stand for more than %d values; select with a key of plain steps, such as .image.tag", most)
			}
		}
		root := &yqlib.CandidateNode{}
		if err := root.UnmarshalYAML(doc, map[string]*yqlib.CandidateNode{}); err != nil {
			return nil, refuseWithCause(NotYAML, err, "the file cannot be read by yq")
		}
		root.SetDocument(uint(i))
		roots.PushBack(root)
	}
	// Without DontAutoCreate, yq would make what is not there and select it.
	result, err := yqlib.NewDataTreeNavigator().GetMatchingNodes(
		yqlib.Context{MatchingNodes: roots, DontAutoCreate: true}, q.tree)
	if err != nil {
		return nil, refuseWithCause(NothingSelected, err, "does not fit this file: a step meets something other than it asks for")
	}
	var candidates []*yqlib.CandidateNode
	for e := result.MatchingNodes.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*yqlib.CandidateNode); c.Line != 0 { // else made up to reach an index past a list's end
			candidates = append(candidates, c)
		}
	}
	return candidates, nil
}

// placeOf goes to a candidate by exact keys.
func (s *source) placeOf(c *yqlib.CandidateNode) (place, error) {
	steps, doc, err := wayTo(c)
	if err != nil || doc >= len(s.docs) {
		return place{}, refuseWithCause(Unverified, err, "is at a place in the file that cannot be found again")
	}
	p, ok, err := s.walk(doc, steps)
	if err != nil {
		return place{}, err
	}
	if !ok || p.raw.Line != c.Line || p.raw.Column != c.Column {
		return place{}, refuse(Unverified, "is at a place in the file that cannot be found again")
	}
	return p, nil
}

// wayTo is the exact keys from the root to the candidate, without merge keys: what
// those bring in is a key of the map that has them. (GetPath would read the key
// 0x10 as 16.)
func wayTo(c *yqlib.CandidateNode) (steps []string, doc int, err error) {
	for ; c.Parent != nil; c = c.Parent {
		if c.Key == nil {
			return nil, 0, errors.New("a node without a key")
		}
		if c.Key.Tag == "!!merge" || c.Parent.Key != nil && c.Parent.Key.Tag == "!!merge" && c.Parent.Kind == yqlib.SequenceNode {
			continue
		}
		steps = append(steps, c.Key.Value)
	}
	slices.Reverse(steps)
	return steps, int(c.GetDocument()), nil
}

// resolved is a document with what its aliases stand for in their places. The
// budget bounds how many nodes that may be.
func resolved(n *yaml.Node, budget *int) *yaml.Node {
	if *budget--; *budget < 0 {
		return n
	}
	c := *meant(n)
	c.Line, c.Column, c.Anchor = n.Line, n.Column, ""
	c.Content = make([]*yaml.Node, len(c.Content))
	for i, below := range meant(n).Content {
		c.Content[i] = resolved(below, budget)
	}
	return &c
}

// checkKeys refuses a document in which a key that the query names is twice in a
// map: a condition would look at one of them, and a reader at the other.
func (q query) checkKeys(n *yaml.Node, checked map[*yaml.Node]bool) error {
	if n = meant(n); n.Kind == yaml.ScalarNode || checked[n] {
		return nil
	}
	if n.Anchor != "" {
		checked[n] = true
	}
	if n.Kind == yaml.MappingNode {
		if err := q.checkMap(n); err != nil {
			return err
		}
	}
	for _, below := range n.Content {
		if below.Kind != yaml.ScalarNode {
			if err := q.checkKeys(below, checked); err != nil {
				return err
			}
		}
	}
	return nil
}

func (q query) checkMap(m *yaml.Node) error {
	var seen map[string]*yaml.Node
	for i := 0; i+1 < len(m.Content); i += 2 {
		k := meant(m.Content[i])
		if !isMerge(k) && !q.names[k.Value] && !q.wild {
			continue
		}
		if first := seen[k.Value]; first != nil {
			return twice(k.Value, first, m.Content[i])
		}
		if seen == nil {
			seen = map[string]*yaml.Node{}
		}
		seen[k.Value] = m.Content[i]
	}
	return nil
}
