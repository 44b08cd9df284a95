// Package tagset decides which tags a rule can take at all: whether there is one
// that a regular expression matches and a version constraint takes, too.
//
// A regular expression is compiled to the program that package regexp would run.
// A search over that program together with the grammar of tags, and of the versions
// that the constraint takes, either reaches its end, and what it has read on the way
// is a tag that the rule takes, or has seen every state without: then there is none.
package tagset

import (
	"regexp/syntax"
	"slices"
)

// mostSteps bounds the searches for one rule. Rules that people write need some
// thousands; what needs more is left undecided.
const mostSteps = 200_000

// node is where a search stands: the instruction of each program that comes next, what
// kind of character was before it, and the state of each language.
type node struct {
	pc   [mostParts]uint32 // 0 where there is no second program
	prev context
	at   [2]state
}

// context is a kind of character that \b, ^ and $ tell apart.
type context rune

const (
	edge    context = -1 // there is none
	word    context = 'a'
	between context = '-'
	newline context = '\n'
)

func contextOf(r rune) context {
	switch {
	case syntax.IsWordChar(r):
		return word
	case r == '\n':
		return newline
	}
	return between
}

// step is one step of a search: a node, and how it was reached.
type step struct {
	node
	from int // index of the step before
	by   rune
}

// search looks for the shortest text of at most so many characters that the pattern
// matches and both languages have. It knows that there is none when it has seen every
// node.
type search struct {
	parts  []part
	in     [2]language
	steps  []step
	seen   map[node]bool
	marked [mostParts][]uint32 // by program and instruction: the last closure that had it
	mark   uint32
}

// find runs a search of at most left steps, of which it takes those that it made.
// With decided false it was given up.
func (p *Pattern) find(left *int, most int, a, b language) (text string, found, decided bool) {
	s := &search{parts: p.parts, in: [2]language{a, b}, seen: make(map[node]bool)}
	defer func() { *left -= len(s.steps) }()
	first := node{prev: edge, at: [2]state{a.start(), b.start()}}
	for i, part := range p.parts {
		first.pc[i] = uint32(part.prog.Start)
		s.marked[i] = make([]uint32, len(part.prog.Inst))
	}
	s.add(first, -1, 0)
	depth, levelEnds := 0, 1
	for i := 0; i < len(s.steps); i++ {
		if i == levelEnds {
			depth, levelEnds = depth+1, len(s.steps)
		}
		if s.ends(s.steps[i].node) {
			return s.text(i), true, true
		}
		if depth == most {
			continue
		}
		s.follow(i)
		if len(s.steps) > *left {
			return "", false, false
		}
	}
	return "", false, true
}

func (s *search) add(n node, from int, by rune) {
	if !s.seen[n] {
		s.seen[n] = true
		s.steps = append(s.steps, step{n, from, by})
	}
}

// ends reports whether the text may end here.
func (s *search) ends(n node) bool {
	if !s.in[0].accepts(n.at[0]) || !s.in[1].accepts(n.at[1]) {
		return false
	}
	for i, part := range s.parts {
		if !slices.ContainsFunc(s.closure(i, n.pc[i], n.prev, edge), func(pc uint32) bool { return part.prog.Inst[pc].Op == syntax.InstMatch }) {
			return false
		}
	}
	return true
}

// follow adds every node that one more character leads to.
func (s *search) follow(i int) {
	n := s.steps[i].node
	for _, next := range []context{word, between, newline} {
		others := []*syntax.Inst{nil}
		if len(s.parts) > 1 {
			others = s.readers(1, n, next)
		}
		for _, inst := range s.readers(0, n, next) {
			for _, r := range candidates(inst, s.in[0]) {
				if contextOf(r) != next {
					continue
				}
				at := [2]state{s.in[0].step(n.at[0], r), s.in[1].step(n.at[1], r)}
				if at[0] != dead && at[1] != dead {
					s.read(i, node{prev: next, at: at}, r, inst, others)
				}
			}
		}
	}
}

// read adds the nodes that a character leads to which an instruction of the first program
// reads, one for each of the second program that reads it, too; a nil one stands for no
// second program.
func (s *search) read(from int, to node, r rune, inst *syntax.Inst, others []*syntax.Inst) {
	to.pc[0] = inst.Out
	for _, other := range others {
		switch {
		case other == nil:
		case other.MatchRune(r):
			to.pc[1] = other.Out
		default:
			continue
		}
		s.add(to, from, r)
	}
}

// readers are the instructions of a program that may read the next character.
func (s *search) readers(i int, n node, next context) (all []*syntax.Inst) {
	for _, pc := range s.closure(i, n.pc[i], n.prev, next) {
		if inst := &s.parts[i].prog.Inst[pc]; inst.Op != syntax.InstMatch {
			all = append(all, inst)
		}
	}
	return all
}

// closure lists the instructions of a program that read a character or match, and that
// are reached from one without reading.
func (s *search) closure(i int, pc uint32, prev, next context) (reached []uint32) {
	flags := syntax.EmptyOpContext(rune(prev), rune(next))
	s.mark++
	for stack := []uint32{pc}; len(stack) > 0; {
		pc, stack = stack[len(stack)-1], stack[:len(stack)-1]
		if s.marked[i][pc] == s.mark {
			continue
		}
		s.marked[i][pc] = s.mark
		switch inst := &s.parts[i].prog.Inst[pc]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, inst.Arg, inst.Out)
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, inst.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&^flags == 0 {
				stack = append(stack, inst.Out)
			}
		case syntax.InstFail:
		default:
			reached = append(reached, pc)
		}
	}
	return reached
}

// candidates are the characters that an instruction reads, of those that make a
// difference: where any text will do, a few besides those of tags.
func candidates(inst *syntax.Inst, in language) (runes []rune) {
	for _, r := range alphabet {
		if inst.MatchRune(r) {
			runes = append(runes, r)
		}
	}
	if _, any := in.(anything); !any {
		return runes
	}
	for _, r := range append([]rune(" /:\n"), inst.Rune...) {
		if inst.MatchRune(r) {
			runes = append(runes, r)
		}
	}
	return runes
}

// text is what was read on the way to a step.
func (s *search) text(i int) string {
	var runes []rune
	for ; s.steps[i].from >= 0; i = s.steps[i].from {
		runes = append(runes, s.steps[i].by)
	}
	slices.Reverse(runes)
	return string(runes)
}
