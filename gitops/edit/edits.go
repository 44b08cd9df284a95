package edit

import (
	"context"
	"fmt"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// Edits are files of a snapshot, each as the last update that was applied leaves it. A file
// is parsed once, however many updates change it. They belong to one goroutine, and end with
// [Edits.Verify] or [Edits.Close].
type Edits struct {
	config     Config
	of         *branch.Snapshot
	kind       gitops.ParsedKind
	oneByOne   map[string]bool
	files      map[string]*edited
	pending    []*edited // files of the update in hand whose edits are prepared and not made
	unverified []string  // paths of files that are not as they should be
}

// On begins edits of a snapshot, whose files are of a kind: [gitops.ParsedPast] where it is
// not of the branch's tip. In the files at the paths each edit is verified by itself.
func (c Config) On(of *branch.Snapshot, kind gitops.ParsedKind, oneByOne map[string]bool) *Edits {
	return &Edits{config: c, of: of, kind: kind, oneByOne: oneByOne, files: make(map[string]*edited)}
}

// edited is one file.
type edited struct {
	path    string
	object  string // git's name of the file as the snapshot has it
	names   []string
	content []byte
	alone   bool         // each edit is verified by itself
	leave   func()       // the guard's, while the file may be parsed
	parsed  *values.File // nil until it is needed
	suspect bool         // an edit of parsed broke off
	fresh   bool         // edited since the last commit
	written bool         // edited

	next   []byte        // the content with the edit that was prepared last
	change values.Change // that edit, where it was prepared in parsed
}

// file returns the file at a path as it is by now. An error that is a
// [*gitops.Error] is the path's fault.
func (e *Edits) file(path string) (*edited, error) {
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
		return nil, branch.InFile(path, refused, false)
	}
	names, err := git.SplitPath(path)
	if err != nil {
		return nil, err
	}
	e.files[path] = &edited{path: path, object: found.Name.String(), names: names, content: content, alone: e.oneByOne[path]}
	return e.files[path], nil
}

// Size is how many bytes the next commit changes.
func (e *Edits) Size() (n int) {
	for _, f := range e.files {
		if f.fresh {
			n += len(f.content)
		}
	}
	return n
}

// pendingSize is how many bytes the update in hand changes, as far as it is prepared.
func (e *Edits) pendingSize() (n int) {
	for _, f := range e.pending {
		n += len(f.next)
	}
	return n
}

// Changes returns what was edited since it was last asked, sorted by path.
func (e *Edits) Changes() (changes []git.Change) {
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

// enter returns the file at a path, which may then be parsed: the guard is asked
// before. When others have the memory, what was parsed here before is given up first,
// also of the same update's other files: whoever waits holds nothing. An error that is a
// [*gitops.Error] is the path's or the file's own.
func (e *Edits) enter(ctx context.Context, path string) (*edited, error) {
	f, err := e.file(path)
	if err != nil || f.leave != nil {
		return f, err
	}
	o := gitops.ParsedObject{Object: f.object, Kind: e.kind, Path: f.path}
	cost := values.Measure(f.content).Cost()
	leave, err := e.config.Guard.Enter(ctx, o, cost, false)
	if leave == nil && err == nil {
		e.settle()
		leave, err = e.config.Guard.Enter(ctx, o, cost, true)
	}
	if f.leave = leave; err != nil && gitops.CodeOf(err) != gitops.Rejected {
		return nil, &NotNow{err}
	}
	return f, err
}

// NotNow is an error that is no update's fault.
type NotNow struct{ Why error }

func (e *NotNow) Error() string { return e.Why.Error() }

// settle reads every file again in which edits were not verified one by one, and holds
// none any more. What is edited afterwards is parsed once more. An edit that is pending
// is verified with the others, and stays prepared: its text is all that is left of it.
func (e *Edits) settle() {
	for _, f := range e.pending {
		f.make()
	}
	for path, f := range e.files {
		if f.suspect || f.parsed != nil && f.parsed.Verify() != nil {
			e.unverified = append(e.unverified, path)
		}
		f.parsed, f.suspect, f.change = nil, false, values.Change{}
		if f.leave != nil {
			f.leave()
			f.leave = nil
		}
	}
}

// Verify ends the edits, and returns the paths of the files that are not as they should be:
// their edits are to be made again, on the snapshot, each verified by itself.
func (e *Edits) Verify() []string {
	e.settle()
	return e.unverified
}

// Close gives the edits up without a look.
func (e *Edits) Close() {
	for _, f := range e.files {
		if f.leave != nil {
			f.leave()
		}
	}
}

// KnowWritten tells the guard which files were made here, of a snapshot that has them.
func (e *Edits) KnowWritten(next *branch.Snapshot) {
	for path, f := range e.files {
		if !f.written {
			continue
		}
		if made, err := next.File(path); err == nil {
			e.config.Guard.Know(made.Name.String(), f.object)
		}
	}
}

// together reports whether the editor's edit is made in the parsed file, together with
// those of other updates.
func (f *edited) together(editor Editor) (edit *values.Edit, ok bool) {
	edit, ok = editor.(*values.Edit)
	return edit, ok && !f.alone && !f.suspect
}

// open parses the file, within the limits of an edit, unless that was done.
func (f *edited) open(edit *values.Edit) (_ *values.File, err error) {
	if f.parsed == nil {
		f.parsed, err = values.Open(f.content, edit.Limits())
	}
	return f.parsed, err
}

// prepare finds out what an edit makes of the file.
func (f *edited) prepare(editor Editor, v values.Vars) (err error) {
	f.change = values.Change{}
	edit, ok := f.together(editor)
	if !ok {
		out, changed, err := editor.Apply(f.content, v)
		if f.next = out; !changed {
			f.next = f.content
		}
		return err
	}
	parsed, err := f.open(edit)
	if err != nil {
		return err
	}
	f.change, err = parsed.Prepare(edit, v)
	f.next = f.change.Text
	return err
}

// make makes the edit that was prepared in the parsed file. Should it break off, the file
// is suspect: then its edits are made again, each by itself.
func (f *edited) make() {
	defer func() { f.suspect = f.suspect || recover() != nil }()
	f.change.Make()
}
