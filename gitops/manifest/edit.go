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
	"github.com/tallyman-dev/tallyman/gitops/message"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// apply makes an update's edits, in all of its files or in none, and says how the update
// ends. An error that is a [*gitops.Error] is the update's own fault, and one that is an
// [*otherTag] says that the first file has not the tag that is expected; the files are then
// as they were.
func (a *actor) apply(ctx context.Context, e *edits, u gitops.Update, expected string) (ends gitops.Action, reason string, err error) {
	if err := message.Check(u); err != nil {
		return "", "", err
	}
	target, err := a.config.Target(u.Environment, u.App)
	if err != nil {
		return "", "", ownFault(err)
	}
	defer func() { e.pending = e.pending[:0] }()
	for i, to := range target.Files {
		file, err := e.enter(ctx, to.File)
		if err != nil {
			return "", "", target.ErrorIn(i, err)
		}
		if i == 0 {
			if err := a.compare(file, to, u, expected); err != nil {
				return "", "", err
			}
			if lower := file.lowerThan(to, u); lower != "" {
				return gitops.ActionSupersede, lower, nil
			}
		}
		if err := a.prepare(e, file, to.Editor, u); err != nil {
			return "", "", target.ErrorIn(i, err)
		}
	}
	if len(e.pending) == 0 {
		return gitops.ActionConfirm, "the file already has this tag", nil
	}
	for _, f := range e.pending {
		f.make()
		f.content, f.fresh, f.written = f.next, true, true
	}
	return gitops.ActionCommit, "", nil
}

// prepare makes an update's edit of one file, which stays as it is until those of the
// update's other files are made, too.
func (a *actor) prepare(e *edits, file *edited, editor Editor, u gitops.Update) error {
	if slices.Contains(e.pending, file) {
		return errInternal.WithCause(fmt.Errorf("the target has the file %s twice", file.path))
	}
	vars := values.Vars{Tag: u.Tag, Digest: u.ImageDigest(), Repository: u.Repository}
	err := a.guarded(file, u, func() error { return file.prepare(editor, vars) })
	switch size := e.pendingSize() + len(file.next); {
	case err != nil:
		return ownFault(err)
	case bytes.Equal(file.next, file.content):
		return nil
	case len(file.next) > a.config.Limits.FileBytes:
		return a.Source.Limits.Oversize(int64(len(file.next)))
	case size > a.config.Limits.PushBytes:
		return gitops.Errorf(gitops.TooLarge, "has %d bytes with the update's other files, and they may have %d together", size, a.config.Limits.PushBytes)
	}
	e.pending = append(e.pending, file)
	return nil
}

// guarded runs a part of an edit. A panic of it fails the update and does not end the
// process: the next start would only meet the same update again.
func (a *actor) guarded(file *edited, u gitops.Update, part func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			a.config.Logger.Error("edit panicked", "update", u.ID, "environment", u.Environment, "app", u.App,
				"error", fmt.Sprint(cause), "stack", string(debug.Stack()))
			file.suspect, err = file.parsed != nil, errInternal
		}
	}()
	return part()
}

// pathsOf lists the files that the items' edits are for.
func (a *actor) pathsOf(items []*item) []string {
	paths := make([]string, 0, len(items))
	for _, i := range items {
		if i.search {
			continue
		}
		if target, err := a.config.Target(i.update.Environment, i.update.App); err == nil {
			paths = target.appendPaths(paths)
		}
	}
	return paths
}

func (t Target) appendPaths(paths []string) []string {
	for _, f := range t.Files {
		paths = append(paths, f.File)
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

// ErrorIn names a file of the target in an error of its edit, where that could be
// another's, too.
func (t Target) ErrorIn(i int, err error) error {
	return branch.InFile(t.Files[i].File, err, len(t.Files) > 1)
}
