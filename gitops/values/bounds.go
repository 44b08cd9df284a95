package values

import (
	"cmp"

	yaml "go.yaml.in/yaml/v4"
)

// Limits bound what reading one file may take. A zero field takes its default.
type Limits struct {
	// Bytes is the size over which a file is refused; default 1 MiB, at most [MaxFile].
	// Size alone costs little: a file is some copies of its text.
	Bytes int
	// Nodes is how many values, keys and lines a file may have, and how many values
	// its aliases may stand for; default 200,000, at most [MaxNodes]. This bounds the
	// memory: see [Size.Cost].
	Nodes int
}

// The most that [Limits] can be. A values file of 1 MiB has 120,000 nodes; one for a
// thousand apps, of 3 MB, has 310,000.
const (
	MaxFile  = 5 << 20
	MaxNodes = 400_000
)

// WithDefaults fills in what was left out.
func (l Limits) WithDefaults() Limits {
	return Limits{Bytes: cmp.Or(l.Bytes, 1<<20), Nodes: cmp.Or(l.Nodes, 200_000)}
}

const (
	// maxDirectives is how many lines may begin with %. The readers compare each
	// %TAG with all before it.
	maxDirectives = 100
	// maxDirective is how many bytes such a line may have: what a %TAG line defines is
	// copied into each value that uses it.
	maxDirective = 200
	// maxDepth is how many maps and lists may be within one another. A walk over the
	// values takes some hundred bytes of stack for each, and a stack that overflows
	// ends the process.
	maxDepth = 1_000
)

// Size is what a file can take of its readers, counted without reading it as YAML.
type Size struct {
	Bytes int
	// Nodes counts every line with text and every character that could make a value or
	// a key, also in comments and quotes, where they make none, and a part of a node for
	// each quote, tag and line. So no text gets past it, and real files have a fraction
	// of the limit.
	Nodes int
	// Aliases is how many there may be: each can make the tree twice as large.
	Aliases int

	directives, longestDirective int
}

// What a quote, an explicit tag and a line take beside the value that they are of, as
// parts of a node.
const (
	quotesPerNode = 2
	tagsPerNode   = 2
	linesPerNode  = 40
)

// Measure counts what is in a text, in one pass that takes no memory.
func Measure(text []byte) Size {
	s := Size{Bytes: len(text)}
	quotes, tags, lines := 0, 0, 0
	lineStart, blank := 0, true // of the line; with nothing but blanks so far
	for i, c := range text {
		switch c {
		case '\n':
			if blank = true; lineStart < i && text[lineStart] == '%' {
				s.directives++
				s.longestDirective = max(s.longestDirective, i-lineStart)
			}
			lines++
			lineStart = i + 1
			continue
		case ' ', '\t', '\r':
			continue
		case ',', '[', '{', ':':
			s.Nodes++
		case '"', '\'':
			quotes++
		case '!':
			tags++
		case '*':
			s.Aliases++
		case '-', '?':
			if i+1 == len(text) || text[i+1] == ' ' || text[i+1] == '\n' || text[i+1] == '\t' || text[i+1] == '\r' {
				s.Nodes++
			}
		}
		if blank {
			s.Nodes++
		}
		blank = false
	}
	s.Nodes += quotes/quotesPerNode + tags/tagsPerNode + lines/linesPerNode
	return s
}

// What the readers of an edit hold at most, before and after it, for each node and for
// each byte of the text. TestNoFileTakesMoreThanItsCost holds the worst shapes to it.
const (
	bytesPerNode = 760
	bytesPerByte = 8
)

// Cost bounds the memory, in bytes, that an edit of the file holds at a time. Reading
// alone holds less.
func (s Size) Cost() int64 {
	nodes := int64(s.Nodes)
	for range min(s.Aliases, 20) {
		nodes = min(2*nodes, MaxNodes)
	}
	return bytesPerNode*nodes + bytesPerByte*int64(s.Bytes)
}

// NodesWithin is how many nodes a file of so many bytes may have whose cost fits into a
// memory.
func NodesWithin(memory int64, bytes int) int {
	return int(max(0, memory-bytesPerByte*int64(bytes)) / bytesPerNode)
}

// check refuses a file that would need too much memory or time, before a reader
// builds anything of it.
func (l Limits) check(s Size) error {
	l = l.WithDefaults()
	switch {
	case s.Bytes > l.Bytes:
		return refuse(FileTooLarge, "the file has %d bytes, and at most %d are read: split it, or raise limits.file.bytes", s.Bytes, l.Bytes)
	case s.Nodes > l.Nodes:
		return refuse(FileTooLarge, "the file has %d lines and values, and at most %d are read: split it, or raise limits.file.nodes", s.Nodes, l.Nodes)
	case s.directives > maxDirectives:
		return refuse(FileTooLarge, "the file has %d lines that begin with %% (directives), and at most %d are read: remove those that it does not need", s.directives, maxDirectives)
	case s.longestDirective > maxDirective:
		return refuse(FileTooLarge, "the file has a line that begins with %% (a directive) of %d bytes, and at most %d are read: shorten it", s.longestDirective, maxDirective)
	}
	return nil
}

// checkTree refuses what a text cannot show: maps and lists that are too far within
// one another, and aliases that stand for too much. It is called before anything walks
// over the tree by calling itself, and before a reader puts what aliases stand for in
// their places.
func (l Limits) checkTree(docs []*yaml.Node) error {
	l = l.WithDefaults()
	w := treeWalk{nodes: make(map[*yaml.Node]int), limit: l.Nodes}
	all := 0
	for _, doc := range docs {
		if err := w.add(doc); err != nil {
			return err
		}
		all = min(all+w.last, l.Nodes+1)
	}
	if all > l.Nodes {
		return refuse(FileTooLarge, "the file's aliases (*name) stand for more than %d values: write fewer of them, or raise limits.file.nodes", l.Nodes)
	}
	return nil
}

// treeWalk counts the nodes of trees with what their aliases stand for.
type treeWalk struct {
	nodes map[*yaml.Node]int // of what has an anchor and was counted
	limit int                // counts stop a little above it
	last  int                // what the last tree has
}

// level is a map or a list that is being counted.
type level struct {
	node *yaml.Node
	next int // in its content
	sum  int
}

// add counts a tree. An alias of an anchor that is not counted yet is within that
// anchor's own value.
func (w *treeWalk) add(root *yaml.Node) error {
	stack := []level{{node: root, sum: 1}}
	for {
		top := &stack[len(stack)-1]
		if top.next < len(top.node.Content) {
			below := top.node.Content[top.next]
			top.next++
			switch {
			case below.Kind == yaml.AliasNode:
				meant, counted := w.nodes[below.Alias]
				if !counted {
					return refuse(NotYAML, "the file is not YAML to every reader: an anchor is used within its own value (line %d); remove that alias", below.Line)
				}
				top.sum += 1 + meant
			case len(below.Content) == 0:
				top.sum++
				if below.Anchor != "" {
					w.nodes[below] = 1
				}
			case len(stack) == maxDepth:
				return refuse(FileTooLarge, "the file has maps and lists within one another, more than %d deep: at most so many are read", maxDepth)
			default:
				stack = append(stack, level{node: below, sum: 1})
				continue
			}
			top.sum = min(top.sum, w.limit+1)
			continue
		}
		if top.node.Anchor != "" {
			w.nodes[top.node] = top.sum
		}
		if w.last = top.sum; len(stack) == 1 {
			return nil
		}
		stack = stack[:len(stack)-1]
		above := &stack[len(stack)-1]
		above.sum = min(above.sum+w.last, w.limit+1)
	}
}
