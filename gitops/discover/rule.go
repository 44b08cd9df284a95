package discover

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// rule is one entry.
type rule struct {
	Entry
	nth      int
	segments []segment
	excludes excludes
	environments
	sorted []string // the entry's environments, by name
	only   string   // the environment of an entry in which nothing names it
	limits values.Limits

	inverse *values.Inverse // of the first key, where that names what the path does not; else nil

	image        segment         // of Repository
	imageKey     *values.Key     // of RepositoryKey without names
	imageInverse *values.Inverse // of RepositoryKey with names

	also     []alsoFile
	ownDepth int // how many directories lead to an own file; 0 when there is none
	ownName  string
}

// alsoFile is a file beside the first. It has that many directories in common with it.
type alsoFile struct {
	shared int
	rest   string // with {app} and {env}
	set    []values.Target
}

func (r *rule) compileFile(c Config) (err error) {
	if r.File == "" {
		return gitops.FieldErrorf("file", "is missing: give the path of the files, such as charts/{app}/values-{env}.yaml")
	}
	if r.segments, err = parsePattern(r.File); err != nil {
		return fieldError("file", err)
	}
	needsApp, needsEnv := !r.names(app), !r.names(env) && r.only == ""
	if !needsApp && !needsEnv {
		return nil
	}
	missing := "{app}"
	if !needsApp {
		missing = "{env}"
	}
	key, err := r.firstKey(c)
	if err != nil {
		return err
	}
	if !strings.Contains(key, missing) {
		way := `, such as charts/{app}/values-{env}.yaml, or the first key of set must, such as .{app}.image.tag`
		if missing == "{env}" {
			way = ", such as charts/{app}/values-{env}.yaml, or the first key of set must, such as .{env}.image.tag, or the entry must be for one environment: environments: [prod]"
		}
		return gitops.FieldErrorf("file", "must name %s%s", missing, way)
	}
	if r.inverse, err = values.Invert(key); err != nil {
		return gitops.FieldErrorf("set[0].key", "%s", sentence(err))
	}
	if hasApp, hasEnv := r.inverse.Names(); needsApp && !hasApp || needsEnv && !hasEnv {
		return gitops.FieldErrorf("file", "must name {app} and {env}, or the first key of set must name what it does not: %s has one of them", key)
	}
	return nil
}

// firstKey is the first key that an update writes. It finds the names in a file, so it
// must be the same in all environments.
func (r *rule) firstKey(c Config) (string, error) {
	var first values.Target
	for i, env := range r.sorted {
		set := r.Set
		if set == nil && c.Set != nil {
			set = c.Set(env)
		}
		if len(set) == 0 {
			return "", nil
		}
		if i > 0 && set[0].Key != first.Key {
			return "", gitops.FieldErrorf("set", "is missing: the file's content names the apps, and the environments %s and %s have different first keys; give the entry a set of its own", r.sorted[0], env)
		}
		first = set[0]
	}
	if first.Inside != "" {
		return "", gitops.FieldErrorf("set[0].inside", "cannot be there where the first key names the apps: name {app} and {env} in file")
	}
	return first.Key, nil
}

// names reports whether the file's path names something.
func (r *rule) names(k kind) bool {
	return slices.ContainsFunc(r.segments, func(s segment) bool { return s.has(k) })
}

func (r *rule) compileImage() (err error) {
	switch {
	case r.Repository != "" && r.RepositoryKey != "":
		return gitops.FieldErrorf("repositoryKey", "is given beside repository: both say what the apps' images are; leave one out")
	case r.Repository != "":
		if r.image, err = parseImage(r.Repository); err != nil {
			return fieldError("repository", err)
		}
	case strings.Contains(r.RepositoryKey, "{"):
		if r.imageInverse, err = values.Invert(r.RepositoryKey); err != nil {
			return gitops.FieldErrorf("repositoryKey", "%s", sentence(err))
		}
	case r.RepositoryKey != "":
		if r.imageKey, err = values.CompileKey(r.RepositoryKey); err != nil {
			return gitops.FieldErrorf("repositoryKey", "%s", sentence(err))
		}
	}
	return nil
}

