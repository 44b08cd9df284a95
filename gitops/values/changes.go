package values

import (
	"fmt"
	"slices"
	"strings"

	yaml2 "go.yaml.in/yaml/v2"
	yaml "go.yaml.in/yaml/v4"
)

// maxChanges bounds how many paths one edit may change.
const maxChanges = 1000

// want is what a scalar must become.
type want struct {
	text  string
	typed bool // a number or a truth value, and not text
}

// leaf is a value in an edited document, as one of the readers sees it.
type leaf interface{ is(w want) bool }

type nodeLeaf struct{ node *yaml.Node }

func (l nodeLeaf) is(w want) bool {
	tag := l.node.ShortTag()
	return l.node.Kind == yaml.ScalarNode && l.node.Value == w.text && (tag == "!!str" && !w.typed || w.typed && (tag == "!!int" || tag == "!!float" || tag == "!!bool"))
}

type helmLeaf struct{ value any }

func (l helmLeaf) is(w want) bool { return l.value == w.helmValue() }

// helmValue is what Helm's reader makes of the value.
func (w want) helmValue() any {
	var value any
	if w.typed && yaml2.Unmarshal([]byte(w.text), &value) == nil {
		return value
	}
	return w.text
}

// change is a path at which two documents differ, with what is there afterwards:
// nil when nothing is.
type change struct {
	way   []any // keys and list positions in the terms of Helm's reader
	after leaf
	below bool // a map or a list was there
}

// changes collects them while two documents are compared.
type changes struct {
	all  []change
	here []any // the way so far; a key may be a *yaml.Node
}

func (c *changes) push(step any) { c.here = append(c.here, step) }
func (c *changes) pop()          { c.here = c.here[:len(c.here)-1] }
func (c *changes) full() bool    { return len(c.all) > maxChanges }

func (c *changes) record(after leaf, below bool) {
	way := slices.Clone(c.here)
	for i, step := range way {
		if key, ok := step.(*yaml.Node); ok {
			way[i] = helmKey(key)
		}
	}
	c.all = append(c.all, change{way, after, below})
}

// wayID is a text that no other way has.
func wayID(doc int, way []any) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", doc)
	for _, step := range way {
		fmt.Fprintf(&b, "\x00%T %v", step, step)
	}
	return b.String()
}

// showWay writes a way as a key would be.
func showWay(way []any) string {
	if len(way) == 0 {
		return "."
	}
	var b strings.Builder
	for i, step := range way {
		switch step := step.(type) {
		case int:
			if i == 0 {
				b.WriteString(".")
			}
			fmt.Fprintf(&b, "[%d]", step)
		default:
			b.WriteString("." + show(fmt.Sprint(step)))
		}
	}
	return b.String()
}
