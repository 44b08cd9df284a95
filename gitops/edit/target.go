// Package edit makes the edits of updates in the files of a branch's snapshot, and the
// commits of them. It asks no server, and nothing of it leaves the process: whoever holds
// what it made brings it to a branch, or drops it.
package edit

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// Target is where an update goes: all of the files, at least one, or none of them.
type Target struct {
	Files []FileEdit // each path once; the first has the app's tag, see [TagReader]
}

// FileEdit is what an update does to one file.
type FileEdit struct {
	File   string // path in the repository, with slashes: charts/shop/values-dev.yaml
	Editor Editor
}

// Editor changes one values file. [*values.Edit] is one.
type Editor interface {
	// Apply returns the file with the values set, and whether it differs from what
	// it was given, which it must leave as it is. An error fails the update.
	Apply(file []byte, v values.Vars) (out []byte, changed bool, err error)
}

// TagReader is an [Editor] that can tell which tag a file has, as [*values.Edit] can.
type TagReader interface {
	ReadTag(file []byte) (string, error)
}

// AppendPaths appends the paths of the target's files.
func (t Target) AppendPaths(paths []string) []string {
	for _, f := range t.Files {
		paths = append(paths, f.File)
	}
	return paths
}

// ErrorIn names a file of the target in an error of its edit, where that could be
// another's, too.
func (t Target) ErrorIn(i int, err error) error {
	return branch.InFile(t.Files[i].File, err, len(t.Files) > 1)
}

// Guard is asked by edits, too.
type Guard interface {
	branch.Guard

	// Know says that an object was made of another here.
	Know(object, of string)
}

// Unguarded is a guard that notes nothing, and sets what is parsed no common bound.
type Unguarded struct{}

// Enter implements [Guard].
func (Unguarded) Enter(context.Context, gitops.ParsedObject, int64, bool) (func(), error) {
	return func() {}, nil
}

// Know implements [Guard].
func (Unguarded) Know(string, string) {}
