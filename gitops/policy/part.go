package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops/policy/tagset"
)

// The functions below each find one kind of expression that some tag matches and that
// is hardly meant, and say so; "" is for all others.

// wordsInSet and classAlone are brackets that are taken for alternatives, and for a
// class of characters.
var (
	wordsInSet = regexp.MustCompile(`^\[\^?([0-9A-Za-z]{2,}(?:\|[0-9A-Za-z]+)+|[0-9A-Za-z]+(?:\|[0-9A-Za-z]+)*\|[0-9A-Za-z]{2,})\]$`)
	classAlone = regexp.MustCompile(`^\[:\^?[a-z]+:\]$`)
)

// mistakenSet finds [main|dev] and [:digit:]: each is one character of those within.
func mistakenSet(list []token, _ string, pattern *tagset.Pattern) string {
	for _, t := range list {
		if words := wordsInSet.FindStringSubmatch(t.text); words != nil {
			return fmt.Sprintf("in a regular expression %s is one character, so this takes tags such as %s; for alternatives write (%s)", t.text, example(pattern), words[1])
		}
		if classAlone.MatchString(t.text) {
			return fmt.Sprintf("in a regular expression %s is one of the characters within, so this takes tags such as %s; for the class write [%s]", t.text, example(pattern), t.text)
		}
	}
	return ""
}

// rangeText is a range of versions, as a constraint writes it: 1.x, v1.2.*, ^1.2.
var rangeText = regexp.MustCompile(`^(?:v?[0-9]{1,2}(?:\.[0-9]+)*(?:\.[xX*])+|\^v?[0-9]+(?:\.[0-9xX]+)+)$`)

// versionRange finds a constraint that stands where an expression belongs.
func versionRange(_ []token, match string, pattern *tagset.Pattern) string {
	if !rangeText.MatchString(match) {
		return ""
	}
	begin := strings.TrimSuffix(match, ".*")
	wider := begin + "0" + strings.Repeat(".0", max(0, 2-strings.Count(begin, "."))) // 10.0.0 for 1.*
	if begin == match || !pattern.Matches(wider) {
		return fmt.Sprintf("in a regular expression the dot stands for any character, so this takes tags such as %s; for a range of versions write semver: %q in place of match", example(pattern), match)
	}
	return fmt.Sprintf("in a regular expression the dot stands for any character, so this takes %q, too; for a range of versions write semver: %q in place of match, for tags that begin with it %s",
		wider, match, strings.ReplaceAll(strings.TrimSuffix(match, "*"), ".", `\.`)+".*")
}

// uselessAlternative finds one of several alternatives that takes nothing, or no more
// than the beginning of a tag. By itself it would be refused.
func uselessAlternative(list []token, match string) string {
	all := alternatives(list)
	if len(all) < 2 || strings.Contains(match, `\Q`) {
		return ""
	}
	for _, text := range all {
		pattern, err := tagset.Compile(text)
		if err != nil || text == "" {
			continue
		}
		if why := takesNothing(text, pattern); why != "" {
			return fmt.Sprintf("its alternative %q %s", text, why)
		}
	}
	return ""
}

// alternatives takes an expression apart at those | that no brackets enclose.
func alternatives(list []token) (all []string) {
	depth := 0
	var b strings.Builder
	for _, t := range list {
		switch {
		case strings.HasPrefix(t.text, "("):
			depth++
		case t.text == ")":
			depth--
		case t.text == "|" && depth == 0:
			all = append(all, b.String())
			b.Reset()
			continue
		}
		b.WriteString(t.text)
	}
	return append(all, b.String())
}

// partOfATag finds an expression that takes one tag only, or a few of one form, and
// looks like the beginning or the end of more.
func partOfATag(list []token, match string, pattern *tagset.Pattern) string {
	if tag, decided := pattern.FindNamed(); decided && tag == "" {
		return fmt.Sprintf("takes only tags such as %s (it is a regular expression for the whole tag); for every tag that begins with it write %s", example(pattern), beginning(match))
	}
	begins, ends := strings.HasPrefix(flags.ReplaceAllString(match, ""), "^"), strings.HasSuffix(match, "$")
	fixed := !slices.ContainsFunc(list, func(t token) bool { return t.kind != literal && t.kind != group })
	if begins == ends || !fixed && !(begins && endsInOne(list)) {
		return ""
	}
	takes := "takes only the tag " + example(pattern)
	if slices.ContainsFunc(list, func(t token) bool { return t.text == "|" || t.kind != literal && t.kind != group }) {
		takes = "takes only tags such as " + example(pattern)
	}
	if begins {
		return fmt.Sprintf("%s (it is a regular expression for the whole tag); for every tag that begins with it write %s", takes, beginning(match))
	}
	return fmt.Sprintf("%s (it is a regular expression for the whole tag); for every tag that ends in it write %s", takes, ending(match))
}

var flags = regexp.MustCompile(`^\(\?[imsU-]+\)`)

// endsInOne reports whether an expression ends in a single character of several, as
// in ^v[0-9]: where a pattern is looked for anywhere, that is enough.
func endsInOne(list []token) bool {
	n := len(list)
	several := func(t token) bool { return t.kind == set || t.kind == wildcard }
	return n > 1 && several(list[n-1]) && !several(list[n-2])
}

// beginning is an expression for all that begins with what another one matches, and
// ending for what ends so.
func beginning(match string) string { return enclosed(match, "$") + ".*" }
func ending(match string) string    { return ".*" + enclosed(match, "^") }

// enclosed is an expression without an anchor, in brackets where it has alternatives.
func enclosed(match, anchor string) string {
	var b strings.Builder
	list := tokens(match)
	for _, t := range list {
		if t.text != anchor {
			b.WriteString(t.text)
		}
	}
	if len(alternatives(list)) > 1 {
		return "(?:" + b.String() + ")"
	}
	return b.String()
}

// example is a tag that a pattern matches, in quotes.
func example(pattern *tagset.Pattern) string {
	tag, _ := tagset.Find(pattern, nil)
	return fmt.Sprintf("%q", tag)
}
