package values

import (
	yaml "go.yaml.in/yaml/v4"
)

// meant is what a node stands for: itself, or the anchored node of an alias.
func meant(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

func isMerge(key *yaml.Node) bool { return key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" }

// entry is a pair of a map.
type entry struct{ key, value *yaml.Node }

func (e entry) id() [2]string { return [2]string{e.key.ShortTag(), e.key.Value} }

// entries are the pairs of maps with what merge keys bring in, by the
// specification (https://yaml.org/type/merge.html): a map's own keys count first,
// then what is merged, first things first.
type entries map[*yaml.Node][]entry

func (known entries) of(m *yaml.Node) []entry {
	if all, ok := known[m]; ok {
		return all
	}
	own := make([]entry, 0, len(m.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(m.Content); i += 2 {
		if isMerge(m.Content[i]) {
			merged = append(merged, m.Content[i+1])
			continue
		}
		own = append(own, entry{meant(m.Content[i]), m.Content[i+1]})
	}
	if len(merged) > 0 {
		own = known.withMerged(own, merged)
		known[m] = own
	}
	return own
}

func (known entries) withMerged(own []entry, merged []*yaml.Node) []entry {
	seen := make(map[[2]string]bool, len(own))
	for _, e := range own {
		seen[e.id()] = true
	}
	take := func(m *yaml.Node) {
		if m = meant(m); m.Kind != yaml.MappingNode {
			return
		}
		from := len(own)
		for _, e := range known.of(m) {
			if !seen[e.id()] {
				own = append(own, e)
			}
		}
		for _, e := range own[from:] {
			seen[e.id()] = true
		}
	}
	for _, m := range merged {
		if m = meant(m); m.Kind == yaml.SequenceNode {
			for _, item := range m.Content {
				take(item)
			}
			continue
		}
		take(m)
	}
	return own
}

// get is the value that a map has for a key in the terms of Helm's reader.
func (known entries) get(m *yaml.Node, key any) *yaml.Node {
	var found *yaml.Node
	text, isText := key.(string)
	for _, e := range known.of(m) {
		if (!isText || e.key.Value == text) && helmKey(e.key) == key {
			found = e.value
		}
	}
	return found
}

// named is the pair of a map whose key is written so, the key in the terms of
// Helm's reader; a key that is not there would be text.
func (known entries) named(m *yaml.Node, name string) (key any, value *yaml.Node) {
	key = name
	for _, e := range known.of(m) {
		if e.key.Value == name {
			key, value = helmKey(e.key), e.value
		}
	}
	return key, value
}

// at follows a way through a document; nil when it leads nowhere.
func (known entries) at(n *yaml.Node, way []any) *yaml.Node {
	for _, step := range way {
		switch n = meant(n); n.Kind {
		case yaml.MappingNode:
			n = known.get(n, step)
		case yaml.SequenceNode:
			i, ok := step.(int)
			if !ok || i < 0 || i >= len(n.Content) {
				return nil
			}
			n = n.Content[i]
		default:
			return nil
		}
		if n == nil {
			return nil
		}
	}
	return meant(n)
}

// nodesDiffer collects the paths at which two documents mean something else, as
// the YAML 1.2 reader sees them.
type nodesDiffer struct {
	*changes
	before, after entries
	equal         map[[2]*yaml.Node]bool // what an alias stands for is compared once, unless it differs
}

func diffNodes(before, after *yaml.Node) *changes {
	d := nodesDiffer{changes: &changes{}, before: entries{}, after: entries{}, equal: map[[2]*yaml.Node]bool{}}
	d.compare(before, after)
	return d.changes
}

func (d *nodesDiffer) compare(b, a *yaml.Node) {
	if d.full() {
		return
	}
	pair := [2]*yaml.Node{meant(b), meant(a)}
	shared := pair[0].Anchor != ""
	if shared && d.equal[pair] {
		return
	}
	found := len(d.all)
	d.compareMeant(pair[0], pair[1])
	if shared && len(d.all) == found {
		d.equal[pair] = true
	}
}

func (d *nodesDiffer) compareMeant(b, a *yaml.Node) {
	switch {
	case b.Kind == yaml.MappingNode && a.Kind == yaml.MappingNode:
		d.compareMaps(d.before.of(b), d.after.of(a))
	case b.Kind == yaml.SequenceNode && a.Kind == yaml.SequenceNode && len(b.Content) == len(a.Content):
		for i := range b.Content {
			d.push(i)
			d.compare(b.Content[i], a.Content[i])
			d.pop()
		}
	case b.Kind == yaml.ScalarNode && a.Kind == yaml.ScalarNode && b.Value == a.Value && b.ShortTag() == a.ShortTag():
	case b.Kind == yaml.ScalarNode && b.ShortTag() == "!!null" && a.Kind == yaml.MappingNode && len(a.Content) > 0:
		d.compareMaps(nil, d.after.of(a)) // an empty value that became a map
	default:
		d.record(nodeLeaf{a}, b.Kind != yaml.ScalarNode)
	}
}

func (d *nodesDiffer) compareMaps(b, a []entry) {
	if sameKeys(b, a) {
		for i := range b {
			d.push(a[i].key)
			d.compare(b[i].value, a[i].value)
			d.pop()
		}
		return
	}
	before := make(map[[2]string]*yaml.Node, len(b))
	for _, e := range b {
		before[e.id()] = e.value
	}
	after := make(map[[2]string]entry, len(a))
	for _, e := range a {
		after[e.id()] = e
	}
	for id, e := range after {
		d.push(e.key)
		if was, ok := before[id]; ok {
			d.compare(was, e.value)
		} else {
			d.added(meant(e.value))
		}
		d.pop()
	}
	for _, e := range b {
		if _, ok := after[e.id()]; !ok {
			d.push(e.key)
			d.record(nil, false)
			d.pop()
		}
	}
}

// added records what a new value has in it.
func (d *nodesDiffer) added(n *yaml.Node) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		d.record(nodeLeaf{n}, false)
		return
	}
	d.compareMaps(nil, d.after.of(n))
}

func sameKeys(b, a []entry) bool {
	if len(b) != len(a) {
		return false
	}
	for i := range b {
		if b[i].key.Value != a[i].key.Value || b[i].key.ShortTag() != a[i].key.ShortTag() {
			return false
		}
	}
	return true
}
