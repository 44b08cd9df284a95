package github

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strconv"
)

// digestOf is what an order's body counts once by. GitHub's signature covers the body
// and no header: whoever recorded a delivery could send it again under any id, and take
// an app back to an old release. So the same body of a repository counts once. How it is
// written does not make another one, since a delivery that is fetched from GitHub's API
// is written again: white space, the order of an object's members and the escapes in a
// string may differ.
func digestOf(d dispatch, payload []byte) []byte {
	same := append(make([]byte, 0, len(payload)), "repository_dispatch\x00"+strconv.FormatInt(d.sender.RepositoryID, 10)+"\x00"...)
	same, _ = appendCanonical(same, bytes.TrimLeft(payload, spaces))
	hash := sha256.Sum256(same)
	return hash[:]
}

// appendCanonical appends the JSON value that a valid text begins with, in a form that is
// the same however it is written, and returns what comes after it. Strings come with
// their lengths, so that no two values have the same form. A number stays as it is
// written. An object is the hash of its members in the order of their names, so that
// however deep objects are in one another each byte is looked at once.
func appendCanonical(to, text []byte) (form, rest []byte) {
	switch text[0] {
	case '{':
		return appendObject(to, text[1:])
	case '[':
		to = append(to, '[')
		for text = bytes.TrimLeft(text[1:], spaces+","); text[0] != ']'; text = bytes.TrimLeft(text, spaces+",") {
			to, text = appendCanonical(to, text)
		}
		return append(to, ']'), text[1:]
	case '"':
		end := endOfString(text)
		said := letters(text[:end])
		return append(append(strconv.AppendInt(append(to, '"'), int64(len(said)), 10), ':'), said...), text[end:]
	}
	end := bytes.IndexAny(text, spaces+",]}")
	if end < 0 {
		end = len(text)
	}
	return append(append(to, text[:end]...), ','), text[end:]
}

// appendObject is appendCanonical for an object, after its brace. The members are put
// behind one another in to until they are hashed.
func appendObject(to, text []byte) (form, rest []byte) {
	type member struct{ from, value, end int } // in to
	var few [8]member
	members, start := few[:0], len(to)
	for text = bytes.TrimLeft(text, spaces+","); text[0] != '}'; text = bytes.TrimLeft(text, spaces+",") {
		m := member{from: len(to)}
		to, text = appendCanonical(to, text)
		m.value = len(to)
		to, text = appendCanonical(to, bytes.TrimLeft(text, spaces+":"))
		m.end = len(to)
		members = append(members, m)
	}
	// Of two members with one name the last counts, so they keep their order.
	slices.SortStableFunc(members, func(a, b member) int { return bytes.Compare(to[a.from:a.value], to[b.from:b.value]) })
	hash := sha256.New()
	for _, m := range members {
		hash.Write(to[m.from:m.end])
	}
	return append(hash.Sum(append(to[:start], '{')), '}'), text[1:]
}
