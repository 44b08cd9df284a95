package github

import (
	"bytes"
	"encoding/json"
	"iter"
	"unicode/utf8"
)

// members yields the names and values of a JSON object, in their order, and
// skips what is within the values. The text must be one valid object, spaces
// around it allowed: [json.Valid] is what makes so short a reader right. It looks
// at each byte once and builds nothing, where decoding reads a body of 8 KB
// three times to find five strings in it.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		rest := bytes.TrimLeft(object, spaces)[1:]
		for {
			rest = bytes.TrimLeft(rest, spaces+",")
			if rest[0] == '}' {
				return
			}
			end := endOfValue(rest)
			name := letters(rest[:end])
			rest = bytes.TrimLeft(rest[end:], spaces+":")
			end = endOfValue(rest)
			if !yield(name, rest[:end:end]) {
				return
			}
			rest = rest[end:]
		}
	}
}

const spaces = " \t\r\n" // RFC 8259, section 2

// endOfValue is where the value ends that valid JSON begins with.
func endOfValue(value []byte) int {
	depth := 0
	for i := 0; ; i++ {
		switch value[i] {
		case '"':
			i += endOfString(value[i:]) - 1
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // the end of what the value is in
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
}

// endOfString is where the string ends that begins with the first byte.
func endOfString(value []byte) int {
	for end := 1; ; {
		end += bytes.IndexByte(value[end:], '"') + 1
		escapes := 0
		for value[end-2-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return end
		}
	}
}

// letters are what a JSON string says: a part of it where it has no escape and
// surely is UTF-8.
func letters(value []byte) []byte {
	for _, c := range value {
		if c == '\\' || c >= utf8.RuneSelf {
			var s string
			_ = json.Unmarshal(value, &s) // it is valid
			return []byte(s)
		}
	}
	return value[1 : len(value)-1]
}

// textOrNull is a JSON value as a string, if it is one; null is the empty string.
func textOrNull(value []byte) (s string, ok bool) {
	if value[0] == '"' {
		return string(letters(value)), true
	}
	return "", isNull(value)
}

func isNull(value []byte) bool { return value[0] == 'n' }
