package values

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
)

// isJSON reports whether a text is JSON; a byte order mark before it does not count.
func isJSON(text []byte) bool {
	return json.Valid(bytes.TrimPrefix(text, []byte(byteOrderMark)))
}

// jsonAsYAML rewrites what JSON has and YAML does not: an escaped slash (YAML 1.1)
// and characters that are written as two escapes, \ud83d\ude00. Behind each string
// it adds the spaces that this saves, so that everything stays in its column.
func jsonAsYAML(text []byte) []byte {
	if !bytes.Contains(text, []byte(`\/`)) && !bytes.Contains(text, []byte(`\ud`)) && !bytes.Contains(text, []byte(`\uD`)) {
		return text
	}
	out := make([]byte, 0, len(text))
	inside, saved := false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			out = append(out, c)
			if inside = !inside; !inside {
				out = append(out, bytes.Repeat([]byte(" "), saved)...)
				saved = 0
			}
		case c == '\\' && text[i+1] == '/':
			out = append(out, '/')
			saved++
			i++
		case c == '\\' && surrogates(text[i:]) != 0:
			escape := strconv.QuoteToASCII(string(surrogates(text[i:])))
			out = append(out, escape[1:len(escape)-1]...)
			saved += 12 - (len(escape) - 2)
			i += 11
		case c == '\\':
			out = append(out, c, text[i+1])
			i++
		default:
			out = append(out, c)
		}
	}
	return out
}

// surrogates is the character that a text begins with, written as two escapes of
// its halves in UTF-16; 0 when it begins otherwise.
func surrogates(text []byte) rune {
	if len(text) < 12 || text[0] != '\\' || text[1] != 'u' || text[6] != '\\' || text[7] != 'u' {
		return 0
	}
	high, highErr := strconv.ParseUint(string(text[2:6]), 16, 16)
	low, lowErr := strconv.ParseUint(string(text[8:12]), 16, 16)
	if highErr != nil || lowErr != nil {
		return 0
	}
	r := utf16.DecodeRune(rune(high), rune(low))
	if r == '\ufffd' {
		return 0
	}
	return r
}
