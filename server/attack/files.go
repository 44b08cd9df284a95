package attack

import (
	"fmt"
	"strings"
)

// File is a shape of a file that is small in git, since it compresses well, and large
// once it is parsed.
type File struct {
	Name string

	head  string // before the repeated part
	unit  string // repeated; a %d in it is a number that never comes again
	tail  string // repeated behind it as often, in a shape that has to be closed
	final string
}

// values is what makes a file one that an update can edit.
const values = "image:\n  tag: main-0000000\n"

// Files are all shapes.
func Files() []File {
	return []File{
		{Name: "a dense flow list", head: values + "x: [", unit: "a,", final: "a]\n"},
		{Name: "a block list of one-letter items", head: values + "x:\n", unit: "- a\n"},
		{Name: "a block list of empty items", head: values + "x:\n", unit: "-\n"},
		{Name: "documents", head: values, unit: "---\na\n"},
		{Name: "keys", head: values, unit: "k%d: a\n"},
		{Name: "images of kustomize", head: values + "images:\n", unit: "- {name: i%d, newTag: a}\n"},
		{Name: "comments in a flow list", head: values + "x: [\n", unit: "a, #\n", final: "a]\n"},
		{Name: "aliases", head: values + "x: &x a\ny: [", unit: "*x,", final: "*x]\n"},
		{Name: "flow lists within flow lists", head: values + "x: ", unit: "[", tail: "]", final: "\n"},
		{Name: "flow maps within flow maps", head: values + "x: ", unit: "{a: ", tail: "}", final: "\n"},
		{Name: "lists in one line within lists", head: values + "x:\n", unit: "- ", final: "a\n"},
		{Name: "directives", unit: "%%TAG !t%d! tag:x\n", final: "---\n" + values},
		{Name: "one comment that compresses", head: values, unit: "# " + strings.Repeat("x", 1021) + "\n"},
	}
}

// Text is a file of the shape, of about so many bytes.
func (f File) Text(bytes int) string {
	var text strings.Builder
	text.Grow(bytes + len(f.head) + len(f.final) + 64)
	text.WriteString(f.head)
	numbered, n := strings.Contains(f.unit, "%d"), 0
	for ; text.Len()+n*len(f.tail) < bytes; n++ {
		if numbered {
			fmt.Fprintf(&text, f.unit, n)
		} else {
			text.WriteString(f.unit)
		}
	}
	for range n {
		text.WriteString(f.tail)
	}
	text.WriteString(f.final)
	return text.String()
}
