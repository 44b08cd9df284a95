package tagset

import "strings"

// state is a state of a [language]. Zero is the one that nothing leads out of and
// that accepts nothing.
type state uint64

const dead state = 0

// language is a set of texts, as a deterministic automaton.
type language interface {
	start() state
	step(state, rune) state
	accepts(state) bool
}

// alphabet has the characters of tags, those first that make a readable example.
const alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._"

// longest is the length of the longest tag.
const longest = 128

// isTagRune is what a tag may have after its first character.
func isTagRune(r rune) bool {
	return r < 0x80 && strings.IndexByte(alphabet, byte(r)) >= 0
}

// tags are the texts that gitops.CheckTag takes, but for their length, which the
// search itself bounds.
type tags struct{}

// The states of tags follow the two forms that are tags of no build: "latest", and
// sha256- and 64 digits with or without a dot and more.
const (
	tagStart  state = 1
	tagFree   state = 2   // neither form any more
	tagLatest state = 10  // and as many characters of "latest" as were read
	tagPrefix state = 20  // likewise of "sha256-"
	tagOther  state = 30  // likewise of "sha512-", after the first three
	tagHex    state = 100 // and as many digits as were read
	tagSuffix state = tagHex + 9 + hexDigits
	hexDigits state = 64
)

func (tags) start() state { return tagStart }

func (tags) accepts(s state) bool {
	return s != dead && s != tagStart && s != tagLatest+6 && s != tagHex+hexDigits && s != tagSuffix+1
}

func (tags) step(s state, r rune) state {
	if !isTagRune(r) {
		return dead
	}
	switch {
	case s == tagStart && (r == '-' || r == '.'):
		return dead
	case s == tagStart && r == 'l':
		return tagLatest + 1
	case s == tagStart && r == 's':
		return tagPrefix + 1
	case s > tagLatest && s < tagLatest+6:
		return along("latest", s, tagLatest, r)
	case s == tagPrefix+3 && r == '5':
		return tagOther + 4
	case s > tagPrefix && s < tagPrefix+6:
		return along("sha256-", s, tagPrefix, r)
	case s > tagOther && s < tagOther+6:
		return along("sha512-", s, tagOther, r)
	case (s == tagPrefix+6 || s == tagOther+6) && r == '-':
		return tagHex
	case s >= tagHex && s < tagHex+hexDigits && isHex(r):
		return s + 1
	case s == tagHex+hexDigits && r == '.':
		return tagSuffix
	case s == tagSuffix || s == tagSuffix+1:
		return tagSuffix + 1
	}
	return tagFree
}

// along is the state after one more character of a word.
func along(word string, s, origin state, r rune) state {
	if rune(word[s-origin]) == r {
		return s + 1
	}
	return tagFree
}

func isHex(r rune) bool { return r >= '0' && r <= '9' || r >= 'a' && r <= 'f' }

// anything is every text.
type anything struct{}

func (anything) start() state           { return 1 }
func (anything) step(state, rune) state { return 1 }
func (anything) accepts(state) bool     { return true }

// named are the texts that end in a letter or digit and have more than the v of a
// version: what a person would call a tag.
type named struct{}

const (
	namedStart state = iota + 1
	namedV           // nothing but a v
	namedEnds        // the last character was a letter or digit
	namedOpen        // it was a separator
)

func (named) start() state         { return namedStart }
func (named) accepts(s state) bool { return s == namedEnds }
func (named) step(s state, r rune) state {
	switch {
	case s == namedStart && (r == 'v' || r == 'V'):
		return namedV
	case r == '-' || r == '.' || r == '_':
		return namedOpen
	}
	return namedEnds
}
