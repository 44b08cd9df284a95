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

// edits are the files that a plan changes, each as the last of its updates leaves
// it. A file is parsed once, however many updates change it.
type edits struct {
	of       *snapshot
	oneByOne map[string]bool // paths of files in which each edit is verified by itself
	files    map[string]*edited
}

// edited is one file.
type edited struct {
	names   []string
	content []byte
	parsed  *values.File // nil until it is needed
	suspect bool         // an edit of parsed broke off
	fresh   bool         // edited since the last commit
}

// file returns the file at a path as it is by now. An error that is a
// [*gitops.Error] is the path's fault.
func (e *edits) file(path string) (*edited, error) {
	if f := e.files[path]; f != nil {
		return f, nil
	}
	found, err := e.of.file(path)
	if err != nil {
		return nil, err
	}
	content, here := found.Content()
	if !here {
		return nil, fmt.Errorf("%w: the file %s", git.ErrMissingObject, found.Name)
	}
	names, err := git.SplitPath(path)
	if err != nil {
		return nil, err
	}
	e.files[path] = &edited{names: names, content: content}
	return e.files[path], nil
}

// size is how many bytes the next commit changes.
func (e *edits) size() (n int) {
	for _, f := range e.files {
		if f.fresh {
			n += len(f.content)
		}
	}
	return n
}

// changes returns what was edited since it was last asked, sorted by path.
func (e *edits) changes() (changes []git.Change) {
	for _, f := range e.files {
		if f.fresh {
			if f.fresh = false; f.parsed != nil {
				f.parsed.Keep() // the next commit's delta is made from it
			}
			changes = append(changes, git.Change{Names: f.names, Content: f.content})
		}
	}
	slices.SortFunc(changes, func(a, b git.Change) int { return slices.Compare(a.Names, b.Names) })
	return changes
}

// verify reads every file again in which edits were not verified one by one, and
// returns the paths of those that are not as they should be.
func (e *edits) verify() (unverified []string) {
	for path, f := range e.files {
		if f.suspect || f.parsed != nil && f.parsed.Verify() != nil {
			unverified = append(unverified, path)
		}
	}
	return unverified
}

// apply makes an update's edit, and says how the update ends. An error that is a
// [*gitops.Error] is the update's own fault; the file is then as it was.
func (a *actor) apply(e *edits, u gitops.Update) (ends gitops.Action, reason string, err error) {
	if err := checkMessage(u); err != nil {
		return "", "", err
	}
	target, err := a.config.Target(u.Environment, u.App)
	if err != nil {
		return "", "", ownFault(err)
	}
	file, err := e.file(target.File)
	if err != nil {
		return "", "", err
	}
	if len(file.content) > maxFileBytes {
		return "", "", tooLarge(target.File)
	}
	alone := e.oneByOne[target.File]
	if lower := file.lowerThan(target, alone, u); lower != "" {
		return gitops.ActionSupersede, lower, nil
	}
	out, changed, err := a.runEditor(file, alone, target.Editor, u)
	switch {
	case err != nil:
		return "", "", ownFault(err)
	case !changed || bytes.Equal(out, file.content):
		return gitops.ActionConfirm, "the file already has this tag", nil
	case len(out) > maxFileBytes:
		file.suspect = file.parsed != nil // which has the edit
		return "", "", tooLarge(target.File)
	}
	file.content, file.fresh = out, true
	return gitops.ActionCommit, "", nil
}

// runEditor runs the editor. A panic of it fails the update and does not end the
// process: the next start would only meet the same update again.
func (a *actor) runEditor(file *edited, alone bool, editor Editor, u gitops.Update) (out []byte, changed bool, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			a.config.Logger.Error("edit panicked", "update", u.ID, "environment", u.Environment, "app", u.App,
				"error", fmt.Sprint(cause), "stack", string(debug.Stack()))
			file.suspect, err = file.parsed != nil, errInternal
		}
	}()
	vars := values.Vars{Tag: u.Tag, Digest: u.Digest, Repository: u.Repository}
	edit, ok := editor.(*values.Edit)
	if !ok || alone || file.suspect {
		return editor.Apply(file.content, vars)
	}
	parsed, err := file.open()
	if err != nil {
		return nil, false, err
	}
	return parsed.Apply(edit, vars)
}

// open parses the file unless that was done.
func (f *edited) open() (_ *values.File, err error) {
	if f.parsed == nil {
		f.parsed, err = values.Open(f.content, values.Limits{})
	}
	return f.parsed, err
}

// pathsOf lists the files that the items' edits are for.
func (a *actor) pathsOf(items []*item) []string {
	paths := make([]string, 0, len(items))
	for _, i := range items {
		if i.search {
			continue
		}
		if target, err := a.config.Target(i.update.Environment, i.update.App); err == nil {
			paths = append(paths, target.File)
		}
	}
	return paths
}

var errInternal = gitops.Errorf(gitops.Internal, "an internal error; the log has the cause")

// ownFault makes an error of a part that only looks at the update one of ours.
func ownFault(err error) error {
	var known *gitops.Error
	if errors.As(err, &known) {
		return known
	}
	return errInternal.WithCause(err)
}

func tooLarge(path string) error {
	return gitops.Errorf(gitops.TooLarge, "%s is larger than %d MiB", path, maxFileBytes>>20)
}
