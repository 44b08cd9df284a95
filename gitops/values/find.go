package values

import (
	"container/list"
	"errors"
	"strconv"

	"github.com/mikefarah/yq/v4/pkg/yqlib"
	yaml "go.yaml.in/yaml/v4"
)

// place is a node and the way to it.
type place struct {
	doc   int
	chain []*yaml.Node // from the document's root to the node
	keys  []*yaml.Node // keys[i] leads from chain[i] to chain[i+1]; nil when that is a list
	index []int        // and then this is the position in it
	// evaluated says that yq led here. It follows aliases and merge keys on the
	// way without saying so.
	evaluated bool
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
	return p.keys[len(p.keys)-1].Value
}

func (p place) step(key *yaml.Node, index int, to *yaml.Node) place {
	p.chain = append(p.chain[:len(p.chain):len(p.chain)], to)
	p.keys = append(p.keys[:len(p.keys):len(p.keys)], key)
	p.index = append(p.index[:len(p.index):len(p.index)], index)
	return p
}

// find returns every place that the query selects. A place that exists but must
// not be touched is an error.
func (s *source) find(q query) ([]place, error) {
	if !q.plain {
		return s.evaluate(q.tree)
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
	p = place{doc: doc, chain: []*yaml.Node{s.docs[doc]}}
	for _, step := range steps {
		switch n := p.node(); n.Kind {
		case yaml.AliasNode:
			return p, false, refuse(Alias, "lies beyond the alias *%s; give the key of the anchor &%s itself", n.Value, n.Value)
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
	at := -1
	for i := 0; i+1 < len(m.Content); i += 2 {
		k := m.Content[i]
		if k.Kind != yaml.ScalarNode || k.Value != name || isMerge(k) {
			continue
		}
		if at >= 0 {
			return -1, refuse(DuplicateKey, "is ambiguous: %s is there twice, in lines %d and %d, and readers differ on which one counts; remove one", show(name), m.Content[at].Line, k.Line)
		}
		at = i
	}
	if at < 0 && mergedHas(m, name, 0) {
		return -1, refuse(MergeKey, "is only there because of a merge key (<<); write %s into this map itself first", show(name))
	}
	if at >= 0 && overridden(m, name, at) {
		return -1, refuse(MergeKey, "is overridden in Helm by the merge key (<<) below %s; move that above it", show(name))
	}
	return at, nil
}

// overridden reports whether a merge key comes after the key at a position and
// has it too. By the specification the map's own key wins; Helm's reader lets
// the later one win.
func overridden(m *yaml.Node, name string, at int) bool {
	for i := at + 2; i+1 < len(m.Content); i += 2 {
		if isMerge(m.Content[i]) && mergedHas(m.Content[i+1], name, 1) {
			return true
		}
	}
	return false
}

func isMerge(key *yaml.Node) bool { return key.ShortTag() == "!!merge" }

// mergedHas reports whether a map has a key through <<.
func mergedHas(m *yaml.Node, name string, depth int) bool {
	if m.Kind == yaml.AliasNode {
		m = m.Alias
	}
	if depth > 16 || m == nil {
		return true
	}
	if m.Kind == yaml.SequenceNode {
		for _, n := range m.Content {
			if mergedHas(n, name, depth+1) {
				return true
			}
		}
	}
	if m.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if k := m.Content[i]; isMerge(k) && mergedHas(m.Content[i+1], name, depth+1) {
			return true
		} else if depth > 0 && k.Value == name {
			return true
		}
	}
	return false
}

// evaluate asks yq which nodes the expression selects, and then goes there
// again by exact keys: yq says where, never what.
func (s *source) evaluate(tree *yqlib.ExpressionNode) ([]place, error) {
	roots := list.New()
	for i, doc := range s.docs {
		root := &yqlib.CandidateNode{}
		if err := root.UnmarshalYAML(doc, map[string]*yqlib.CandidateNode{}); err != nil {
			return nil, refuseWithCause(NotYAML, err, "the file cannot be read by yq")
		}
		root.SetDocument(uint(i))
		roots.PushBack(root)
	}
	// Without DontAutoCreate, yq would make what is not there and select it.
	result, err := yqlib.NewDataTreeNavigator().GetMatchingNodes(
		yqlib.Context{MatchingNodes: roots, DontAutoCreate: true}, tree)
	if err != nil {
		return nil, refuseWithCause(NothingSelected, err, "does not fit this file: a step meets something other than it asks for")
	}
	var found []place
	for e := result.MatchingNodes.Front(); e != nil; e = e.Next() {
		c := e.Value.(*yqlib.CandidateNode)
		if c.Line == 0 {
			continue // made up to reach an index past a list's end
		}
		steps, doc, err := wayTo(c)
		if err != nil || doc >= len(s.docs) {
			return nil, refuseWithCause(Unverified, err, "its place in the file cannot be told")
		}
		p, ok, err := s.walk(doc, steps)
		if err != nil {
			return nil, err
		}
		if !ok || p.node().Line != c.Line || p.node().Column != c.Column {
			return nil, refuse(Unverified, "its place in the file cannot be told")
		}
		p.evaluated = true
		found = append(found, p)
	}
	return found, nil
}

// wayTo is the exact keys from the root to the candidate. (GetPath would read
// the key 0x10 as 16.)
func wayTo(c *yqlib.CandidateNode) (steps []string, doc int, err error) {
	for ; c.Parent != nil; c = c.Parent {
		if c.Key == nil {
			return nil, 0, errors.New("a node without a key")
		}
		steps = append(steps, c.Key.Value)
	}
	for i, j := 0, len(steps)-1; i < j; i, j = i+1, j-1 {
		steps[i], steps[j] = steps[j], steps[i]
	}
	return steps, int(c.GetDocument()), nil
}
