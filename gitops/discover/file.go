package discover

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// file is what a file has for an entry.
type file struct {
	name     string // from the directory's node
	hash     git.Hash
	content  *content // what was taken from its content
	found    []*Found
	byNames  map[reading]*Found // once it is asked for
	problems []Problem
	more     int      // problems that are not kept
	unknown  []string // environments that are named and not configured
	needs    string   // its path, when its content is not here
	again    bool     // it could not be read, or not all of it, and is to be read again
	steps    int      // what it takes, as a node's
}

func (n *node) addFile(f *file) {
	n.files = append(n.files, f)
	n.pending = n.pending || f.needs != "" || f.again
}

// readFile finds what a file has whose path matches.
func (w *walk) readFile(f *file, path string, readings []reading, content *git.File, was *file) {
	w.steps -= keep
	able := legal(readings)
	switch {
	case len(able) == 0:
		f.problems = w.illegal(path, readings[0])
	case able[0].unknown:
		if len(able) == 1 && !able[0].cut { // else which one is meant is not known
			f.unknown = []string{able[0].env}
		}
	case able[0].cut:
		f.problem(reading{}, path, "%s can be read as that of an app in more than %d ways: use directories, or fewer of {app}, {env} and * in a name", clip(path), maxReadings)
	case len(able) > 1:
		slices.SortFunc(able, longestFirst)
		f.problem(reading{}, path, "%s can be read as %s and as %s: give environments directories of their own, or split the entry into two with environments and exclude",
			clip(path), able[0], able[1])
	default:
		w.target(f, path, able[0], content, was)
	}
}

// illegal is the problem of a path whose app has a name that apps cannot have.
func (w *walk) illegal(path string, r reading) []Problem {
	if r.unknown {
		return nil
	}
	return []Problem{noApp(problem(reading{env: r.env}, path, "%s names the app %q, and an app's name %s: rename it, or leave the path out with exclude",
		clip(path), clip(r.app), sentence(gitops.CheckName("", r.app))))}
}

// noApp is a problem of what is no app by its name, so that none is hidden.
func noApp(p Problem) Problem {
	p.HidesApps = false
	return p
}

// problem notes what is wrong with a target in the file.
func (f *file) problem(names reading, path, format string, args ...any) {
	f.addProblem(problem(names, path, format, args...))
}

// addProblem keeps a problem, or counts it.
func (f *file) addProblem(p Problem) {
	if len(f.problems) == MaxProblems {
		f.more++
		return
	}
	f.problems = append(f.problems, p)
}

// add adds what was found: the same as before when it says the same.
func (f *file) add(was *file, found *Found) {
	if was != nil {
		if before := was.of(found.names()); before != nil && reflect.DeepEqual(before, found) {
			found = before
		}
	}
	f.found = append(f.found, found)
}

// of is what was found with names.
func (f *file) of(names reading) *Found {
	if len(f.found) == 1 && f.found[0].names() == names {
		return f.found[0]
	}
	if f.byNames == nil && len(f.found) > 1 {
		f.byNames = make(map[reading]*Found, len(f.found))
		for _, found := range f.found {
			f.byNames[found.names()] = found
		}
	}
	return f.byNames[names]
}

// same reports whether a file has what it had.
func (f *file) same(was *file) bool {
	return was != nil && f.needs == was.needs && f.more == was.more && slices.Equal(f.unknown, was.unknown) &&
		slices.Equal(f.found, was.found) && slices.EqualFunc(f.problems, was.problems, sameProblem)
}

func sameProblem(a, b Problem) bool { return reflect.DeepEqual(a, b) }

// String is a reading in a sentence.
func (r reading) String() string { return fmt.Sprintf("app %q in %q", r.app, r.env) }

// problem is one about a file. Texts from the repository are clipped by the caller.
func problem(names reading, path, format string, args ...any) Problem {
	p := Problem{App: names.app, Environment: names.env, HidesApps: names.app == "", Message: gitops.Clip(fmt.Sprintf(format, args...), maxMessage)}
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
