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

// ParseCommit reads a commit. Its message points into the data.
func ParseCommit(data []byte) (Commit, error) {
	var c Commit
	malformed := false
	header, message, _ := bytes.Cut(data, []byte("\n\n"))
	for line := range bytes.SplitSeq(header, []byte{'\n'}) {
		key, value, _ := bytes.Cut(line, []byte{' '})
		switch string(key) {
		case "tree", "parent":
			h, ok := ParseHash(string(value))
			malformed = malformed || !ok
			if string(key) == "tree" {
				c.Tree = h
			} else {
				c.Parents = append(c.Parents, h)
			}
		case "author":
			name, rest, _ := bytes.Cut(value, []byte(" <"))
			email, _, _ := bytes.Cut(rest, []byte{'>'})
			c.Author = Signature{string(name), string(email)}
		case "committer":
			c.Made = timeOf(value)
		}
	}
	c.Message = message
	if malformed || c.Tree.IsZero() {
		return c, errMalformedCommit
	}
	return c, nil
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
