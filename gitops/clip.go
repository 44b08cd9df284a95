package gitops

import "strings"

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
