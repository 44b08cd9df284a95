package starter

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// target is one app in one environment.
type target struct{ app, environment string }

func (t *site) target() target { return target{strings.ToLower(t.app), t.environment} }

// resolve gives each target one file and one key: of entries that find the same target
// the one with more of them has it. An entry that only sets another key in the same files
// joins the first where both have the same tag of the same image, and where it is for
// some of the apps it becomes their own.
func (f *Findings) resolve() {
	slices.SortStableFunc(f.entries, compareEntries)
	owners := make(map[target]*entry)
	leftOut := make(map[string][]string) // paths, by the reason
	var kept []*entry
	for _, e := range f.entries {
		if len(kept) > 0 && e.joins(owners) {
			continue
		}
		first := e.firstPaths()
		e.sites = slices.DeleteFunc(e.sites, func(t *site) bool {
			why := e.whyTaken(t, owners[t.target()], first[t.target()])
			if why != "" {
				leftOut[why] = append(leftOut[why], t.path)
			}
			return why != ""
		})
		if len(e.sites) == 0 {
			continue
		}
		for _, t := range e.sites {
			owners[t.target()] = e
		}
		i := slices.IndexFunc(kept, func(k *entry) bool { return k.file == e.file && !e.namesApps() })
		if i >= 0 && f.becomesTheirs(e, kept[i]) {
			kept[i].sites = append(kept[i].sites, e.sites...)
			continue
		}
		kept = append(kept, e)
	}
	f.entries = kept
	for _, why := range slices.Sorted(maps.Keys(leftOut)) {
		files := slices.Compact(slices.Sorted(slices.Values(leftOut[why])))
		f.Note("left out, since %s: %s", why, some(files))
	}
}

// namesApps reports whether the key names the apps, so that several entries of the same
// file find different ones.
func (e *entry) namesApps() bool { return !strings.Contains(e.file, appName) }

func compareEntries(a, b *entry) int {
	agreement := func(e *entry) (sum int) {
		for _, t := range e.sites {
			sum += t.agreement(t.app)
		}
		return sum
	}
	return cmp.Or(
		cmp.Compare(len(b.sites), len(a.sites)),
		cmp.Compare(agreement(b), agreement(a)),
		cmp.Compare(rankOfKey(a), rankOfKey(b)),
		cmp.Compare(a.file, b.file), cmp.Compare(a.key, b.key))
}

// rankOfKey puts what is made to be set before what is not.
func rankOfKey(e *entry) int {
	switch {
	case isPreset(e.key) && e.value == tagValue:
		return 0
	case e.value == tagValue:
		return 1
	}
	return 2
}

// joins adds the key of e to the entry that has all its targets in the same files, with
// the same tags and images.
func (e *entry) joins(owners map[target]*entry) bool {
	owner := owners[e.sites[0].target()]
	if owner == nil || owner.file != e.file || len(owner.sites) != len(e.sites) || owner.value != e.value || owner.inside != e.inside || owner.key == e.key {
		return false
	}
	byPath := make(map[string]*site, len(owner.sites))
	for _, o := range owner.sites {
		byPath[o.path] = o
	}
	for _, t := range e.sites {
		if o := byPath[t.path]; o == nil || o.tag != t.tag || o.repository != t.repository {
			return false
		}
	}
	owner.more = append(owner.more, e.key)
	return true
}

// firstPaths are the paths of the entry's targets, the first where there are several.
func (e *entry) firstPaths() map[target]string {
	first := make(map[target]string, len(e.sites))
	for _, t := range e.sites {
		if p, ok := first[t.target()]; !ok || t.path < p {
			first[t.target()] = t.path
		}
	}
	return first
}

// whyTaken says why a site is left out, whose target is another entry's or that of another
// file of its own; empty when it is not.
func (e *entry) whyTaken(t *site, owner *entry, first string) string {
	switch {
	case owner != nil && owner.file == e.file && owner.key != e.key:
		return "an app has one image, and its tag is at " + owner.keys()[0]
	case owner != nil:
		return owner.file + " has the same apps, too; where both change at once list one under also"
	case t.path != first:
		return "another file of " + e.file + " has the same app in the same environment; where both change at once list one under also"
	}
	return ""
}

