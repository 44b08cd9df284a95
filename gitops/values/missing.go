package values

import (
	"fmt"
	"regexp"
	"sort"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// missing says that the key selects nothing, how far it reaches, and what is
// there instead: a key that was mistyped is the commonest cause.
func (s *source) missing(k key) error {
	if len(s.docs) == 0 {
		return refuse(NothingSelected, "selects nothing: the file has no YAML in it")
	}
	if k.all.plain {
		return s.missingStep(k.all.steps)
	}
	if k.last != "" {
		if parents, err := s.find(k.parent); err == nil && len(parents) > 0 {
			n := parents[0].node()
			return refuse(NothingSelected, "selects nothing: what is in line %d has no %s; %s", n.Line, show(k.last), has(n, k.last))
		}
	}
	return s.missingStep(plainPrefix(k.all.tree))
}

// missingStep finds the first step that leads nowhere, in the document where
// the key gets furthest.
func (s *source) missingStep(steps []string) error {
	var deepest place
	for doc := range s.docs {
		if p, _, err := s.walk(doc, steps); err == nil && len(p.chain) > len(deepest.chain) {
			deepest = p
		}
	}
	if deepest.chain == nil {
		return refuse(NothingSelected, "selects nothing")
	}
	reached := len(deepest.chain) - 1
	if reached == len(steps) {
		return refuse(NothingSelected, "selects nothing: nothing in %s fits; %s", showPath(steps), has(deepest.node(), ""))
	}
	step := steps[reached]
	return refuse(NothingSelected, "selects nothing: %s has no %s; %s",
		showPath(steps[:reached]), show(step), has(deepest.node(), step))
}

// has describes what a node has in it, the nearest names to wanted first.
func has(n *yaml.Node, wanted string) string {
	var names []string
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			names = append(names, meant(n.Content[i]).Value)
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			if i, err := lookupName(item); err == nil && i >= 0 {
				names = append(names, meant(meant(item).Content[i+1]).Value)
			}
		}
		if len(names) == 0 {
			return fmt.Sprintf("it is a list of %d", len(n.Content))
		}
	default:
		if n.ShortTag() == "!!null" {
			return "it is empty"
		}
		if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			return "it is a block of text (| or >); give its key as inside, and as key what is in the text"
		}
		return "it is a single value"
	}
	if len(names) == 0 {
		return "it is empty"
	}
	const most = 6
	total := len(names)
	sort.SliceStable(names, func(i, j int) bool { return distance(names[i], wanted) < distance(names[j], wanted) })
	names = names[:min(total, most)]
	for i := range names {
		names[i] = show(names[i])
	}
	text := "it has " + strings.Join(names, ", ")
	if total > most {
		text += fmt.Sprintf(" and %d more", total-most)
	}
	return text
}

// lookupName finds what a list's items are told apart by.
func lookupName(item *yaml.Node) (int, error) {
	if item = meant(item); item.Kind != yaml.MappingNode {
		return -1, nil
	}
	return lookup(item, "name")
}

var simpleName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*$`)

// show makes a name from the file fit for a sentence.
func show(name string) string {
	if r := []rune(name); len(r) > 60 {
		name = string(r[:60]) + "..."
	}
	if simpleName.MatchString(name) {
		return name
	}
	return fmt.Sprintf("%q", name)
}

func showPath(steps []string) string {
	if len(steps) == 0 {
		return "the file's root"
	}
	var b strings.Builder
	for _, step := range steps {
		if indexGrammar.MatchString(step) {
			b.WriteString("[" + step + "]")
			continue
		}
		b.WriteString("." + show(step))
	}
	return b.String()
}

// distance is the number of letters to insert, delete or exchange to get from
// one name to the other, whatever their case (V. Levenshtein, 1966).
func distance(a, b string) int {
	from, to := []rune(strings.ToLower(a)), []rune(strings.ToLower(b))
	if len(from) > 60 || len(to) > 60 {
		return 60
	}
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i := range from {
		diagonal := row[0]
		row[0] = i + 1
		for j := range to {
			exchanged := diagonal
			if from[i] != to[j] {
				exchanged++
			}
			diagonal = row[j+1]
			row[j+1] = min(exchanged, row[j]+1, diagonal+1)
		}
	}
	return row[len(to)]
}
