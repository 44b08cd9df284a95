package tagset

import (
	"cmp"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Pattern is a regular expression that must match the whole tag, or two that must at
// once.
type Pattern struct{ parts []part }

// part is one expression, compiled.
type part struct {
	expr *regexp.Regexp
	prog *syntax.Prog
}

// mostParts is how many expressions a pattern may have.
const mostParts = 2

// mostInstructions bounds the program that an expression becomes: each .{1000} is a
// thousand steps in a few characters, and no tag has more than 128.
const mostInstructions = 4000

// Compile compiles an expression.
func Compile(expr string) (*Pattern, error) {
	// By itself first: "a)|(b" is not one, and would be between our brackets.
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	if n := instructions(tree); n > mostInstructions {
		return nil, fmt.Errorf("is too long: its repetitions make it %d steps, and it may have %d", n, mostInstructions)
	}
	whole := `^(?:` + expr + `)$`
	compiled, err := regexp.Compile(whole)
	if err != nil {
		return nil, err
	}
	if tree, err = syntax.Parse(whole, syntax.Perl); err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	return &Pattern{[]part{{compiled, prog}}}, nil
}

// instructions is about how many instructions an expression becomes: what is repeated is
// there as often as it may occur.
func instructions(tree *syntax.Regexp) int {
	n := 0
	for _, sub := range tree.Sub {
		n += instructions(sub)
	}
	switch tree.Op {
	case syntax.OpLiteral:
		return len(tree.Rune)
	case syntax.OpRepeat:
		return n * max(1, tree.Min, tree.Max)
	}
	return n + 1
}

// Intersect is a pattern that matches what both match, each of one expression; nil
// matches everything.
func Intersect(p, q *Pattern) *Pattern {
	if p == nil || q == nil {
		return cmp.Or(p, q)
	}
	return &Pattern{slices.Concat(p.parts, q.parts)}
}

// Matches reports whether the pattern matches a tag as a whole, and it is one.
func (p *Pattern) Matches(tag string) bool {
	return gitops.CheckTag("tag", tag) == nil && p.MatchString(tag)
}

// MatchString reports whether the pattern matches the whole of a text.
func (p *Pattern) MatchString(text string) bool {
	return !slices.ContainsFunc(p.parts, func(part part) bool { return !part.expr.MatchString(text) })
}
