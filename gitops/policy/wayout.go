package policy

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy/tagset"
)

// wayOutOfSyntax says what to write in place of an expression that does not compile.
func wayOutOfSyntax(match string, err error) string {
	var at *syntax.Error
	if !errors.As(err, &at) {
		return ""
	}
	switch {
	case strings.HasPrefix(at.Expr, "(?<name>"):
		return ""
	case at.Code == syntax.ErrMissingRepeatArgument, at.Code == syntax.ErrInvalidRepeatOp && strings.Contains(at.Expr, "**"):
		return "; if it is meant as a glob, write " + fromGlob(match)
	case at.Code == syntax.ErrInvalidRepeatOp && strings.HasPrefix(at.Expr, "?") && strings.ContainsAny(at.Expr[1:], "?*"):
		return "; if it is meant as a glob, write " + fromGlob(match)
	case at.Code == syntax.ErrInvalidRepeatOp && strings.HasPrefix(at.Expr, "{"):
		return "; what is repeated is not repeated once more: write one of the two, or put ( ) around the first"
	case at.Code == syntax.ErrInvalidRepeatOp:
		return "; RE2 has no possessive repetition: write " + at.Expr[:1]
	case at.Code == syntax.ErrMissingParen, at.Code == syntax.ErrUnexpectedParen:
		return `; each ( needs its ), and \( and \) stand for the characters`
	case at.Code == syntax.ErrMissingBracket, at.Code == syntax.ErrInvalidCharRange:
		return `; each [ needs its ] and ranges that go up, such as [0-9a-f]; \[ and \- stand for the characters`
	case at.Code == syntax.ErrInvalidRepeatSize:
		return "; a repetition is at most 1000 times, and a tag has at most 128 characters"
	case strings.HasPrefix(at.Expr, "(?=") || strings.HasPrefix(at.Expr, "(?!") || strings.HasPrefix(at.Expr, "(?<"):
		return "; RE2 has no lookahead or lookbehind: say what the wanted tags have, such as main-[0-9a-f]{7,40}, or take versions with semver" + exceptLatest(match)
	case at.Code == syntax.ErrInvalidPerlOp:
		return "; RE2 has groups ( ) and (?: ), and no atomic groups, comments or conditions: take what is special out of the brackets"
	case at.Code == syntax.ErrInvalidEscape && len(at.Expr) == 2 && at.Expr[1] >= '1' && at.Expr[1] <= '9':
		return "; RE2 has no references back to a group: write out what it may be"
	case at.Code == syntax.ErrInvalidEscape:
		return `; a backslash stands before one of . + * ? ( ) [ ] { } | ^ $ \, or begins one of \d \w \b`
	}
	return ""
}

// exceptLatest is for the commonest reason to look ahead.
func exceptLatest(match string) string {
	if strings.Contains(match, "latest") {
		return `; "latest" is never taken, and need not be left out`
	}
	return ""
}

// fromGlob is a regular expression for a glob.
func fromGlob(glob string) string {
	var b strings.Builder
	for len(glob) > 0 {
		stars := len(glob) - len(strings.TrimLeft(glob, "*"))
		switch {
		case stars > 0:
			b.WriteString(".*")
			glob = glob[stars:]
			continue
		case glob[0] == '?':
			b.WriteByte('.')
		case glob[0] == '.':
			b.WriteString(`\.`)
		default:
			b.WriteByte(glob[0])
		}
		glob = glob[1:]
	}
	return b.String()
}

const curlyQuotes = "“”„‟‘’‚‛«»‹›"

// prefixed are the words that other tools want before a pattern.
var prefixed = regexp.MustCompile(`^(?i:(regexp?|re|pcre|pattern|glob|wildcard|semver|exact|literal|tag|match|any|in)[:=])\s*(.*)$`)

// variable is text that another tool would fill in: ${X}, $(X), $X, {{ x }}, %X%, <x>.
var variable = regexp.MustCompile(`\$[{(A-Za-z_]|\{\{|%[A-Za-z_]\w*|(?:^|[^?P])<[A-Za-z][\w-]*>`)

func isConstraint(text string) bool {
	_, err := semver.NewConstraint(text)
	return err == nil
}

// whyNoTag says why an expression matches no tag, and what to write. It is asked only
// of those of which that is proved.
func whyNoTag(match string, pattern *tagset.Pattern) string {
	trimmed := strings.TrimSpace(match)
	switch word := prefixed.FindStringSubmatch(match); {
	case strings.ContainsAny(match, curlyQuotes):
		return "it has typographic quotes; write plain ones around it, or none: " + strings.Trim(match, curlyQuotes)
	case strings.TrimLeft(match, " \t\r\n") != match:
		return "it begins with a space; write " + trimmed
	case trimmed != match:
		return "it ends in a space or line break; write " + trimmed
	case variable.MatchString(match):
		return "nothing fills in a variable such as ${BRANCH} here; write the text itself, or [0-9A-Za-z-]+ for any"
	case word != nil && strings.EqualFold(word[1], "semver"):
		return fmt.Sprintf("no tag has a colon; write semver: %q in place of match", word[2])
	case word != nil && (strings.EqualFold(word[1], "glob") || strings.EqualFold(word[1], "wildcard")):
		return fmt.Sprintf("no tag has a colon, and there are no globs; leave %s out, and write %s", match[:len(word[1])+1], fromGlob(word[2]))
	case word != nil:
		return fmt.Sprintf("leave %s out, and write %s", match[:len(word[1])+1], word[2])
	case isConstraint(match):
		return fmt.Sprintf("a range of versions is a semver rule; write semver: %q in place of match", match)
	case len(match) > 1 && strings.HasPrefix(match, "/"):
		return "no tag has a slash; write " + betweenSlashes(match)
	}
	return whyNoText(match, pattern)
}

