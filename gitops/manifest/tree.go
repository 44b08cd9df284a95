package manifest

import (
	"bytes"
	"errors"
	"slices"
)

// The modes git knows in trees. Everything else is refused.
const (
	modeDirectory  = "40000"
	modeFile       = "100644"
	modeExecutable = "100755"
	modeGroupWrite = "100664" // written by very old gits; kept as it is
	modeSymlink    = "120000"
	modeSubmodule  = "160000"
)

var errMalformedTree = errors.New("a tree object is malformed")

// entry is one line of a tree. Its slices point into the tree's data. Some old
// tools wrote modes with a zero before them; here they have none.
type entry struct {
	mode string
	name []byte
	hash hash
	at   int // where the entry begins in the tree's data
	size int // how many bytes it takes there
}

// nextEntry decodes the entry that begins at the offset. A tree is a sequence of
// "<mode> SP <name> NUL <20 bytes of hash>".
func nextEntry(tree []byte, at int) (entry, error) {
	rest := tree[at:]
	space := bytes.IndexByte(rest, ' ')
	if space < 0 {
		return entry{}, errMalformedTree
	}
	zero := bytes.IndexByte(rest[space:], 0)
	if zero < 2 {
		return entry{}, errMalformedTree
	}
	zero += space
	e := entry{mode: modeOf(rest[:space]), name: rest[space+1 : zero], at: at, size: zero + 1 + len(hash{})}
	if len(rest) < e.size {
		return entry{}, errMalformedTree
	}
	copy(e.hash[:], rest[zero+1:])
	return e, nil
}

// modeOf returns a mode without taking memory for those that git writes.
func modeOf(mode []byte) string {
	switch string(mode) {
	case modeDirectory:
		return modeDirectory
	case modeFile:
		return modeFile
	}
	return string(bytes.TrimLeft(mode, "0"))
}

// eachEntry calls yield for every entry in the tree's order until it errs.
func eachEntry(tree []byte, yield func(entry) error) error {
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

// findEntry looks an entry up by name. It reads from the tree's beginning: the
// order git keeps depends on the kind of entry, which is not known here.
func findEntry(tree []byte, name string) (e entry, found bool, err error) {
	for at := 0; at < len(tree); at += e.size {
		if e, err = nextEntry(tree, at); err != nil {
			return entry{}, false, err
		}
		if string(e.name) == name {
			return e, true, nil
		}
	}
	return entry{}, false, nil
}

// setEntry returns a tree in which the name has this mode and hash. The tree it
// is given stays as it was. An entry that was not there before goes where git
// sorts it.
func setEntry(tree []byte, name, mode string, to hash) ([]byte, error) {
	old, found, err := findEntry(tree, name)
	if err != nil {
		return nil, err
	}
	if found && (old.mode == modeDirectory) != (mode == modeDirectory) {
		return nil, errors.New("a file and a directory cannot take each other's place")
	}
	if !found {
		if old.at, err = placeFor(tree, name, mode); err != nil {
			return nil, err
		}
	}
	out := make([]byte, 0, len(tree)-old.size+len(mode)+len(name)+2+len(to))
	out = append(out, tree[:old.at]...)
	out = append(out, mode...)
	out = append(out, ' ')
	out = append(out, name...)
	out = append(out, 0)
	out = append(out, to[:]...)
	return append(out, tree[old.at+old.size:]...), nil
}

// placeFor returns where in the tree a new entry belongs.
func placeFor(tree []byte, name, mode string) (int, error) {
	sorted := sortKey([]byte(name), mode)
	for at := 0; at < len(tree); {
		e, err := nextEntry(tree, at)
		if err != nil {
			return 0, err
		}
		if bytes.Compare(sortKey(e.name, e.mode), sorted) > 0 {
			return at, nil
		}
		at += e.size
	}
	return len(tree), nil
}

// sortKey is what git orders a tree by: bytes, and a directory as if its name
// ended in a slash (base_name_compare in git's read-cache.c).
func sortKey(name []byte, mode string) []byte {
	if mode != modeDirectory {
		return name
	}
	return append(slices.Clip(name), '/')
}
