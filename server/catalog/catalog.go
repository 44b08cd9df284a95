// Package catalog knows every app: those that the configuration names, and those that
// the tips of the manifest repositories' branches do. It says where the updates of each
// are written, and what is wrong with which.
//
// What is wrong with an app of the configuration is an error of the configuration, which
// is then not put in force. What is wrong with an app that a branch names is a problem of
// that app alone: it is not known, and all others are. Whoever commits to a branch must
// not be able to stop the apps of others.
//
// Everything here is a pure function of its arguments.
package catalog

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/config"
)

// Input is what a catalog is made of.
type Input struct {
	Config config.Config
	Looks  []Look // one for each manifest repository whose branch names apps
	Within values.Limits
	Memo   *policy.Memo // of tag rules; nil: nothing is remembered
	Before *Catalog     // of which nothing is compiled and checked again; nil: none
}

// Look is what the branch of one manifest repository names.
type Look struct {
	Manifests string // the repository's name
	Rules     *discover.Rules
	Entries   []int            // the places in the configuration's Discover of the rules' entries
	Result    *discover.Result // nil: it was not looked at yet
	Commit    string           // that was looked at
	Kept      bool             // Result is of before: it was not looked at with these rules yet
	Read      []string         // files whose contents the rules need, besides those that updates change
}

// Catalog is every app that is known at one time. It does not change. Safe for concurrent
// use.
type Catalog struct {
	targets  map[At]*Target
	sorted   []*Target // by app and environment
	apps     []string
	problems []Problem
	wrong    map[At]int // places in problems, by names in small letters; also of an app with no environment
	complete bool
	looks    []Look
	files    map[string][]string
	apart    map[string]map[string][]string // apps by environment and manifest repository; nil where there is one
	policy   map[string]policy.App
	refined  map[string]bool // images of the configuration's apps that only refine what branches name
	edits    edits
	images   map[string]image
}

// New makes a catalog. Its error joins everything that is wrong with the apps of the
// configuration, each an Invalid error that names its field.
func New(in Input) (*Catalog, error) {
	b := newBuilder(in)
	b.addConfigured()
	b.addFound()
	err := errors.Join(b.checkTags(), b.checkFanOut(), b.checkNamed(), b.checkInspected(), b.compile())
	return b.catalog(), err
}

// Target finds where the updates of an app in an environment are written.
func (c *Catalog) Target(environment, app string) (*Target, bool) {
	t, ok := c.targets[At{environment, app}]
	return t, ok
}

// Complete reports whether every branch that names apps was looked at: until then nobody
// knows which apps there are not.
func (c *Catalog) Complete() bool { return c.complete }

// Look finds what is known of the branch of a manifest repository.
func (c *Catalog) Look(manifests string) (Look, bool) {
	i := slices.IndexFunc(c.looks, func(l Look) bool { return l.Manifests == manifests })
	if i < 0 {
		return Look{}, false
	}
	return c.looks[i], true
}

// Looks are what is known of all branches that name apps.
func (c *Catalog) Looks() []Look { return c.looks }

// MayComeToKnow reports whether a branch could name an app that is not known.
func (c *Catalog) MayComeToKnow(app string) bool {
	return slices.ContainsFunc(c.looks, func(l Look) bool { return l.Rules.MayNameApp(app) })
}

// MayComeToKnowImage reports whether a branch could name an app of an image, without tag:
// by what it has itself, or by the image that the configuration gives an app whose file is
// not found yet.
func (c *Catalog) MayComeToKnowImage(image string) bool {
	return c.refined[newImage(image).same] || slices.ContainsFunc(c.looks, func(l Look) bool { return l.Rules.MayNameImage(image) })
}

// Targets are all targets, sorted by app and environment. The slice is not to be changed.
func (c *Catalog) Targets() []*Target { return c.sorted }

// Apps are the names of all apps, sorted. The slice is not to be changed.
func (c *Catalog) Apps() []string { return c.apps }

// Has reports whether an app is known, in any environment.
func (c *Catalog) Has(app string) bool {
	_, known := slices.BinarySearch(c.apps, app)
	return known
}

