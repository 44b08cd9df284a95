package discover

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// readFile is what a file has whose path matches.
func (w *walk) readFile(path string, readings []reading, content *git.File, was *file) *file {
	f := &file{}
	able := legal(readings)
	switch {
	case len(able) == 0:
		f.problems = w.illegal(path, readings)
	case able[0].unknown:
		f.unknown = able[0].env
	case len(able) > 1:
		slices.SortFunc(able, longestFirst)
		f.problems = []Problem{problem(reading{}, path, "%s can be read as %s and as %s: give environments directories of their own, or split the entry into two with environments and exclude",
			clip(path), able[0], able[1])}
	default:
		w.target(f, path, able[0], content, was)
	}
	return f
}

// illegal is the problem of a path whose app has a name that apps cannot have.
func (w *walk) illegal(path string, readings []reading) []Problem {
	r := readings[0]
	if r.unknown {
		return nil
	}
	err := gitops.CheckName("", r.app)
	return []Problem{problem(reading{env: r.env}, path, "%s names the app %q, and an app's name %s: rename it, or leave the path out with exclude", clip(path), clip(r.app), gitops.PublicOf(err))}
}

// target is what a file has whose path names one app, or leaves the names to the
// content.
func (w *walk) target(f *file, path string, names reading, _ *git.File, was *file) {
	if names.env == "" {
		names.env = w.only
	}
	f.add(was, &Found{
		App: names.app, Environment: names.env, Entry: w.nth, File: path, Image: w.imageOf(names), Origin: w.Field,
	})
}

// add adds what was found: the same as before when it says the same.
func (f *file) add(was *file, found *Found) {
	if n := len(f.found); was != nil && n < len(was.found) && reflect.DeepEqual(was.found[n], found) {
		found = was.found[n]
	}
	f.found = append(f.found, found)
}

// same reports whether a file has what it had.
func (f *file) same(was *file) bool {
	return was != nil && f.unknown == was.unknown && f.needs == was.needs && slices.Equal(f.found, was.found) &&
		slices.EqualFunc(f.problems, was.problems, sameProblem)
}

func sameProblem(a, b Problem) bool { return reflect.DeepEqual(a, b) }

// String is a reading in a sentence.
func (r reading) String() string { return fmt.Sprintf("app %q in %q", r.app, r.env) }

// problem is one about a file. Texts from the repository are clipped by the caller.
func problem(names reading, path, format string, args ...any) Problem {
	p := Problem{App: names.app, Environment: names.env, Message: gitops.Clip(fmt.Sprintf(format, args...), maxMessage)}
	if path != "" {
		p.Files = []string{path}
	}
	return p
}

const (
	maxMessage = 1_000 // bytes in a problem's sentence
	maxText    = 200   // bytes in it of a text from the repository
)

// clip bounds a text from the repository.
func clip(text string) string { return gitops.Clip(strings.TrimSpace(text), maxText) }
