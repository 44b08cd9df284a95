package gitops

import (
	"strings"
	"unicode"
)

// Clip bounds a text that somebody else wrote, such as a payload's, for a sentence that
// has it: to so many bytes, and to one line.
func Clip(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// OneLine makes one line of words, in which nothing ends a line for any reader, nothing
// hides or turns around other text, and which is not too long, like [Clip].
func OneLine(words string, most int) string {
	fields := strings.FieldsFunc(strings.ToValidUTF8(words, "?"), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	return Clip(strings.Join(fields, " "), most)
}