// Files are the files of a manifest repository that updates can change. The slice is the
// same as long as the catalog is, and is not to be changed.
func (c *Catalog) Files(manifests string) []string { return c.files[manifests] }

// AppsIn counts the apps whose files are in each manifest repository.
func (c *Catalog) AppsIn() map[string]int {
	apps := make(map[string]map[string]bool)
	for _, t := range c.sorted {
		if apps[t.Manifests] == nil {
			apps[t.Manifests] = make(map[string]bool)
		}
		apps[t.Manifests][t.App] = true
	}
	counts := make(map[string]int, len(apps))
	for repository, names := range apps {
		counts[repository] = len(names)
	}
	return counts
}

// Problems are what is wrong with apps that branches name, sorted by app. The slice is not
// to be changed.
func (c *Catalog) Problems() []Problem { return c.problems }

// Problem says why an app that a branch names is not known in an environment; false when
// nothing is wrong with it.
func (c *Catalog) Problem(environment, app string) (Problem, bool) {
	folded := strings.ToLower(app)
	for _, at := range []At{{environment, folded}, {"", folded}} {
		if i, ok := c.wrong[at]; ok {
			return c.problems[i], true
		}
	}
	return Problem{}, false
}

// PolicyApps are the apps as the policy plans them. The map is not to be changed.
func (c *Catalog) PolicyApps() map[string]policy.App { return c.policy }

// FanOut is how many updates one image means at most, by its repository.
func (c *Catalog) FanOut() map[string]int {
	updates := make(map[string]int)
	for _, t := range c.sorted {
		if t.Image != "" {
			updates[c.images[t.Image].same]++
		}
	}
	return updates
}

// In lists the targets whose updates change a file, sorted by environment and app; of ""
// all that there are.
func (c *Catalog) In(file string) (found []At) {
	for _, t := range c.sorted {
		if file == "" || slices.ContainsFunc(t.Files, func(f File) bool { return f.Path == file }) {
			found = append(found, t.At)
		}
	}
	slices.SortFunc(found, compareAt)
	return found
}

// Same reports whether two catalogs know the same.
func (c *Catalog) Same(other *Catalog) bool {
	return c.complete == other.complete && slices.EqualFunc(c.sorted, other.sorted, func(a, b *Target) bool { return a.same(b) }) &&
		slices.EqualFunc(c.problems, other.problems, Problem.same)
}

// catalog puts together what was found to be right.
func (b *builder) catalog() *Catalog {
	c := &Catalog{targets: make(map[At]*Target, len(b.all)), wrong: make(map[At]int), files: make(map[string][]string), policy: b.policyApps(), refined: b.refinedImages(), edits: b.edits, images: b.images, complete: b.complete, looks: b.Looks}
	files := make(map[[2]string]bool, len(b.all))
	for _, w := range b.all {
		if !w.ok {
			continue
		}
		c.targets[w.At] = &w.Target
		c.sorted = append(c.sorted, &w.Target)
		if n := len(c.apps); n == 0 || c.apps[n-1] != w.App {
			c.apps = append(c.apps, w.App)
		}
		for _, f := range w.Files {
			if at := [2]string{w.Manifests, f.Path}; !files[at] {
				files[at] = true
				c.files[w.Manifests] = append(c.files[w.Manifests], f.Path)
			}
		}
	}
	if len(c.files) > 1 {
		c.setApart()
	}
	for _, l := range b.Looks {
		for _, path := range l.Read {
			if at := [2]string{l.Manifests, path}; !files[at] {
				files[at] = true
				c.files[l.Manifests] = append(c.files[l.Manifests], path)
			}
		}
	}
	c.problems = b.problems
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.Message, b.Message))
	})
	for i, p := range c.problems {
		at := At{p.Environment, strings.ToLower(p.App)} // a name that differs in capitals alone is at fault, too
		if _, first := c.wrong[at]; p.App != "" && !first {
			c.wrong[at] = i
		}
	}
	return c
}
