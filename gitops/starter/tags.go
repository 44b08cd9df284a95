package starter

import (
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// Rule says which tags an environment takes, as the configuration has it.
type Rule struct {
	Match  string // a regular expression for the whole tag
	Semver string
}

var version = regexp.MustCompile(`^v?(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(?:-([0-9A-Za-z.-]+))?$`)

// ruleFor proposes a rule that takes all the tags, and no more than others of their
// kind. ok is false when they have too little in common, or there are none.
func ruleFor(tags []string) (r Rule, ok bool) {
	if len(tags) == 0 {
		return Rule{}, false
	}
	if !slices.ContainsFunc(tags, func(tag string) bool { return !version.MatchString(tag) }) {
		return versionRule(tags), true
	}
	match, ok := shapeOf(tags)
	return Rule{Match: match}, ok
}

// versionRule takes versions from the lowest major one on, or of 0.x from the lowest
// minor one, and pre-releases of those kinds that are there.
func versionRule(tags []string) Rule {
	least := [2]int{1 << 30, 0}
	var preReleases []string
	for _, tag := range tags {
		m := version.FindStringSubmatch(tag)
		major, _ := strconv.Atoi(m[1]) // a number of digits; too large a one is as good as the largest
		minor, _ := strconv.Atoi(m[2])
		if major > 0 {
			minor = 0
		}
		if at := [2]int{major, minor}; slices.Compare(at[:], least[:]) < 0 {
			least = at
		}
		if m[4] != "" {
			preReleases = append(preReleases, m[4])
		}
	}
	r := Rule{Semver: fmt.Sprintf(">=%d.%d.0", least[0], least[1])}
	if len(preReleases) == 0 {
		return r
	}
	r.Semver += "-0"
	if kind, ok := shapeOf(preReleases); ok {
		if expr, err := syntax.Parse(kind, syntax.Perl); err == nil && expr.Op == syntax.OpAlternate {
			kind = "(" + kind + ")"
		}
		r.Match = `v?[0-9]+\.[0-9]+\.[0-9]+(-` + kind + ")?"
	}
	return r
}

// token is a piece of a tag: a word, digits, the name of a commit, or what stands
// between them.
type token struct {
	class class
	text  string
}

type class byte

const (
	word   class = 'w'
	digits class = 'd'
	commit class = 'c'
	mark   class = 'm'
)

var (
	commitName = regexp.MustCompile(`^g?[0-9a-f]{7,40}$`)
	hasDigit   = regexp.MustCompile(`[0-9]`)
	calendar   = regexp.MustCompile(`^(19|20)[0-9]{2}(0[1-9]|1[0-2])([0-2][0-9]|3[01])([0-9]{4}|[0-9]{6})?$`)
	allDigits  = regexp.MustCompile(`^[0-9]+$`)
	runs       = regexp.MustCompile(`[0-9]+|[^0-9]+`)
	longRun    = 6 // digits from which on their number counts: a time or a date
)

// tokens takes a tag apart.
func tokens(tag string) (all []token) {
	last := 0
	for _, at := range pieces(tag) {
		if at.from > last {
			all = append(all, token{mark, tag[last:at.from]})
		}
		all = append(all, pieceTokens(tag[at.from:at.to])...)
		last = at.to
	}
	return all
}

func pieceTokens(piece string) (all []token) {
	number := allDigits.MatchString(piece)
	switch {
	case commitName.MatchString(piece) && hasDigit.MatchString(piece) && (!number || (len(piece) == 7 || len(piece) == 40) && !calendar.MatchString(piece)):
		return []token{{commit, piece}}
	case piece == "":
		return nil
	}
	for _, run := range runs.FindAllString(piece, -1) {
		if allDigits.MatchString(run) {
			all = append(all, token{digits, run})
		} else {
			all = append(all, token{word, run})
		}
	}
	return all
}

// shapeOf is an expression for the shapes that tags have: three at most.
func shapeOf(tags []string) (match string, ok bool) {
	const most = 3
	byShape := make(map[string][][]token)
	for _, tag := range tags {
		all := tokens(tag)
		var shape strings.Builder
		for _, t := range all {
			shape.WriteByte(byte(t.class))
			if t.class == mark {
				shape.WriteString(t.text)
			}
		}
		byShape[shape.String()] = append(byShape[shape.String()], all)
	}
	if len(byShape) > most {
		return anyBranch(tags)
	}
	var alternatives []string
	for _, shape := range slices.Sorted(maps.Keys(byShape)) {
		alternatives = append(alternatives, generalized(byShape[shape]))
	}
	match = strings.Join(alternatives, "|")
	return match, takesAll(match, tags)
}

// generalized is the expression for tags that have the same classes in the same places.
func generalized(tags [][]token) string {
	const fewWords = 4
	var b strings.Builder
	for i, first := range tags[0] {
		var texts []string
		for _, all := range tags {
			if !slices.Contains(texts, all[i].text) {
				texts = append(texts, all[i].text)
			}
		}
		slices.Sort(texts)
		switch {
		case first.class == commit:
			b.WriteString(commits(texts))
		case first.class == digits:
			b.WriteString(numbers(texts))
		case len(texts) == 1:
			b.WriteString(regexp.QuoteMeta(texts[0]))
		case len(texts) <= fewWords:
			b.WriteString("(" + strings.Join(texts, "|") + ")")
		default:
			b.WriteString("[A-Za-z_]+")
		}
	}
	return b.String()
}

// commits is the expression for names of commits: short ones grow with a repository.
func commits(texts []string) string {
	whole := !slices.ContainsFunc(texts, func(text string) bool { return len(text) != 40 })
	prefixed := 0
	for _, text := range texts {
		if strings.HasPrefix(text, "g") {
			prefixed++
		}
	}
	switch {
	case whole:
		return "[0-9a-f]{40}"
	case prefixed == len(texts):
		return "g[0-9a-f]{7,40}"
	case prefixed > 0:
		return "g?[0-9a-f]{7,40}"
	}
	return "[0-9a-f]{7,40}"
}

func numbers(texts []string) string {
	length := len(texts[0])
	if length < longRun || slices.ContainsFunc(texts, func(text string) bool { return len(text) != length }) {
		return "[0-9]+"
	}
	return "[0-9]{" + strconv.Itoa(length) + "}"
}

// anyBranch is for tags that begin with the name of any branch and end with a commit.
func anyBranch(tags []string) (match string, ok bool) {
	match = `[A-Za-z0-9_][A-Za-z0-9._-]*-[0-9a-f]{7,40}`
	return match, takesAll(match, tags)
}

func takesAll(match string, tags []string) bool {
	expr, err := regexp.Compile("^(?:" + match + ")$")
	return err == nil && !slices.ContainsFunc(tags, func(tag string) bool { return !expr.MatchString(tag) })
}
