package values

import (
	"bytes"
	"unicode/utf8"
)

const byteOrderMark = "\ufeff"

// checkEncoding refuses what would make "line 7, column 3" mean different bytes
// to different readers, and what no reader takes.
func checkEncoding(text []byte) error {
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return refuse(BadEncoding, "the file is UTF-16; store it as UTF-8")
	case bytes.IndexByte(text, 0) >= 0:
		return refuse(BadEncoding, "the file has a NUL byte in line %d; store it as UTF-8 text", lineOf(text, bytes.IndexByte(text, 0)))
	case !utf8.Valid(text):
		return refuse(BadEncoding, "the file is not UTF-8: see line %d", lineOf(text, invalidAt(text)))
	case bytes.LastIndex(text, []byte(byteOrderMark)) > 0:
		return refuse(BadEncoding, "the file has a byte order mark within the text, in line %d; remove it", lineOf(text, bytes.LastIndex(text, []byte(byteOrderMark))))
	}
	for i := range text {
		if text[i] == '\r' && (i+1 == len(text) || text[i+1] != '\n') {
			return refuse(BadEncoding, "the file has a carriage return without a line feed in line %d; use one kind of line ending", lineOf(text, i))
		}
	}
	for _, separator := range []string{"\u0085", "\u2028", "\u2029"} {
		if i := bytes.Index(text, []byte(separator)); i >= 0 {
			return refuse(BadEncoding, "the file has a Unicode line separator (U+0085, U+2028 or U+2029) in line %d, which YAML readers treat differently; remove it", lineOf(text, i))
		}
	}
	if i := bytes.IndexFunc(text, isControl); i >= 0 {
		r, _ := utf8.DecodeRune(text[i:])
		return refuse(BadEncoding, "the file has the control character %U in line %d, character %d, which YAML does not allow; remove it",
			r, lineOf(text, i), characterOf(text, i))
	}
	return nil
}

// isControl says what YAML 1.2 (production c-printable) does not allow in a file.
func isControl(r rune) bool {
	switch {
	case r == '\t', r == '\n', r == '\r':
		return false
	case r < ' ', r >= 0x7f && r < 0xa0, r == 0xfffe, r == 0xffff:
		return true
	}
	return false
}

func invalidAt(text []byte) (at int) {
	for at < len(text) {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return at
}

func lineOf(text []byte, at int) int { return 1 + bytes.Count(text[:at], []byte("\n")) }

func characterOf(text []byte, at int) int {
	return 1 + utf8.RuneCount(bytes.TrimPrefix(text[bytes.LastIndexByte(text[:at], '\n')+1:at], []byte(byteOrderMark)))
}
