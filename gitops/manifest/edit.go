package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// edits are the files that a plan changes, each as the last of its updates leaves
// it. A file is parsed once, however many updates change it.
type edits struct {
	of         *branch.Snapshot
	guard      Guard
	kind       gitops.ParsedKind // a file, or past where the snapshot is not of the tip
	oneByOne   map[string]bool   // paths of files in which each edit is verified by itself
	files      map[string]*edited
	unverified []string // paths of files that are not as they should be
}

// edited is one file.
type edited struct {
	path    string
	object  string // git's name of the file as the snapshot has it
	names   []string
	content []byte
	leave   func()       // the guard's, while the file may be parsed
	parsed  *values.File // nil until it is needed
	suspect bool         // an edit of parsed broke off
	fresh   bool         // edited since the last commit
	written bool         // edited
}

// file returns the file at a path as it is by now. An error that is a
// [*gitops.Error] is the path's fault.
func (e *edits) file(path string) (*edited, error) {
	if f := e.files[path]; f != nil {
		return f, nil
	}
	found, err := e.of.File(path)
	if err != nil {
		return nil, err
	}
	content, here, refused := found.Content()
	switch {
	case !here:
		return nil, fmt.Errorf("%w: the file %s", git.ErrMissingObject, found.Name)
	case refused != nil:
		return nil, inFile(path, refused)
	}
	names, err := git.SplitPath(path)
	if err != nil {
		return nil, err
	}
	e.files[path] = &edited{path: path, object: found.Name.String(), names: names, content: content}
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

// enter asks the guard before a file is parsed. When others have the memory, what was
// parsed here before is given up first: whoever waits holds nothing. An error that is a
// [*gitops.Error] is the file's own.
func (e *edits) enter(ctx context.Context, f *edited) error {
	if f.leave != nil {
		return nil
	}
	o := gitops.ParsedObject{Object: f.object, Kind: e.kind, Path: f.path}
	cost := values.Measure(f.content).Cost()
	leave, err := e.guard.Enter(ctx, o, cost, false)
	if leave == nil && err == nil {
		e.settle()
		leave, err = e.guard.Enter(ctx, o, cost, true)
	}
	if f.leave = leave; err != nil && gitops.CodeOf(err) != gitops.Rejected {
		return &notNow{err}
	}
	return err
}

// notNow is an error that is no update's fault.
type notNow struct{ why error }

func (e *notNow) Error() string { return e.why.Error() }

// settle reads every file again in which edits were not verified one by one, and holds
// none any more. What is edited afterwards is parsed once more.
func (e *edits) settle() {
	for path, f := range e.files {
		if f.suspect || f.parsed != nil && f.parsed.Verify() != nil {
			e.unverified = append(e.unverified, path)
		}
		f.parsed, f.suspect = nil, false
		if f.leave != nil {
			f.leave()
			f.leave = nil
		}
	}
}

// verify settles, and returns the paths of the files that are not as they should be.
func (e *edits) verify() []string {
	e.settle()
	return e.unverified
}

// close gives up without a look.
func (e *edits) close() {
	for _, f := range e.files {
		if f.leave != nil {
			f.leave()
		}
	}
}

// apply makes an update's edit, and says how the update ends. An error that is a
// [*gitops.Error] is the update's own fault; the file is then as it was.
func (a *actor) apply(ctx context.Context, e *edits, u gitops.Update) (ends gitops.Action, reason string, err error) {
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
	if err := e.enter(ctx, file); err != nil {
		return "", "", err
	}
	alone := e.oneByOne[target.File]
	if lower := file.lowerThan(target, alone, u); lower != "" {
		return gitops.ActionSupersede, lower, nil
	}
	out, changed, err := a.runEditor(file, alone, target.Editor, u)
	switch {
	case err != nil:
		return "", "", inFile(target.File, ownFault(err))
	case !changed || bytes.Equal(out, file.content):
		return gitops.ActionConfirm, "the file already has this tag", nil
	case len(out) > a.config.Limits.FileBytes:
		file.suspect = file.parsed != nil // which has the edit
		return "", "", inFile(target.File, a.Source.Limits.Oversize(int64(len(out))))
	}
	file.content, file.fresh, file.written = out, true, true
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
	parsed, err := file.open(edit)
	if err != nil {
		return nil, false, err
	}
	return parsed.Apply(edit, vars)
}

// open parses the file, within the limits of an edit, unless that was done.
func (f *edited) open(edit *values.Edit) (_ *values.File, err error) {
	if f.parsed == nil {
		f.parsed, err = values.Open(f.content, edit.Limits())
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

// inFile names the file in an error that is about it as a whole.
func inFile(path string, err error) error {
	var e *gitops.Error
	if !errors.As(err, &e) || e.Field != "" || e.Code != gitops.TooLarge {
		return err
	}
	named := *e
	named.Field = path
	return &named
}
