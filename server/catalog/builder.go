package catalog

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/config"
)

// builder makes one catalog.
type builder struct {
	Input
	all      []*wanted // by app and environment
	problems []Problem
	complete bool
	inFile   map[place]int // how many targets each file has
	edits    edits
	images   map[string]image
}

// wanted is a target that may turn out to be wrong.
type wanted struct {
	Target
	found *discover.Found // nil for one of the configuration
	own   string          // the path of the app's own file, where it has one
	ok    bool
}

func newBuilder(in Input) *builder {
	b := &builder{Input: in, edits: make(edits), images: make(map[string]image)}
	b.complete = !slices.ContainsFunc(in.Looks, func(l Look) bool { return l.Result == nil || l.Kept })
	return b
}

// mayFind reports whether a branch could name an app.
func (b *builder) mayFind(app string) bool {
	return slices.ContainsFunc(b.Looks, func(l Look) bool { return l.Rules.MayNameApp(app) })
}

// refines reports whether an app of the configuration only says more of one that a branch
// names: the branch could name it, and no file of its own says where it is. It is known
// where it is found.
func (b *builder) refines(name string) bool {
	return len(b.Looks) > 0 && b.Config.Apps[name].File == "" && b.mayFind(name)
}

// refinedImages are the images that the configuration gives the apps that refine what
// branches name.
func (b *builder) refinedImages() map[string]bool {
	images := make(map[string]bool)
	for name, app := range b.Config.Apps {
		if !b.refines(name) {
			continue
		}
		for environment := range b.Config.Environments {
			if image := app.RepositoryIn(environment); image != "" {
				images[b.image(image).same] = true
			}
		}
	}
	return images
}

// addConfigured adds every app of the configuration in every environment that it runs
// in, but for those that refine what branches name.
func (b *builder) addConfigured() {
	c := &b.Config
	everywhere := slices.Sorted(maps.Keys(c.Environments))
	b.all = make([]*wanted, 0, len(c.Apps)*len(everywhere)+b.found())
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		app := c.Apps[name]
		if b.refines(name) {
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
			w := &wanted{ok: true, Target: Target{At: At{environment, name}, Manifests: c.ManifestsOf(environment, name), Image: to.Repository, Source: app.Source,
				Rollout: c.Environments[environment].Rollout, Deployed: c.ApplicationOf(environment, name)}}
			for _, f := range to.Files {
				w.Files = append(w.Files, File{Path: f.File, Sets: f.Set.Targets(), field: f.Field, also: f.Also})
			}
			b.all = append(b.all, w)
		}
	}
}

// found counts what was found.
func (b *builder) found() (n int) {
	for _, l := range b.Looks {
		if l.Result != nil {
			n += len(l.Result.Found)
		}
	}
	return n
}

// addFound adds what branches name, with what the configuration says of it, but for what
// is wrong by its names.
func (b *builder) addFound() {
	for _, l := range b.Looks {
		if l.Result == nil {
			continue
		}
		for _, p := range l.Result.Problems {
			b.problems = append(b.problems, Problem{At: At{p.Environment, p.App}, Manifests: l.Manifests, Files: p.Files, Message: p.Message, hides: p.HidesApps})
		}
		hides := slices.ContainsFunc(l.Result.Problems, func(p discover.Problem) bool { return p.HidesApps })
		if len(l.Result.Found) == 0 && !hides { // rather a mistake than a decision about each app
			b.problems = append(b.problems, Problem{Manifests: l.Manifests, hides: true,
				Message: "no file of the branch of " + l.Manifests + " names any app: bring the files back, or correct file in discover"})
		}
		for _, f := range l.Result.Found {
			if b.counts(l, f) {
				b.all = append(b.all, b.refine(l, f))
			}
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

// counts reports whether what was found counts: the configuration may say that an app is
// elsewhere.
func (b *builder) counts(l Look, f *discover.Found) bool {
	app, configured := b.Config.Apps[f.App]
	switch {
	case !configured:
		return true
	case app.File != "":
		return false
	}
	return (app.Environments == nil || slices.Contains(app.Environments, f.Environment)) && (app.Manifests == "" || app.Manifests == l.Manifests)
}

// refine is a found target with what the configuration says of the app.
func (b *builder) refine(l Look, f *discover.Found) *wanted {
	w := &wanted{found: f, ok: true, Target: Target{
		At: At{f.Environment, f.App}, Manifests: l.Manifests, Image: cmp.Or(b.Config.Apps[f.App].RepositoryIn(f.Environment), f.Image),
		Source:  cmp.Or(b.Config.Apps[f.App].Source, strings.ReplaceAll(b.Config.Discover[l.Entries[f.Entry]].Source, "{app}", f.App)),
		Rollout: b.Config.Environments[f.Environment].Rollout, Deployed: b.Config.ApplicationOf(f.Environment, f.App),
		Tags: config.Tags(f.Tags), Origin: f.Origin,
	}}
	if f.Origin != config.DiscoverField(l.Entries[f.Entry]) {
		w.own = f.Origin
	}
	first := File{Path: f.File}
	first.Sets, first.field = b.setsOf(l, f)
	w.Files = append(w.Files, first)
	if b.Config.Apps[f.App].Also != nil {
		for _, more := range b.Config.Target(f.Environment, f.App).Files[1:] {
			w.addFile(File{Path: more.File, Sets: more.Set.Targets(), field: more.Field, also: more.Also}, strings.HasPrefix(more.Field, strings.TrimSuffix(more.Also, "file")))
		}
		return w
	}
	for _, more := range f.Also {
		w.addFile(File{Path: more.Path, Sets: more.Set, field: f.Origin, also: f.Origin + ".also"}, more.Set != nil)
	}
	return w
}

// addFile adds one more file; without a set of its own it has the first one's.
func (w *wanted) addFile(f File, own bool) {
	if !own {
		f.Sets, f.field = w.Files[0].Sets, w.Files[0].field
	}
	w.Files = append(w.Files, f)
}

// setsOf is what updates of a found target set in its first file, and the field that says
// so: the configuration's app, the app's own file, the entry, the environment, or the top
// level.
func (b *builder) setsOf(l Look, f *discover.Found) (sets []values.Target, field string) {
	entry := l.Entries[f.Entry]
	switch of := b.Config.Discover[entry].Set; {
	case b.Config.Apps[f.App].Set != nil:
	case f.Set != nil:
		return f.Set, f.Origin
	case of != nil:
		return of.Targets(), config.DiscoverField(entry) + ".set"
	}
	to := b.Config.Target(f.Environment, f.App).Files[0]
	return to.Set.Targets(), to.Field
}
