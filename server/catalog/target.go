package catalog

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/config"
)

// At names an app in an environment.
type At struct{ Environment, App string }

func compareAt(a, b At) int {
	return cmp.Or(cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.App, b.App))
}

// Target is where the updates of one app in one environment are written. It does not
// change.
type Target struct {
	At
	Manifests string             // the name of the manifest repository
	Files     []File             // at least one; the first says which tag the app has
	Image     string             // without tag; "" when only orders name the app
	Source    string             // the repository on GitHub that the image is built from, as owner/name; "" where GitHub is not told
	Rollout   config.Rollout     // how it is found out whether its updates run
	Deployed  config.Application // that deploys it, where the configuration names one; zero: it is found by Files
	Tags      config.Tags        // that it takes of those that the environment does; zero: all
	Origin    string             // the field of the discover entry that found it, or the path of the app's own file; "" for one of the configuration

	written manifest.Target // Files as the writer takes them
}

// File is one file that updates of a target change.
type File struct {
	Path string
	Sets []values.Target // with the app's name and image
	Edit *values.Edit

	field string // the field of the configuration that Sets are of
	also  string // the field that the file stands in; "" for the first
}

// Text is the problem in a line, for people.
func (p Problem) Text() string {
	text := p.Message
	switch {
	case p.App != "" && p.Environment != "":
		text = p.App + " in " + p.Environment + ": " + text
	case p.App != "":
		text = p.App + ": " + text
	}
	unnamed := slices.DeleteFunc(slices.Clone(p.Files), func(file string) bool { return strings.Contains(p.Message, file) })
	if len(unnamed) > 0 {
		text += " (" + strings.Join(unnamed, ", ") + ")"
	}
	return text
}

// Written is the target as the writer takes it.
func (t *Target) Written() manifest.Target { return t.written }

// Problem is what is wrong with an app that a branch names, or with a file that should
// name one.
type Problem struct {
	At        // App is "" where no name is known, Environment where it is of all
	Manifests string
	Files     []string // that are at fault
	Message   string   // names the rule and the way out

	hides bool // apps that it cannot name may be there all the same
}

func (t *Target) same(other *Target) bool {
	return t == other || t.At == other.At && t.Manifests == other.Manifests && t.Image == other.Image && t.Source == other.Source && t.Rollout == other.Rollout && t.Deployed == other.Deployed && t.Tags == other.Tags && t.Origin == other.Origin &&
		slices.EqualFunc(t.Files, other.Files, func(a, b File) bool { return a.Path == b.Path && a.Edit == b.Edit })
}

func (p Problem) same(other Problem) bool {
	return p.At == other.At && p.Manifests == other.Manifests && p.Message == other.Message && slices.Equal(p.Files, other.Files)
}
