package values

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	// templateMark is a template where a key, an item or a value begins, so that the
	// line is not YAML: Helm, Jinja, ERB, Maven (@x@),
	// Windows (%x%) and Terraform (%{x}).
	templateMark = regexp.MustCompile(`(?:^|[:,\[{-])[ \t]*(\{\{|\{%|\{#|<%|@+[\w.-]+@+|%\{|%+[\w.-]+%+)`)
	lineNumber   = regexp.MustCompile(`line ([0-9]+)`)
)

// notYAML takes only the line from a reader's message: the rest may quote the file.
func notYAML(text []byte, nodesErr, helmErr error) error {
	cause := cmp.Or(nodesErr, helmErr)
	if strings.Contains(cause.Error(), "excessive aliasing") {
		return refuseWithCause(NotYAML, cause, "the file's aliases (*name) stand for too many values; write fewer of them")
	}
	line := 0 // unknown
	if found := lineNumber.FindStringSubmatch(cause.Error()); found != nil {
		line, _ = strconv.Atoi(found[1])
	}
	lines := strings.Split(string(text), "\n")
	from, to := max(0, line-2), min(len(lines), line+1) // the line at fault and those beside it
	if line == 0 {
		from, to = 0, len(lines)
	}
	if err := templateIn(lines, from, to, cause); err != nil {
		return err
	}
	for i := from; i < to; i++ {
		indent := lines[i][:len(lines[i])-len(strings.TrimLeft(lines[i], " \t"))]
		if tab := strings.IndexByte(indent, '\t'); tab >= 0 && strings.TrimSpace(lines[i]) != "" {
			return refuseWithCause(NotYAML, cause, "the file is not YAML to every reader: line %d is indented with a tab (character %d); use spaces", i+1, tab+1)
		}
	}
	if err := templateIn(lines, 0, from, cause); err != nil { // an unclosed bracket is noticed later
		return err
	}
	for i, text := range lines {
		if strings.HasPrefix(text, "<<<<<<< ") || strings.HasPrefix(text, ">>>>>>> ") {
			return refuseWithCause(NotYAML, cause, "the file is not YAML to every reader: line %d is the mark of a merge conflict; resolve it", i+1)
		}
	}
	at := ""
	if line > 0 {
		at = "; see line " + strconv.Itoa(line)
	}
	for _, known := range readersWords {
		if strings.Contains(cause.Error(), known.words) {
			return refuseWithCause(NotYAML, cause, "the file is not YAML to every reader%s: %s", at, known.says)
		}
	}
	return refuseWithCause(NotYAML, cause, "the file is not YAML to every reader%s", at)
}

// readersWords are what the readers say, and what people then look for. The line is
// where the reader noticed it.
var readersWords = []struct{ words, says string }{
	{"unknown anchor", "an alias (*name) has no anchor (&name) before it; write that first, or put text that begins with * in quotes"},
	{"cannot start any token", "a value begins with @, ` or %; put it in quotes"},
	{"mapping values are not allowed", "there is a second colon in one value, or the line is set in too far; put the value in quotes, or set the line in as those around it"},
	{"could not find expected ':'", "a key before it has no colon"},
	{"found unexpected end of stream", "a quote or a bracket before it is not closed"},
	{"did not find expected ','", "a bracket before it is not closed, or a comma is missing"},
	{"did not find expected key", "the line is not set in as those around it, or there is text behind a closing quote or bracket"},
	{"did not find expected '-' indicator", "a list goes on with a line that has no hyphen; set it in further, or write the hyphen"},
	{"did not find expected <document start>", "there is text behind the end of a document; write --- before the next"},
	{"unknown escape character", `in double quotes a backslash begins an escape; write \\, or single quotes`},
	{"undefined tag handle", "a value has a YAML tag (!x!y) that no %TAG line defines; remove it"},
	{"incompatible YAML document", "its %YAML line asks for another version than 1.1 and 1.2; remove it"},
	{"alphabetic or numeric character", "& and * begin an anchor's name; put text that begins so in quotes"},
	{"expected comment or line break", "behind | and > only a number, + or - may stand; put text that begins so in quotes"},
	{"contains itself", "an anchor is used within its own value; remove that alias"},
	{"map merge requires", "what a merge key (<<) brings in must be a map, or a list of maps"},
	{"invalid map key", "a key is a map or a list; write text"},
}

// templateIn is the refusal of a template in some of the lines, or nil.
func templateIn(lines []string, from, to int, cause error) error {
	for i, line := range lines[from:to] {
		found := templateMark.FindStringSubmatchIndex(line)
		if found == nil || strings.Count(line[:found[2]], `"`)%2 != 0 || isComment([]byte(line)) {
			continue
		}
		return refuseWithCause(Placeholder, cause, "the file is a template for another tool to fill in (%s in line %d, character %d), and not YAML until it is filled in; edit what it is filled in from",
			line[found[2]:found[3]], from+i+1, 1+utf8.RuneCountInString(line[:found[2]]))
	}
	return nil
}
