package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// edits are the files that one commit changes, each as the last of its updates
// leaves it.
type edits struct {
	draft *git.Draft
	root  git.Hash // of the commit's parent
	files map[string]*edited
	size  int // bytes of the files
}

// edited is one file.
type edited struct {
	names []string
	was   git.Entry // what stands in the parent's tree
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
	names, err := git.SplitPath(target.File)
	if err != nil {
		return false, err
	}
	at, found, err := git.LookUp(e.draft, e.root, names)
	if err != nil {
		return false, fileError(target.File, err)
	}
	file := &edited{names: names, was: at, data: found.Data}
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
func (e *edits) tree() (git.Hash, error) {
	files := make([]git.Placed, 0, len(e.files))
	for _, f := range e.files {
		files = append(files, git.Placed{Names: f.names, Mode: f.was.Mode, Hash: e.draft.Put(git.Object{Kind: git.KindBlob, Data: f.data}, f.was.Hash)})
	}
	slices.SortFunc(files, func(a, b git.Placed) int { return slices.Compare(a.Names, b.Names) })
	return e.draft.Replace(e.root, files)
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

// fileError says what is wrong with a path in the repository. git.ErrMissingObject
// stays as it is: it is no fault of the path.
func fileError(path string, err error) error {
	var code gitops.Code
	switch {
	case errors.Is(err, git.ErrNoEntry):
		code = gitops.NotFound
	case errors.Is(err, git.ErrSymlink), errors.Is(err, git.ErrSubmodule), errors.Is(err, git.ErrDirectory), errors.Is(err, git.ErrNotDirectory):
		code = gitops.Invalid
	default:
		return err
	}
	return gitops.Errorf(code, "%s: %s in the manifest repository", path, err)
}
