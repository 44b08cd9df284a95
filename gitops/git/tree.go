package git

import (
	"bytes"
	"errors"
)

// The modes git knows in trees. Everything else is refused.
const (
	ModeDirectory  = "40000"
	ModeFile       = "100644"
	ModeExecutable = "100755"
	modeGroupWrite = "100664" // written by very old gits; kept as it is
	ModeSymlink    = "120000"
	ModeSubmodule  = "160000"
)

var errMalformedTree = errors.New("a tree object is malformed")

// Entry is one line of a tree. Its slices point into the tree's data. Some old
// tools wrote modes with a zero before them; here they have none.
type Entry struct {
	Mode string
	Name []byte
	Hash Hash
	at   int // where the entry begins in the tree's data
	size int // how many bytes it takes there
}

// nextEntry decodes the entry that begins at the offset. A tree is a sequence of
// "<mode> SP <name> NUL <20 bytes of hash>".
func nextEntry(tree []byte, at int) (Entry, error) {
	rest := tree[at:]
	space := bytes.IndexByte(rest, ' ')
	if space < 0 {
		return Entry{}, errMalformedTree
	}
	zero := bytes.IndexByte(rest[space:], 0)
	if zero < 2 {
		return Entry{}, errMalformedTree
	}
	zero += space
	e := Entry{Mode: modeOf(rest[:space]), Name: rest[space+1 : zero], at: at, size: zero + 1 + len(Hash{})}
	if len(rest) < e.size {
		return Entry{}, errMalformedTree
	}
	copy(e.Hash[:], rest[zero+1:])
	return e, nil
}

// modeOf returns a mode without taking memory for those that git writes.
func modeOf(mode []byte) string {
	switch string(mode) {
	case ModeDirectory:
		return ModeDirectory
	case ModeFile:
		return ModeFile
	}
	return string(bytes.TrimLeft(mode, "0"))
}

// eachEntry calls yield for every entry in the tree's order until it errs.
func eachEntry(tree []byte, yield func(Entry) error) error {
	for at := 0; at < len(tree); {
		e, err := nextEntry(tree, at)
		if err != nil {
			return err
		}
		if err := yield(e); err != nil {
			return err
		}
		at += e.size
	}
	return nil
}

// FindEntry looks an entry up by name. It reads from the tree's beginning: the
// order git keeps depends on the kind of entry, which is not known here.
func FindEntry(tree []byte, name string) (e Entry, found bool, err error) {
	for at := 0; at < len(tree); at += e.size {
		if e, err = nextEntry(tree, at); err != nil {
			return Entry{}, false, err
		}
		if string(e.Name) == name {
			return e, true, nil
		}
	}
	return Entry{}, false, nil
}