// becomesTheirs makes an entry for the same files with another key the business of its
// apps, where they are few and not in the other entry.
func (f *Findings) becomesTheirs(e, other *entry) bool {
	const few = 20
	apps, others := make(map[string]bool), make(map[string]bool)
	for _, o := range other.sites {
		others[o.app] = true
	}
	for _, t := range e.sites {
		apps[t.app] = true
		if others[t.app] {
			return false
		}
	}
	if len(apps) > few {
		return false
	}
	for app := range apps {
		r := f.refine(app)
		r.key, r.value, r.inside = e.key, e.value, e.inside
	}
	return true
}

// excludeOthers lists, for each entry, what its pattern matches and what holds no tag
// there; and counts among its targets what matches and was not read.
func (f *Findings) excludeOthers() {
	for _, e := range f.entries {
		if e.namesApps() {
			continue
		}
		claimed := make(map[string]bool)
		for _, t := range e.sites {
			claimed[t.path] = true
		}
		g := newGlob(e.file, f.environments)
		byDirectory := make(map[string][]string)
		for _, p := range f.paths {
			app, environment, ok := g.match(p)
			switch {
			case !ok || claimed[p]:
			case !f.read[p] && mayHoldImages(p) && f.left > 0:
				t := &site{spot: spot{path: p}, app: app, environment: cmp.Or(environment, e.fixed)}
				e.sites = append(e.sites, t)
			default:
				byDirectory[e.ownDirectory(p)] = append(byDirectory[e.ownDirectory(p)], p)
			}
		}
		e.exclude = append(exclusions(byDirectory, claimed), f.noEnvironments(e)...)
		slices.SortFunc(e.sites, func(a, b *site) int { return cmp.Compare(a.path, b.path) })
	}
}

// noEnvironments are patterns of the paths that an entry's pattern would match if what
// stands in the place of an environment were one, as apps/base does.
func (f *Findings) noEnvironments(e *entry) (all []string) {
	known, every := newGlob(e.file, f.environments), newGlob(e.file, nil)
	for _, p := range f.paths {
		_, name, ok := every.match(p)
		if _, _, isKnown := known.match(p); ok && !isKnown && gitops.CheckName("", name) == nil {
			all = append(all, e.within(name, p))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// within is the entry's pattern for a name that stands where environments do; the path
// alone where the name of an environment could end in that name.
func (e *entry) within(name, p string) string {
	if directory, _, ok := strings.Cut(e.file, "/"+envName+"/"); ok {
		return strings.ReplaceAll(directory, appName, "*") + "/" + name + "/**"
	}
	for segment := range strings.SplitSeq(e.file, "/") {
		if strings.Contains(segment, envName) && (strings.Contains(segment, appName) || strings.Contains(segment, "*")) {
			return p
		}
	}
	return strings.NewReplacer(appName, "*", envName, name).Replace(e.file)
}

// ownDirectory is the directory of a path that the entry's pattern has for one app alone;
// empty where the app is named by the file.
func (e *entry) ownDirectory(p string) string {
	pattern, names := strings.Split(e.file, "/"), strings.Split(p, "/")
	for i := range len(pattern) - 1 {
		if strings.Contains(pattern[i], appName) && !slices.ContainsFunc(pattern[:i], func(s string) bool { return strings.Contains(s, envName) }) {
			return path.Join(names[:i+1]...)
		}
	}
	return ""
}

func exclusions(byDirectory map[string][]string, claimed map[string]bool) (all []string) {
	for _, directory := range slices.Sorted(maps.Keys(byDirectory)) {
		within := false
		for p := range claimed {
			within = within || strings.HasPrefix(p, directory+"/")
		}
		if directory != "" && !within {
			all = append(all, directory+"/**")
			continue
		}
		all = append(all, byDirectory[directory]...)
	}
	return all
}
