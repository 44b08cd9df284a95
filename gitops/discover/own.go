package discover

import (
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// own is an app's own file: what the people of an app say of it beside its files. It can
// reach nothing outside its directory.
type own struct {
	path string
	mode string
	hash git.Hash
	ownFields
	err   error // why it cannot be used
	needs bool  // its content is not here
	again bool  // it was not parsed, and is to be read again
}

// ownFields are what an own file may have. Paths are from its directory.
type ownFields struct {
	file       string
	set        []values.Target
	also       []File
	repository string
	tags       Tags
}

// maxOwn bounds an own file, which has a few lines.
var maxOwn = values.Limits{Bytes: 64 << 10, Nodes: 4_000}

// ownIn is the own file of a directory, nil when there is none.
func (w *walk) ownIn(a at) *own {
	e, below, found := a.dir.Lookup(w.ownName)
	if !found {
		return nil
	}
	if was := a.was; was != nil && was.own != nil && was.own.hash == e.Hash && was.own.mode == e.Mode && !was.own.needs && !was.own.again {
		return was.own
	}
	o := &own{path: a.path + w.ownName, mode: e.Mode, hash: e.Hash}
	if below.File == nil {
		o.err = gitops.Errorf(gitops.Invalid, "it must be a file")
		return o
	}
	parsed := false
	err := w.read(o.path, below.File, func(text []byte) (err error) {
		parsed = true
		o.ownFields, err = parseOwn(text)
		return err
	})
	switch {
	case err == nil:
	case gitops.CodeOf(err) == gitops.Unavailable:
		o.needs = true
	default:
		o.err, o.again = err, !parsed
	}
	return o
}

// ownProblem is what is wrong with an own file, for the app whose directory it is in.
func (w *walk) ownProblem(n *node, o *own) []Problem {
	able := legal(n.readings)
	if len(able) == 0 || able[0].unknown {
		return nil
	}
	return []Problem{problem(able[0], o.path, "%s: %s", clip(o.path), said(o.err))}
}

// ownFiles are the files of an app whose own file says which they are.
func (w *walk) ownFiles(a at, n *node) {
	o := n.own
	able := legal(n.readings)
	switch {
	case len(able) == 0:
		n.problems = w.illegal(o.path, n.readings[0])
		return
	case able[0].unknown:
		return
	case able[0].cut:
		n.problems = append(n.problems, problem(reading{}, o.path, "%s: file: the directory can be read in many ways: leave file out", clip(o.path)))
		return
	case len(able) > 1:
		n.problems = append(n.problems, problem(reading{}, o.path, "%s: file: the directory can be read as that of %s and of %s: leave file out", clip(o.path), able[0], able[1]))
		return
	}
	old := make(map[string]*file)
	if a.was != nil {
		for _, f := range a.was.files {
			old[f.name] = f
		}
	}
	for _, env := range w.sorted {
		if names := able[0]; names.env == "" || names.env == env {
			names.env = env
			w.ownFile(a, n, names, old)
		}
	}
	if len(n.files) == 0 {
		n.problems = append(n.problems, problem(able[0], o.path, "%s: file: there is no %s for any environment; the path begins at the directory that this file is in", clip(o.path), clip(o.file)))
	}
	w.changed = w.changed || len(n.files) != len(old)
}

// ownFile takes the file of one environment, if there is one.
func (w *walk) ownFile(a at, n *node, names reading, old map[string]*file) {
	below := expand(n.own.file, names.app, names.env)
	path := a.path + below
	content, err := a.dir.Find(strings.Split(below, "/"))
	if errors.Is(err, git.ErrNoEntry) || w.excludes.match(path) {
		return
	}
	f := &file{name: names.env + " " + below}
	was := old[f.name]
	if err != nil {
		f.problem(names, path, "%s: file: %s", clip(n.own.path), gitops.PublicOf(git.PathError(clip(path), err)))
	} else {
		f.hash = content.Name
		w.target(f, path, names, content, was)
	}
	n.addFile(f)
	w.changed = w.changed || !f.same(was)
}

// applyOwn puts what the own file says into what was found.
func (w *walk) applyOwn(found *Found, names reading) {
	o := w.own
	if o == nil {
		return
	}
	found.Origin, found.Set, found.Tags = o.path, o.set, o.tags
	if o.also != nil {
		found.Also = nil
		dir, _ := path.Split(o.path)
		for _, f := range o.also {
			found.Also = append(found.Also, File{Path: dir + expand(f.Path, names.app, names.env), Set: f.Set})
		}
	}
}

// parseOwn reads an own file.
func parseOwn(text []byte) (ownFields, error) {
	d, err := values.Read(text, maxOwn)
	if err != nil {
		return ownFields{}, err
	}
	var f ownFields
	var r strictReader
	switch roots := d.Roots(); len(roots) {
	case 0:
	case 1:
		r.fields("", roots[0], map[string]reader{
			"file":       r.path(&f.file),
			"set":        r.set(&f.set),
			"also":       r.also(&f.also),
			"repository": r.image(&f.repository),
			"tags":       r.tags(&f.tags),
		})
	default:
		r.report("", roots[1], "the file has a second document: it must be one")
	}
	return f, r.err()
}

// checkImage checks the template of an image.
func checkImage(template string) error {
	_, err := parseImage(template)
	return err
}

// checkBelow checks a path from an own file's directory.
func checkBelow(template string) error {
	const below = "the path begins at the directory that this file is in, and stays below it"
	if strings.HasPrefix(template, "/") {
		return gitops.Errorf(gitops.Invalid, "must not begin with /: %s", below)
	}
	for name := range strings.SplitSeq(template, "/") {
		if name == "." || name == ".." {
			return gitops.Errorf(gitops.Invalid, "must not have %s: %s", name, below)
		}
	}
	segments, err := parsePattern(template)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(segments, func(s segment) bool { return s.has(star) }) {
		return gitops.Errorf(gitops.Invalid, "must not have *: it is the path of one file, from the directory that this file is in")
	}
	return nil
}
