package catalog

import (
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// refuse makes a problem of a found target.
func (b *builder) refuse(w *wanted, message string, files ...string) {
	w.ok = false
	b.problems = append(b.problems, Problem{At: w.At, Manifests: w.Manifests, Files: sortedSet(append(files, w.sources()...)), Message: message})
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
	if w.own == "" {
		return []string{w.found.File}
	}
	return []string{w.found.File, w.own}
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
			b.refuse(this, "is at two places, "+this.where()+" and "+that.where()+": remove or exclude one", that.sources()...)
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
		if problem := b.image(w.Image).problem; problem != "" {
			b.refuse(w, "its repository "+problem)
		}
	}
}

// missRefined notes the apps of the configuration that only refine, and that no branch
// names. Before anything was looked for that is nothing yet.
func (b *builder) missRefined() {
	if !b.complete {
		return
	}
	found := make(map[At]bool, len(b.all))
	for _, w := range b.all {
		found[w.At], found[At{"", w.App}] = true, true
	}
	for _, name := range slices.Sorted(maps.Keys(b.Config.Apps)) {
		if !b.refines(name) {
			continue
		}
		environments := b.Config.Apps[name].Environments
		if len(environments) == 0 {
			environments = []string{""}
		}
		for _, environment := range environments {
			if !found[At{environment, name}] && !b.wrong(environment, name) {
				b.problems = append(b.problems, Problem{At: At{environment, name}, Manifests: b.Config.ManifestsOf(environment, name),
					Message: "apps." + name + " names no file, and no file of the branch names the app: give it a file, or remove it"})
			}
		}
	}
}

// wrong reports whether a problem says already why an app is not known in an environment,
// or in any for "", or may hide it.
func (b *builder) wrong(environment, app string) bool {
	return slices.ContainsFunc(b.problems, func(p Problem) bool {
		return (p.App == app || p.App == "" && p.hides) && (environment == "" || p.Environment == "" || p.Environment == environment)
	})
}

func quoted(name string) string { return `"` + gitops.Clip(name, 100) + `"` }
