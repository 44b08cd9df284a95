package values

import yaml "go.yaml.in/yaml/v4"

// Trees returns the documents of the file as maps by key (map[string]any), lists
// ([]any) and the text of scalars (string), for those who look at a file without knowing
// its keys. What an edit does not set is left out: what is only there because of an alias or
// a merge key, keys that are not scalars, and empty values, which are nil.
func (d *Document) Trees() []any {
	trees := make([]any, len(d.source.docs))
	for i, doc := range d.source.docs {
		trees[i] = treeOf(doc)
	}
	return trees
}

func treeOf(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			if key := n.Content[i]; key.Kind == yaml.ScalarNode && key.ShortTag() != "!!merge" {
				m[key.Value] = treeOf(n.Content[i+1])
			}
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = treeOf(item)
		}
		return list
	case yaml.ScalarNode:
		if n.ShortTag() != "!!null" {
			return n.Value
		}
	}
	return nil
}
