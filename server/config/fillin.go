package config

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// fillIn reports whether a value stands for one that a person must still give, as
// "tallyman init" writes it: '<fill in: what is missing>'. No field has such a value of its
// own, and each would say something else of it that helps nobody.
func fillIn(node *yaml.Node) (missing string, ok bool) {
	if node.Kind != yaml.ScalarNode {
		return "", false
	}
	rest, begins := strings.CutPrefix(node.Value, "<fill in: ")
	missing, ends := strings.CutSuffix(rest, ">")
	return missing, begins && ends
}
