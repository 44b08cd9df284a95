package catalog

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// compile compiles the edits of every target, and refuses those that write what another
// writes. Its error is of the configuration's own.
func (b *builder) compile() error {
	b.countFiles()
	problems := make(map[string]error) // by field: one wrong key is one problem, not one for each app
	claims := newClaims(len(b.all))
	for _, of := range []bool{false, true} { // what the configuration says counts before what a branch does
		for _, w := range b.all {
			if (w.found != nil) != of || !w.ok {
				continue
			}
			err := b.compileTarget(w)
			if err == nil {
				err = claims.claim(w)
			}
			switch {
			case err == nil:
			case w.found != nil:
				b.refuse(w, err.Public())
			case problems[err.Field] == nil:
				problems[err.Field] = err
			}
		}
	}
	b.refuseClaims(claims)
	for name, err := range b.compileRefinements() {
		problems[name] = err
	}
	sorted := slices.Sorted(maps.Keys(problems))
	joined := make([]error, len(sorted))
	for i, field := range sorted {
		joined[i] = problems[field]
	}
	return errors.Join(joined...)
}

// compileRefinements compiles what the configuration sets in files that branches name:
// what is wrong with it is known before a file is.
func (b *builder) compileRefinements() map[string]error {
	problems := make(map[string]error)
	for name, app := range b.Config.Apps {
		if app.Set == nil || !b.refines(name) {
			continue
		}
		f := File{Sets: values.Bind(app.Set.Targets(), values.Names{App: name, Environment: "dev", Repository: "registry.example/app"}), field: "apps." + name + ".set"}
		if _, err := b.edit(&f); err != nil {
			problems[err.Field] = err
		}
	}
	return problems
}

// countFiles counts the targets of each file.
func (b *builder) countFiles() {
	b.inFile = make(map[place]int, len(b.all))
	for _, w := range b.all {
		for _, f := range w.Files {
			b.inFile[place{w.Manifests, f.Path}]++
		}
	}
}

// compileTarget compiles the edits of a target.
func (b *builder) compileTarget(w *wanted) *gitops.Error {
	for i := range w.Files {
		f := &w.Files[i]
		if slices.ContainsFunc(w.Files[:i], func(before File) bool { return before.Path == f.Path }) {
			return gitops.FieldErrorf(f.also, "is %s, which the same update edits already: write both keys into one set", f.Path)
		}
		f.Sets = values.Bind(f.Sets, values.Names{App: w.App, Environment: w.Environment, Repository: w.Image})
		for n := range f.Sets {
			f.Sets[n].Shared = b.inFile[place{w.Manifests, f.Path}] > 1
		}
		err := checkFollows(f)
		if err == nil {
			f.Edit, err = b.edit(f)
		}
		if err != nil {
			return err
		}
	}
	w.written.Files = make([]manifest.FileEdit, len(w.Files))
	for i, f := range w.Files {
		w.written.Files[i] = manifest.FileEdit{File: f.Path, Editor: f.Edit}
	}
	return nil
}

// checkFollows wants the keys that may change with an anchor named where a file has
// more than one target: who may order one of them may not order the others by it.
func checkFollows(f *File) *gitops.Error {
	for i, set := range f.Sets {
		if set.Anchor != "" && set.Shared && len(set.Follows) == 0 {
			return gitops.FieldErrorf(fmt.Sprintf("%s[%d].follows", f.field, i),
				"is required with anchor: %s in %s, where other apps or environments are set, too: list the keys that may change with it", set.Anchor, f.Path)
		}
	}
	return nil
}

// edits are compiled edits by what they set. Most apps set the same key: it is compiled
// once, and every target has the same edit, not 8,000 of them. A catalog that is made
// after another compiles only what is new.
type edits map[string]*values.Edit

// edit compiles what a file's field says to set.
func (b *builder) edit(f *File) (*values.Edit, *gitops.Error) {
	what := identify(f.Sets, b.Within)
	if edit, ok := b.edits[what]; ok {
		return edit, nil
	}
	if b.Before != nil {
		if edit, ok := b.Before.edits[what]; ok {
			b.edits[what] = edit
			return edit, nil
		}
	}
	edit, err := values.Compile(f.Sets)
	var e *gitops.Error
	if errors.As(err, &e) {
		e.Field = f.field + e.Field
		return nil, e
	}
	b.edits[what] = edit.Within(b.Within)
	return b.edits[what], nil
}

// identify is a text that no other targets have.
func identify(sets []values.Target, within values.Limits) string {
	var text []byte
	text = fmt.Append(text, within)
	for _, set := range sets {
		for _, part := range []string{set.Key, set.Value, set.Inside, set.Anchor} {
			text = strconv.AppendQuote(text, part)
		}
		for _, list := range [][]string{set.Follows, set.Replaces} {
			for _, part := range list {
				text = strconv.AppendQuote(text, part)
			}
			text = append(text, ';')
		}
		for _, is := range []bool{set.Create, set.CreateParents, set.Shared} {
			text = strconv.AppendBool(text, is)
		}
	}
	return string(text)
}
