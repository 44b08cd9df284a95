package git

import (
	"bytes"
	"errors"
	"strconv"
	"time"
)

// Commit is what of a commit matters here.
type Commit struct {
	Tree    Hash
	Parents []Hash
	Author  Signature
	Made    time.Time // by its committer's clock; the zero time when that cannot be read
	Message []byte
}

var errMalformedCommit = errors.New("a commit object is malformed")

// ParseCommit reads a commit as git does: the tree is on the first line, the parents
// follow it, and of author and committer the first count. A further header of one of
// these names, which git takes from anybody, means nothing: whoever could have another
// tree read than git reads could pass their commit off as somebody's. The message points
// into the data.
func ParseCommit(data []byte) (Commit, error) {
	var c Commit
	header, message, _ := bytes.Cut(data, []byte("\n\n"))
	c.Message = message
	first, rest := nextLine(header)
	ok := true
	if c.Tree, ok = hashAfter("tree ", first); !ok || c.Tree.IsZero() {
		return c, errMalformedCommit
	}
	for line, after := nextLine(rest); bytes.HasPrefix(line, []byte("parent ")); line, after = nextLine(rest) {
		parent, ok := hashAfter("parent ", line)
		if !ok {
			return c, errMalformedCommit
		}
		c.Parents, rest = append(c.Parents, parent), after
	}
	author, _ := firstHeader("author ", rest)
	name, identity, _ := bytes.Cut(author, []byte(" <"))
	email, _, _ := bytes.Cut(identity, []byte{'>'})
	c.Author = Signature{string(name), string(email)}
	if committer, found := firstHeader("committer ", rest); found {
		c.Made = timeOf(committer)
	}
	return c, nil
}

func nextLine(text []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(text, []byte{'\n'})
	return line, rest
}

func hashAfter(key string, line []byte) (Hash, bool) {
	value, ok := bytes.CutPrefix(line, []byte(key))
	if !ok {
		return Hash{}, false
	}
	return ParseHash(string(value))
}

func firstHeader(key string, header []byte) (value []byte, found bool) {
	for line := range bytes.SplitSeq(header, []byte{'\n'}) {
		if value, found = bytes.CutPrefix(line, []byte(key)); found {
			return value, true
		}
	}
	return nil, false
}

// Subject is the first line of the message.
func (c Commit) Subject() string {
	subject, _, _ := bytes.Cut(bytes.TrimLeft(c.Message, "\n"), []byte{'\n'})
	return string(subject)
}

// timeOf reads the seconds of "name <email> seconds zone". What cannot be read
// counts as very old, which by itself ends no search.
func timeOf(signature []byte) time.Time {
	_, rest, ok := bytes.Cut(signature, []byte("> "))
	if !ok {
		return time.Time{}
	}
	seconds, _, _ := bytes.Cut(rest, []byte{' '})
	n, err := strconv.ParseInt(string(seconds), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0)
}