// betweenSlashes is the expression without slashes and what stands behind them, as
// one for the whole tag.
func betweenSlashes(match string) string {
	inner := match[1:]
	if end := strings.LastIndex(inner, "/"); end >= 0 {
		inner = inner[:end]
	}
	if !strings.HasPrefix(inner, "^") && !strings.HasPrefix(inner, ".*") {
		inner = ".*" + inner
	}
	if !strings.HasSuffix(inner, "$") && !strings.HasSuffix(inner, ".*") {
		inner += ".*"
	}
	return inner
}

// whyNoText judges by what the expression does match.
func whyNoText(match string, pattern *tagset.Pattern) string {
	text := pattern.FindText()
	switch {
	case pattern.MatchString("latest"):
		return `"latest" is never taken, and it matches nothing else`
	case text == "" && !pattern.MatchString(""):
		return "nothing at all matches it: what stands before a ^ or behind a $ can never be there"
	case text == "":
		return "it matches only the empty text"
	case gitops.CheckTag("", text) != nil && strings.HasPrefix(text, "sha") && !strings.ContainsAny(text, "/: "):
		return "only the tags of signatures, attestations and SBOMs are like that, and they are never taken"
	}
	for _, r := range text {
		if r > 0x7f || !strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._", r) {
			return fmt.Sprintf("it wants %q, which no tag has%s", r, insteadOf(r, match))
		}
	}
	if text[0] == '.' || text[0] == '-' {
		return fmt.Sprintf("no tag begins with %q; write %s for tags that end so", text[0], ending(match))
	}
	return "it wants more than the 128 characters that a tag may have"
}

// insteadOf says what to write in place of a character that people bring along.
func insteadOf(r rune, match string) string {
	switch r {
	case ',', ';', ' ':
		return "; write | between alternatives, or leave it out"
	case '{', '}':
		return "; write ( | ) for alternatives"
	case '!':
		return "; nothing is negated here: say what the wanted tags have"
	case '~', '=', '<', '>':
		return "; a range of versions is a semver rule"
	case '\'', '"', '`':
		return "; leave the inner quotes out: " + strings.Trim(match, "'\"`")
	case ':', '@':
		return "; it is compared with the tag alone, without the image's name or digest"
	case '/':
		return "; it is compared with the tag alone, without the image's name or a git ref"
	case '+':
		return "; registries and CI write - or _ in place of + in a version"
	}
	if r > 0x7f || r < ' ' {
		return "; tags have plain letters, digits, . _ and -"
	}
	return "; leave it out, or write . for any character"
}

// wayOutOfConstraint says what to write in place of a text that is not a constraint.
func wayOutOfConstraint(text string) string {
	word := strings.TrimSpace(text)
	switch prefix := prefixed.FindStringSubmatch(text); {
	case prefix != nil:
		return fmt.Sprintf("; leave %s out: %q", text[:len(prefix[1])+1], prefix[2])
	case strings.ContainsAny(text, curlyQuotes):
		return "; it has typographic quotes"
	case strings.ContainsAny(text, "≥≤"):
		return "; write >= and <="
	case strings.Contains(text, " | "), strings.Contains(strings.ToLower(text), " or "):
		return "; write || between alternatives"
	case strings.HasPrefix(word, "=="):
		return "; write = once"
	case strings.HasSuffix(word, "||"), strings.HasPrefix(word, "||"):
		return "; leave || out at the ends"
	case strings.Trim(word, "\"'`") != word:
		return "; leave the inner quotes out: " + strings.Trim(word, "\"'`")
	case strings.Contains(text, "&&"), strings.Contains(strings.ToLower(text), " and "):
		return "; write a space between what must hold at once"
	case strings.HasPrefix(word, "["), strings.HasPrefix(word, "("):
		return `; write a range of brackets as ">=1.0.0 <2.0.0"`
	case strings.Contains(text, "${"), strings.Contains(text, "{{"):
		return "; nothing fills in a variable here"
	case word == "major", word == "minor", word == "patch", word == "all", word == "force":
		return `; name the versions, such as "^1" for every release of 1, "~1.4" for the patches of 1.4, or "*" for all`
	case word == "latest", word == "newest", word == "newest-build", word == "stable":
		return `; write "*" for every release`
	}
	return `; write it such as ">=1.0.0", "^1.2" or "1.4.x"`
}
