package manifest

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// plan is what a push would do to the tip it was made on.
type plan struct {
	draft   *draft
	tip     hash
	head    commit
	fates   []fate // of the items in it, in order
	byID    map[string]fate
	commits int
}

// fate is how an item ends once the tip that the plan was made on is confirmed.
type fate struct {
	item       *item
	settlement gitops.Settlement
	landing    landing // when it is Committed
}

// plan makes the commits of the items on the snapshot's tip, as many as fit into
// one push. An error means that the snapshot is not complete.
func (w *Writer) plan(items []*item) (*plan, error) {
	p := &plan{draft: newDraft(w.snapshot), tip: w.snapshot.tip, head: w.snapshot.head, byID: make(map[string]fate)}
	for _, i := range items {
		if p.draft.size > maxPushBytes {
			break
		}
		f, again := p.byID[i.update.ID] // two callers that both believe to hold the lane
		if !again {
			var err error
			if f, err = w.decide(p, i.update); err != nil {
				return nil, err
			}
			p.byID[i.update.ID] = f
		}
		f.item = i
		p.fates = append(p.fates, f)
	}
	return p, nil
}

// decide makes the commit of one update on top of the plan, or says why there is
// none.
func (w *Writer) decide(p *plan, u gitops.Update) (fate, error) {
	root, err := w.edit(p.draft, p.head.tree, u)
	var refused *gitops.Error
	switch {
	case errors.As(err, &refused):
		if refused.Code == gitops.Internal {
			w.config.Logger.Error("an update failed by an internal error", "update", u.ID, "environment", u.Environment, "app", u.App, "err", err)
		}
		return fate{settlement: gitops.Settlement{State: gitops.Failed, Code: refused.Code, Reason: refused.Sentence()}}, nil
	case err != nil:
		return fate{}, err
	case root == p.head.tree:
		return fate{settlement: gitops.Settlement{State: gitops.Unchanged, Reason: "the manifest already says so"}}, nil
	}
	at := w.config.Now()
	o := commitOf(u, w.config.Subject, w.config.Author, at, root, p.tip)
	head := commit{tree: root, parents: []hash{p.tip}, made: at, updates: []string{u.ID}}
	p.tip, p.head = p.draft.put(o, hash{}), head
	p.commits++
	return fate{
		settlement: gitops.Settlement{State: gitops.Committed, Commit: p.tip.String()},
		landing:    landing{update: u.ID, commit: p.tip, made: at},
	}, nil
}

// edit applies the update's edit to its file and returns the root tree that
// comes of it. An error that is a [*gitops.Error] is the update's own fault.
func (w *Writer) edit(d *draft, root hash, u gitops.Update) (hash, error) {
	if err := checkMessage(u); err != nil {
		return hash{}, err
	}
	target, err := w.config.Target(u.Environment, u.App)
	if err != nil {
		return hash{}, ownFault(err)
	}
	names, err := splitPath(target.File)
	if err != nil {
		return hash{}, err
	}
	at, file, err := lookUp(d, root, names)
	if err != nil {
		return hash{}, fileError(target.File, err)
	}
	if len(file.data) > maxFileBytes {
		return hash{}, tooLarge(target.File)
	}
	out, changed, err := w.apply(target.Editor, file.data, u)
	switch {
	case err != nil:
		return hash{}, ownFault(err)
	case !changed:
		return root, nil
	case len(out) > maxFileBytes:
		return hash{}, tooLarge(target.File)
	}
	return d.replace(root, names, at.mode, d.put(object{kindBlob, out}, at.hash))
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
	return gitops.Errorf(gitops.Internal, "%s", errInternal.Message).Because(err)
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
	return gitops.Errorf(code, "%s in the manifest repository: %s", path, err)
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

// replace puts a file at the path and returns the new root tree. The directories
// on the way are made where they are missing.
func (d *draft) replace(tree hash, names []string, mode string, to hash) (hash, error) {
	var data []byte
	if !tree.IsZero() {
		o, ok := d.object(tree)
		if !ok {
			return hash{}, fmt.Errorf("%w: tree %s", errMissingObject, tree)
		}
		data = o.data
	}
	if len(names) > 1 {
		below, found, err := findEntry(data, names[0])
		if err != nil {
			return hash{}, err
		}
		if found && below.mode != modeDirectory {
			return hash{}, errNotDirectory
		}
		if to, err = d.replace(below.hash, names[1:], mode, to); err != nil {
			return hash{}, err
		}
		mode = modeDirectory
	}
	out, err := setEntry(data, names[0], mode, to)
	if err != nil {
		return hash{}, err
	}
	return d.put(object{kindTree, out}, tree), nil
}