// parseImage takes the template of an image apart.
func parseImage(template string) (segment, error) {
	s, err := parseSegment(template)
	if err != nil {
		return s, err
	}
	if s.has(star) {
		return s, errors.New("must not have *: write {app}")
	}
	if err := policy.CheckRepository("", expand(template, "app", "env")); err != nil {
		return s, errors.New(sentence(err))
	}
	return s, nil
}

// imageOf is the image that a template gives an app.
func imageOf(template string, n reading) string {
	return expand(template, strings.ToLower(n.app), strings.ToLower(n.env))
}

// compileAlso checks the files beside the first. Their paths may have * where the first
// one has: only in the directories that they have in common.
func (r *rule) compileAlso() error {
	var problems []error
	for i, f := range r.Also {
		field := fmt.Sprintf("also[%d]", i)
		segments, err := parsePattern(f.Path)
		if err != nil {
			problems = append(problems, fieldError(field+".file", err))
			continue
		}
		n := r.common(segments)
		rest := segments[n:]
		switch {
		case slices.ContainsFunc(rest, func(s segment) bool { return s.has(star) }):
			problems = append(problems, gitops.FieldErrorf(field+".file", "may have * only in the directories that it has in common with file, from the first on: %s and %s", r.File, f.Path))
		case f.Path == r.File:
			problems = append(problems, gitops.FieldErrorf(field+".file", "is file itself: add its keys to set"))
		case f.Set != nil:
			problems = append(problems, r.checkApart(field, f))
		}
		a := alsoFile{shared: n, set: f.Set}
		names := make([]string, len(rest))
		for i, s := range rest {
			names[i] = s.text
		}
		a.rest = strings.Join(names, "/")
		r.also = append(r.also, a)
	}
	return errors.Join(problems...)
}

// common is how many directories a path has in common with the file's.
func (r *rule) common(segments []segment) int {
	n := 0
	for n < min(len(segments), len(r.segments))-1 && segments[n].text == r.segments[n].text {
		n++
	}
	return n
}

// checkApart refuses one key of one file that the updates of all environments would
// write: an app in prod would say what was released to dev.
func (r *rule) checkApart(field string, f File) error {
	if err := checkSet(f.Set); err != nil {
		return below(field+".set", err)
	}
	for _, t := range f.Set {
		place := f.Path + t.Inside + t.Key
		if len(r.sorted) > 1 && !strings.Contains(place, "{env}") && !strings.Contains(place, "{repository}") {
			return gitops.FieldErrorf(field, "would set %s in %s for each of %s, and the last one counts: name {env} in its file or key, or give also to one environment", t.Key, f.Path, strings.Join(r.sorted, ", "))
		}
		if !strings.Contains(place, "{app}") && !strings.Contains(place, "{repository}") {
			return gitops.FieldErrorf(field, "would set %s in %s for every app, and the last one counts: name {app} in its file or key", t.Key, f.Path)
		}
	}
	return nil
}

// alsoOf are the files beside the first of an app.
func (r *rule) alsoOf(file string, n reading) []File {
	var all []File
	for _, f := range r.also {
		path := expand(f.rest, n.app, n.env)
		if f.shared > 0 {
			path = strings.Join(strings.SplitN(file, "/", f.shared+1)[:f.shared], "/") + "/" + path
		}
		all = append(all, File{Path: path, Set: f.set})
	}
	return all
}

func (r *rule) compileOwn() error {
	if r.AppFile == "" {
		return nil
	}
	segments, err := parsePattern(r.AppFile)
	if err != nil {
		return fieldError("appFile", err)
	}
	dir, name := path.Split(r.AppFile)
	last := segments[len(segments)-1]
	switch {
	case !last.fixed():
		return gitops.FieldErrorf("appFile", "must have a plain name in its directory, such as charts/{app}/tallyman.yaml, not %s", name)
	case r.common(segments) != len(segments)-1 || !slices.ContainsFunc(segments, func(s segment) bool { return s.has(app) }):
		return gitops.FieldErrorf("appFile", "must lie in a directory of file that names {app}, since an own file can speak only of what is below its directory; %s is not one that %s has", dir, r.File)
	}
	r.ownDepth, r.ownName = len(segments)-1, name
	return nil
}
