package values

import (
	"slices"
	"strconv"

	yaml "go.yaml.in/yaml/v4"
)

// place is a node and the way to it.
type place struct {
	doc   int
	chain []*yaml.Node // from the document's root to the node
	keys  []*yaml.Node // keys[i] leads from chain[i] to chain[i+1]; nil when that is a list
	index []int        // and then this is the position in it
	alias *yaml.Node   // the first alias on the way, which was followed; nil without one
	raw   *yaml.Node   // the node as it is written: an alias where node is what that stands for
}

func (p place) node() *yaml.Node { return p.chain[len(p.chain)-1] }

func (p place) parent() *yaml.Node {
	if len(p.chain) < 2 {
		return nil
	}
	return p.chain[len(p.chain)-2]
}

// name is the last key on the way; empty at a root and in a list.
func (p place) name() string {
	if len(p.keys) == 0 || p.keys[len(p.keys)-1] == nil {
		return ""
	}
	return meant(p.keys[len(p.keys)-1]).Value
}

func (p place) step(key *yaml.Node, index int, to *yaml.Node) place {
	p = p.end(to)
	p.keys = append(p.keys[:len(p.keys):len(p.keys)], key)
	p.index = append(p.index[:len(p.index):len(p.index)], index)
	return p
}

// end adds a node to the chain: what it stands for when it is an alias.
func (p place) end(n *yaml.Node) place {
	p.raw = n
	if n.Kind == yaml.AliasNode {
		if p.alias == nil {
			p.alias = n
		}
		n = meant(n)
	}
	p.chain = append(p.chain[:len(p.chain):len(p.chain)], n)
	return p
}

// find returns every place that the query selects. A place that exists but must
// not be touched is an error.
func (s *source) find(q query) ([]place, error) {
	if !q.plain {
		return s.evaluate(q)
	}
	var found []place
	var refused error
	for doc := range s.docs {
		p, ok, err := s.walk(doc, q.steps)
		switch {
		case err != nil && refused == nil:
			refused = err
		case ok:
			found = append(found, p)
		}
	}
	if refused != nil && len(found) > 0 {
		return nil, refuse(SeveralSelected, "is in more than one document of the file; name one with select(document_index == 0)")
	}
	return found, refused
}

// walk follows exact keys from a document's root. Not there is no error.
func (s *source) walk(doc int, steps []string) (p place, ok bool, err error) {
	p = place{doc: doc}.end(s.docs[doc])
	for _, step := range steps {
		switch n := p.node(); n.Kind {
		case yaml.SequenceNode:
			i, ok := listIndex(step, len(n.Content))
			if !ok {
				return p, false, nil
			}
			p = p.step(nil, i, n.Content[i])
		case yaml.MappingNode:
			i, err := lookup(n, step)
			if err != nil || i < 0 {
				return p, false, err
			}
			p = p.step(n.Content[i], 0, n.Content[i+1])
		default:
			return p, false, nil
		}
	}
	return p, true, nil
}

func listIndex(step string, length int) (int, bool) {
	if !indexGrammar.MatchString(step) {
		return 0, false
	}
	i, err := strconv.Atoi(step)
	if err != nil {
		return 0, false
	}
	if i < 0 {
		i += length
	}
	return i, i >= 0 && i < length
}

// lookup returns the position of a key in a map's content, or -1.
func lookup(m *yaml.Node, name string) (int, error) {
	at, merge := -1, -1
	for i := 0; i+1 < len(m.Content); i += 2 {
		k := m.Content[i]
		if isMerge(k) {
			if merge >= 0 {
				return -1, twice("<<", m.Content[merge], k)
			}
			merge = i
			continue
		}
		if k = meant(k); k.Kind != yaml.ScalarNode || k.Value != name {
			continue
		}
		if at >= 0 {
			return -1, twice(name, m.Content[at], m.Content[i])
		}
		at = i
	}
	if merge < 0 {
		return at, nil
	}
	merged := entries{}.withMerged(nil, []*yaml.Node{m.Content[merge+1]})
	has := slices.ContainsFunc(merged, func(e entry) bool { return e.key.Value == name })
	if at < 0 && has {
		return -1, refuse(MergeKey, "is only there because of a merge key (<<) in line %d; write %s into this map itself first, or set it where it comes from", m.Content[merge].Line, show(name))
	}
	// By the specification the map's own key wins; Helm's reader lets the later one win.
	if at >= 0 && has && merge > at {
		return -1, refuse(MergeKey, "is overridden in Helm by the merge key (<<) in line %d, below %s; move that above it", m.Content[merge].Line, show(name))
	}
	return at, nil
}

func twice(name string, first, second *yaml.Node) error {
	if name == "<<" {
		return refuse(DuplicateKey, "is ambiguous: the merge key << is there twice, in lines %d and %d, and readers differ on what counts; write one: <<: [*a, *b]", first.Line, second.Line)
	}
	return refuse(DuplicateKey, "is ambiguous: %s is there twice, in lines %d and %d, and readers differ on which one counts; remove one", show(name), first.Line, second.Line)
}
