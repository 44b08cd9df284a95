package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// edits are the files that one commit changes, each as the last of its updates
// leaves it.
type edits struct {
	draft *draft
	root  hash // of the commit's parent
	files map[string]*edited
	size  int // bytes of the files
}

// edited is one file.
type edited struct {
	names []string
	was   entry // what stands in the parent's tree
	data  []byte
}

// edit applies the update's edit to its file, on top of the edits that are there,
// and reports whether that changed it. An error that is a [*gitops.Error] is the
// update's own fault; the edits are then as they were.
func (w *Writer) edit(e *edits, u gitops.Update) (changed bool, err error) {
	if err := checkMessage(u); err != nil {
		return false, err
	}
	target, err := w.config.Target(u.Environment, u.App)
	if err != nil {
		return false, ownFault(err)
	}
	names, err := splitPath(target.File)
	if err != nil {
		return false, err
	}
	at, found, err := lookUp(e.draft, e.root, names)
	if err != nil {
		return false, fileError(target.File, err)
	}
	file := &edited{names: names, was: at, data: found.data}
	before := 0
	if edited, ok := e.files[target.File]; ok {
		file.data, before = edited.data, len(edited.data)
	}
	if len(file.data) > maxFileBytes {
		return false, tooLarge(target.File)
	}
	out, changed, err := w.apply(target.Editor, file.data, u)
	switch {
	case err != nil:
		return false, ownFault(err)
	case !changed || bytes.Equal(out, file.data):
		return false, nil
	case len(out) > maxFileBytes:
		return false, tooLarge(target.File)
	}
	file.data = out
	e.files[target.File] = file
	e.size += len(out) - before
	return true, nil
}

// tree returns the root tree that the edits make.
func (e *edits) tree() (hash, error) {
	files := make([]placed, 0, len(e.files))
	for _, f := range e.files {
		files = append(files, placed{f.names, f.was.mode, e.draft.put(object{kindBlob, f.data}, f.was.hash)})
	}
	slices.SortFunc(files, func(a, b placed) int { return slices.Compare(a.names, b.names) })
	return e.draft.replace(e.root, files)
}

// apply runs the editor. A panic of it is the update's failure, not the
// process's end: the next start would only meet the same update again, and no
// environment would go on.
func (w *Writer) apply(editor Editor, file []byte, u gitops.Update) (out []byte, changed bool, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			w.config.Logger.Error("an edit panicked", "update", u.ID, "environment", u.Environment, "app", u.App,
				"err", fmt.Sprint(cause), "stack", string(debug.Stack()))
			err = errInternal
		}
	}()
	return editor.Apply(file, values.Vars{Tag: u.Tag, Digest: u.Digest, Repository: u.Repository})
}

var errInternal = gitops.Errorf(gitops.Internal, "an internal error; the log has the cause")

// ownFault makes an error of a part that only looks at the update one of ours.
func ownFault(err error) error {
	var known *gitops.Error
	if errors.As(err, &known) {
		return known
	}
	return gitops.Errorf(gitops.Internal, "%s", errInternal.Message).WithCause(err)
}

func tooLarge(path string) error {
	return gitops.Errorf(gitops.TooLarge, "%s is larger than %d MiB", path, maxFileBytes>>20)
}

// fileError says what is wrong with a path in the repository. errMissingObject
// stays as it is: it is no fault of the path.
func fileError(path string, err error) error {
	var code gitops.Code
	switch {
	case errors.Is(err, errNoEntry):
		code = gitops.NotFound
	case errors.Is(err, errSymlink), errors.Is(err, errSubmodule), errors.Is(err, errDirectory), errors.Is(err, errNotDirectory):
		code = gitops.Invalid
	default:
		return err
	}
	return gitops.Errorf(code, "%s: %s in the manifest repository", path, err)
}

// splitPath splits the path of a file into its names, and refuses what git would
// not have in a tree.
func splitPath(path string) ([]string, error) {
	names := strings.Split(path, "/")
	for _, name := range names {
		if name == "" || name == "." || name == ".." || strings.EqualFold(name, ".git") || strings.ContainsAny(name, "\x00\n\\") {
			return nil, gitops.Errorf(gitops.Invalid, "%q is no path of a file in the manifest repository", path)
		}
	}
	return names, nil
}

// placed is a file that goes into a tree, under its names from there on.
type placed struct {
	names []string
	mode  string
	to    hash
}

// replace puts files, sorted by their names, into the tree and returns the new
// one. Each tree on the way is made once, however many files go into it; those
// that are missing are made.
func (d *draft) replace(tree hash, files []placed) (hash, error) {
	var data []byte
	if !tree.IsZero() {
		o, ok := d.object(tree)
		if !ok {
			return hash{}, fmt.Errorf("%w: tree %s", errMissingObject, tree)
		}
		data = o.data
	}
	for len(files) > 0 {
		name, mode, to := files[0].names[0], files[0].mode, files[0].to
		n := 1
		if len(files[0].names) > 1 {
			var within []placed
			for n = 0; n < len(files) && files[n].names[0] == name && len(files[n].names) > 1; n++ {
				within = append(within, placed{files[n].names[1:], files[n].mode, files[n].to})
			}
			below, found, err := findEntry(data, name)
			if err != nil {
				return hash{}, err
			}
			if found && below.mode != modeDirectory {
				return hash{}, errNotDirectory
			}
			if to, err = d.replace(below.hash, within); err != nil {
				return hash{}, err
			}
			mode = modeDirectory
		}
		var err error
		if data, err = setEntry(data, name, mode, to); err != nil {
			return hash{}, err
		}
		files = files[n:]
	}
	return d.put(object{kindTree, data}, tree), nil
}
