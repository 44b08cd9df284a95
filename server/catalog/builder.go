package catalog

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/config"
)

// builder makes one catalog.
type builder struct {
	Input
	all      []*wanted // by app and environment
	problems []Problem
	inFile   map[place]int // how many targets each file has
	edits    edits
}

// place is a file of a manifest repository.
type place struct{ manifests, path string }

// wanted is a target that may turn out to be wrong.
type wanted struct {
	Target
	found *Found // nil for one of the configuration
	ok    bool
}

func newBuilder(in Input) *builder {
	if in.MayFind == nil {
		in.MayFind = func(string) bool { return false }
	}
	return &builder{Input: in, problems: slices.Clone(in.Problems), edits: make(edits)}
}

// Refines reports whether an app of the configuration only says more of one that a branch
// names: the branch could name it, and no file of its own says where it is. It is known
// where it is found.
func refines(app config.App, name string, mayFind func(string) bool) bool {
	return app.File == "" && mayFind(name)
}

// addConfigured adds every app of the configuration in every environment that it runs
// in, but for those that refine what branches name.
func (b *builder) addConfigured() {
	c := &b.Config
	everywhere := slices.Sorted(maps.Keys(c.Environments))
	b.all = make([]*wanted, 0, len(c.Apps)*len(everywhere)+len(b.Found))
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		app := c.Apps[name]
		if refines(app, name, b.MayFind) {
			continue
		}
		environments := app.Environments
		if len(environments) == 0 {
			environments = everywhere
		}
		for i, environment := range environments {
			if slices.Contains(environments[:i], environment) { // the policy says so
				continue
			}
			to := c.Target(environment, name)
			b.all = append(b.all, &wanted{ok: true, Target: Target{
				At: At{environment, name}, Manifests: c.ManifestsOf(environment, name), Image: to.Repository,
				Files: []File{{Path: to.File, Sets: to.Set.Targets(), field: to.Field}},
			}})
		}
	}
}

// addFound adds what branches name, with what the configuration says of it, but for what
// is wrong by its names.
func (b *builder) addFound() {
	for i := range b.Found {
		f := &b.Found[i]
		app, refined := b.Config.Apps[f.App]
		switch {
		case refined && !refines(app, f.App, b.MayFind): // the configuration says where it is
		case refined && app.Environments != nil && !slices.Contains(app.Environments, f.Environment):
		default:
			b.all = append(b.all, b.refine(f, app))
		}
	}
	slices.SortStableFunc(b.all, func(x, y *wanted) int {
		return cmp.Or(cmp.Compare(x.App, y.App), cmp.Compare(x.Environment, y.Environment))
	})
	b.refuseNames()
	b.refuseSameNames()
	b.refuseTwice()
	b.refuseImages()
	b.missRefined()
}

// refine is a found target with what the configuration says of the app.
func (b *builder) refine(f *Found, app config.App) *wanted {
	w := &wanted{found: f, ok: true, Target: Target{
		At: f.At, Manifests: f.Manifests, Image: cmp.Or(app.RepositoryIn(f.Environment), f.Image), Tags: f.Tags, Origin: f.Origin,
	}}
	to := b.Config.Target(f.Environment, f.App) // the app's set, else the environment's, else the top level's
	for _, file := range f.Files {
		sets, field := file.Set, f.Origin
		if sets == nil || app.Set != nil {
			sets, field = to.Set.Targets(), to.Field
		}
		w.Files = append(w.Files, File{Path: file.Path, Sets: sets, field: field})
	}
	return w
}

// refuse makes a problem of a found target.
func (b *builder) refuse(w *wanted, message string, files ...string) {
	w.ok = false
	b.problems = append(b.problems, Problem{At: w.At, Manifests: w.Manifests, Files: sortedSet(append(files, w.found.Sources...)), Message: message})
}

func sortedSet(files []string) []string {
	slices.Sort(files)
	return slices.Compact(files)
}

// refuseNames refuses what is no name. A name ends up in paths, commit messages and the
// store.
func (b *builder) refuseNames() {
	for _, w := range b.all {
		if w.found == nil {
			continue
		}
		if err := gitops.CheckName("", w.App); err != nil {
			b.refuse(w, "the name "+quoted(w.App)+" "+gitops.PublicOf(err)+": rename the directory or file, or exclude it")
		}
	}
}

// refuseSameNames refuses names that differ in nothing but capitals: people, file systems
// and DNS take them for one.
func (b *builder) refuseSameNames() {
	byFolded := make(map[string][]*wanted)
	for _, w := range b.all {
		folded := strings.ToLower(w.App)
		byFolded[folded] = append(byFolded[folded], w)
	}
	for _, same := range byFolded {
		for _, w := range same {
			at := slices.IndexFunc(same, func(other *wanted) bool { return other.App != w.App })
			if w.found == nil || at < 0 || !w.ok {
				continue
			}
			b.refuse(w, "the name "+w.App+" differs from "+same[at].App+" in capitals alone: rename one of them", same[at].sources()...)
		}
	}
}

// sources are the files that name a target; of the configuration's there are none.
func (w *wanted) sources() []string {
	if w.found == nil {
		return nil
	}
	return w.found.Sources
}

// refuseTwice refuses an app that is named twice in one environment: by two repositories,
// or by two files of one.
func (b *builder) refuseTwice() {
	for i, w := range b.all {
		for _, other := range b.all[i+1:] {
			if other.At != w.At {
				break
			}
			b.refuseBoth(w, other)
		}
	}
}

func (b *builder) refuseBoth(w, other *wanted) {
	for _, pair := range [][2]*wanted{{w, other}, {other, w}} {
		if this, that := pair[0], pair[1]; this.found != nil && that.found != nil && this.ok {
			b.refuse(this, "is at two places, "+this.where()+" and "+that.where()+": remove or exclude one", that.found.Sources...)
		}
	}
}

// where names a target's file for people.
func (w *wanted) where() string {
	return w.Files[0].Path + " of " + w.Manifests
}

// refuseImages refuses what is no image's name.
func (b *builder) refuseImages() {
	for _, w := range b.all {
		if w.found == nil || !w.ok || w.Image == "" {
			continue
		}
		if err := policy.CheckRepository("", w.Image); err != nil {
			b.refuse(w, "its repository "+gitops.PublicOf(err))
		}
	}
}

// missRefined notes the apps of the configuration that only refine, and that no branch
// names. Before anything was looked for that is nothing yet.
func (b *builder) missRefined() {
	if b.Found == nil {
		return
	}
	found := make(map[string]bool, len(b.Found))
	for _, f := range b.Found {
		found[f.App] = true
	}
	for _, name := range slices.Sorted(maps.Keys(b.Config.Apps)) {
		if refines(b.Config.Apps[name], name, b.MayFind) && !found[name] {
			b.problems = append(b.problems, Problem{At: At{App: name}, Manifests: config.DefaultRepository,
				Message: "apps." + name + " names no file, and no file of the branch names the app: give it a file, or remove it"})
		}
	}
}

func quoted(name string) string { return `"` + gitops.Clip(name, 100) + `"` }
