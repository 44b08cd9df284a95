package edit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/message"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// Config says how edits are made. All of it is required.
type Config struct {
	// Target says which files an update changes, and how. An error of it fails the update.
	Target func(environment, app string) (Target, error)

	Guard     Guard        // stands before what is parsed
	Logger    *slog.Logger // gets what no caller is told
	FileBytes int          // that a file may have with its edit
	Bytes     int          // that the files of one update may have together
}

// OtherTag says that the first file of an update has a tag that was not expected.
type OtherTag struct {
	Environment, App string
	Path             string // of the file
	Object           string // git's name of its content
	Tag              string // that it has
	Reader           TagReader
}

func (e *OtherTag) Error() string { return "the file has the tag " + e.Tag }

// Apply makes an update's edits, in all of its files or in none, and says how the update
// ends: as a commit, once there is one, or as confirm or supersede, with the reason. The
// first file is expected to have one of the tags, or the update's own; without a tag in
// them, any. An error that is a [*gitops.Error] is the update's own fault, one that is an
// [*OtherTag] says what the first file has instead, and one that is a [*NotNow] is no
// update's fault; the files are then as they were.
func (e *Edits) Apply(ctx context.Context, u gitops.Update, expected ...string) (ends gitops.Action, reason string, err error) {
	if err := message.Check(u); err != nil {
		return "", "", err
	}
	target, err := e.config.Target(u.Environment, u.App)
	if err != nil {
		return "", "", OwnFault(err)
	}
	defer func() { e.pending = e.pending[:0] }()
	for i, to := range target.Files {
		file, err := e.enter(ctx, to.File)
		if err != nil {
			return "", "", target.ErrorIn(i, err)
		}
		if i == 0 {
			if err := compare(file, to, u, expected); err != nil {
				return "", "", err
			}
			if lower := file.lowerThan(to, u); lower != "" {
				return gitops.ActionSupersede, lower, nil
			}
		}
		if err := e.prepare(file, to.Editor, u); err != nil {
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

// compare reports, as an [*OtherTag], that the file has neither a tag that is expected of
// it nor the update's own. What has no tag that can be read is left to the edit.
func compare(file *edited, to FileEdit, u gitops.Update, expected []string) error {
	reader, ok := to.Editor.(TagReader)
	if len(expected) == 0 || !ok {
		return nil
	}
	if tag := file.tag(to); tag != "" && tag != u.Tag && !slices.Contains(expected, tag) {
		return &OtherTag{u.Environment, u.App, file.path, file.object, tag, reader}
	}
	return nil
}

// prepare makes an update's edit of one file, which stays as it is until those of the
// update's other files are made, too.
func (e *Edits) prepare(file *edited, editor Editor, u gitops.Update) error {
	if slices.Contains(e.pending, file) {
		return errInternal.WithCause(fmt.Errorf("the target has the file %s twice", file.path))
	}
	vars := values.Vars{Tag: u.Tag, Digest: u.ImageDigest(), Repository: u.Repository}
	err := e.guarded(file, u, func() error { return file.prepare(editor, vars) })
	switch size := e.pendingSize() + len(file.next); {
	case err != nil:
		return OwnFault(err)
	case bytes.Equal(file.next, file.content):
		return nil
	case len(file.next) > e.config.FileBytes:
		return branch.Limits{FileBytes: e.config.FileBytes}.Oversize(int64(len(file.next)))
	case size > e.config.Bytes:
		return gitops.Errorf(gitops.TooLarge, "has %d bytes with the update's other files, and they may have %d together", size, e.config.Bytes)
	}
	e.pending = append(e.pending, file)
	return nil
}

// guarded runs a part of an edit. A panic of it fails the update and does not end the
// process: the next start would only meet the same update again.
func (e *Edits) guarded(file *edited, u gitops.Update, part func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			e.config.Logger.Error("edit panicked", "update", u.ID, "environment", u.Environment, "app", u.App,
				"error", fmt.Sprint(cause), "stack", string(debug.Stack()))
			file.suspect, err = file.parsed != nil, errInternal
		}
	}()
	return part()
}

// Fault is the transition of an update that failed by an error of its own; it reports
// false for any other error. What is internal is logged with its cause.
func (c Config) Fault(u gitops.Update, err error) (t gitops.Transition, own bool) {
	var known *gitops.Error
	if !errors.As(err, &known) {
		return t, false
	}
	if known.Code == gitops.Internal {
		c.Logger.Error("update failed by an internal error", "update", u.ID, "environment", u.Environment, "app", u.App, "error", err)
	}
	return gitops.Transition{Update: u.ID, Action: gitops.ActionFail, Code: known.Code, Reason: known.Public()}, true
}

var errInternal = gitops.Errorf(gitops.Internal, "an internal error; the log has the cause")

// OwnFault makes an error of a part that only looks at the update one of ours.
func OwnFault(err error) error {
	var known *gitops.Error
	if errors.As(err, &known) {
		return known
	}
	return errInternal.WithCause(err)
}
