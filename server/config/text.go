package config

import "go.yaml.in/yaml/v4"

// notText says why a node is not text, and what to write; "" when it is. Brackets and
// braces without quotes are a list and a map to YAML, also where a pattern or a
// template begins with them.
func notText(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.SequenceNode:
		return "must be text, not a list: if it is one text that begins with [, write it in quotes"
	case node.Kind == yaml.MappingNode:
		return `must be text, not a map: if it is one text such as "{tag}", write it in quotes`
	case node.Tag == "!!timestamp":
		return `must be text, and without quotes this is a date: write "` + node.Value + `"`
	case node.Tag != "!!str":
		return "must be text: write it in quotes"
	}
	return ""
}
