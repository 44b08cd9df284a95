package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy/tagset"
)

// token is one piece of a regular expression as a person reads it.
type token struct {
	text string
	kind kind
}

type kind int

const (
	literal    kind = iota // one character that stands for itself, also when escaped
	wildcard               // .
	set                    // [...], \d and the like
	repetition             // *, +, ?, {n}, with a ? behind it
	group                  // ( and ), |, and places: ^, $, \A, \z, \b, \B
)

var tokenText = regexp.MustCompile(`(?s)^(?:\\[pP]\{\^?\w+\}|\\.|\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]|\{\d+(?:,\d*)?\}\??|\(\?[A-Za-z:<>=!^-]*|[*+?]\??|.)`)

// tokens takes an expression that compiles apart. It knows no \Q...\E.
func tokens(match string) (list []token) {
	for match != "" {
		text := tokenText.FindString(match)
		match = match[len(text):]
		list = append(list, token{text, kindOf(text)})
	}
	return list
}

func kindOf(text string) kind {
	switch text[0] {
	case '.':
		return wildcard
	case '*', '+', '?':
		return repetition
	case '(', ')', '|', '^', '$':
		return group
	case '[':
		return set
	case '{':
		if len(text) > 1 {
			return repetition
		}
	case '\\':
		if slices.Contains([]string{`\A`, `\z`, `\b`, `\B`}, text) {
			return group
		}
		if len(text) == 2 && !strings.ContainsAny(text[1:], "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
			return literal
		}
		return set
	}
	return literal
}

// beginsOnly reports whether an expression has ^ at its beginning and no $ at its
// end: elsewhere that means every text that begins so.
func beginsOnly(match string) bool {
	return strings.HasPrefix(match, "^") && !strings.HasSuffix(match, "$")
}

// warnOfMatch finds what compiles and takes a tag, and is hardly meant: a glob, or an
// expression for a part of the tag.
func warnOfMatch(field, match string, pattern *tagset.Pattern) []*gitops.Error {
	warn := func(format string, args ...any) []*gitops.Error {
		return []*gitops.Error{gitops.FieldErrorf(field, format, args...)}
	}
	list := tokens(match)
	if text := uselessAlternative(list, match); text != "" {
		return warn("%s", text)
	}
	switch at, way := globStar(list), ""; {
	case at >= 0:
		way = suggest(list)
		return warn("in a regular expression the star repeats the %s before it, so this takes %s; for anything in that place write %s",
			nameOf(list[at-1].text), examples(list, pattern), way)
	case optionalEnd(list):
		end := len(list) - 1
		if list[end].text == "??" {
			return warn("in a regular expression a question mark means that the %s before it may be missing, so this takes %s; for two more characters write %s",
				nameOf(list[end-1].text), examples(list, pattern), suggest(list))
		}
		return warn("in a regular expression the question mark means that the %s before it may be missing, so this takes %s; for one more character write %s",
			nameOf(list[end-1].text), examples(list, pattern), suggest(list))
	case strings.Contains(match, "[!"):
		return warn("in a regular expression [! begins a list that has an exclamation mark; for every other character write [^")
	}
	for _, say := range []func(list []token, match string, pattern *tagset.Pattern) string{mistakenSet, versionRange, partOfATag} {
		if text := say(list, match, pattern); text != "" {
			return warn("%s", text)
		}
	}
	return nil
}

// globStar finds a star behind a character that stands for itself, where what follows
// in its branch is a glob's, too; -1 when there is none. Zeros are repeated by people
// who mean it.
func globStar(list []token) int {
	glob := !slices.ContainsFunc(list, func(t token) bool {
		return t.kind == set || t.kind == group || t.kind == repetition && t.text != "*" && t.text != "?"
	})
	for i := 1; i < len(list); i++ {
		if list[i].text != "*" || list[i-1].kind != literal || list[i-1].text == "0" {
			continue
		}
		branch := list[i+1:]
		if end := slices.IndexFunc(branch, func(t token) bool { return t.text == "|" || t.text == ")" || t.text == "$" }); end >= 0 {
			branch = branch[:end]
		}
		if glob || !slices.ContainsFunc(branch, func(t token) bool { return t.kind != literal && t.text != "*" }) {
			return i
		}
	}
	return -1
}

// optionalEnd reports whether an expression ends in a separator and a question mark.
func optionalEnd(list []token) bool {
	end := len(list) - 1
	return end > 0 && (list[end].text == "?" || list[end].text == "??") && slices.Contains([]string{"-", "_", `\.`, `\-`}, list[end-1].text)
}

// suggest turns the stars and question marks that follow a character into what they
// mean in a glob.
func suggest(list []token) string {
	var b strings.Builder
	for i, t := range list {
		switch {
		case i > 0 && t.text == "*" && list[i-1].kind == literal:
			b.WriteString(".*")
		case i > 0 && i == len(list)-1 && strings.Trim(t.text, "?") == "" && list[i-1].kind == literal:
			b.WriteString(strings.Repeat(".", len(t.text)))
		case t.kind == wildcard && (i+1 == len(list) || list[i+1].kind != repetition):
			b.WriteString(`\.`)
		case t.kind == wildcard && list[i+1].text == "*" && i > 0 && list[i-1].text == "*": // v*.*
			b.WriteString(`\..`)
		default:
			b.WriteString(t.text)
		}
	}
	return b.String()
}

// examples are some tags that an expression of characters, stars and question marks
// takes.
func examples(list []token, pattern *tagset.Pattern) string {
	if pattern.Matches("anything") && pattern.Matches("1.2.3") {
		return "every tag"
	}
	var found []string
	for _, times := range []int{0, 1, 2} {
		var b strings.Builder
		for i, t := range list {
			repeated := i+1 < len(list) && (list[i+1].text == "*" || strings.Trim(list[i+1].text, "?") == "")
			switch {
			case t.kind == literal && repeated:
				b.WriteString(strings.Repeat(strings.TrimPrefix(t.text, `\`), times))
			case t.kind == literal:
				b.WriteString(strings.TrimPrefix(t.text, `\`))
			}
		}
		if tag := b.String(); pattern.Matches(tag) && !slices.Contains(found, fmt.Sprintf("%q", tag)) {
			found = append(found, fmt.Sprintf("%q", tag))
		}
	}
	if len(found) == 0 {
		tag, _ := tagset.Find(pattern, nil)
		return fmt.Sprintf("%q", tag)
	}
	return strings.Join(found, ", ")
}

// nameOf names a character for a sentence.
func nameOf(text string) string {
	switch c := strings.TrimPrefix(text, `\`); c {
	case "-":
		return "hyphen"
	case ".":
		return "dot"
	case "_":
		return "underscore"
	default:
		return c
	}
}
