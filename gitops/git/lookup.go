package git

import (
	"errors"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Store is where trees and files are read from: what is held of a tip, or a
// [Draft] on it.
type Store interface {
	Object(Hash) (Object, bool)
}

// Why there is no file at a path.
var (
	ErrNoEntry      = errors.New("no such file")
	ErrSymlink      = errors.New("a symbolic link")
	ErrSubmodule    = errors.New("a submodule")
	ErrDirectory    = errors.New("a directory")
	ErrNotDirectory = errors.New("a file stands where a directory should be")
)

// LookUp finds the file at the path, given by its names from the root down.
func LookUp(from Store, root Hash, names []string) (Entry, Object, error) {
	at := root
	for i, name := range names {
		tree, ok := from.Object(at)
		if !ok {
			return Entry{}, Object{}, ErrMissingObject
		}
		e, found, err := FindEntry(tree.Data, name)
		if err != nil {
			return Entry{}, Object{}, err
		}
		if !found {
			return Entry{}, Object{}, ErrNoEntry
		}
		last := i == len(names)-1
		switch {
		case e.Mode == ModeSymlink:
			return e, Object{}, ErrSymlink
		case e.Mode == ModeSubmodule:
			return e, Object{}, ErrSubmodule
		case last && e.Mode == ModeDirectory:
			return e, Object{}, ErrDirectory
		case !last && e.Mode != ModeDirectory:
			return e, Object{}, ErrNotDirectory
		case last:
			file, ok := from.Object(e.Hash)
			if !ok {
				return e, Object{}, ErrMissingObject
			}
			return e, file, nil
		}
		at = e.Hash
	}
	return Entry{}, Object{}, ErrDirectory
}

// SplitPath splits the path of a file into its names, and refuses what git would
// not have in a tree.
func SplitPath(path string) ([]string, error) {
	names := strings.Split(path, "/")
	for _, name := range names {
		if name == "" || name == "." || name == ".." || strings.EqualFold(name, ".git") || strings.ContainsAny(name, "\x00\n\\") {
			return nil, gitops.Errorf(gitops.Invalid, "%q is no path of a file in the repository", path)
		}
	}
	return names, nil
}
