package propose

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
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
	var kept []*entry
	for _, e := range f.entries {
		if len(kept) > 0 && e.joins(owners) {
			continue
		}
		e.sites = slices.DeleteFunc(e.sites, func(t *site) bool { return f.taken(e, t, owners) })
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
	for _, t := range e.sites {
		same := slices.ContainsFunc(owner.sites, func(o *site) bool {
			return o.path == t.path && o.tag == t.tag && o.repository == t.repository
		})
		if !same {
			return false
		}
	}
	owner.more = append(owner.more, e.key)
	return true
}

// taken reports whether a site's target is another entry's, or twice in its own, and
// notes it.
func (f *Findings) taken(e *entry, t *site, owners map[target]*entry) bool {
	owner := owners[t.target()]
	twice := slices.ContainsFunc(e.sites, func(o *site) bool { return o != t && o.target() == t.target() && o.path < t.path })
	switch {
	case owner != nil && owner != e && owner.file == e.file && owner.key != e.key:
		f.Note("%s: left out %s of %s: an app has one image, and its tag is at %s", t.path, e.key, t.app, owner.key)
	case owner != nil && owner != e:
		f.Note("%s: left out %s in %s, which %s has, too; where both change at once list one under also", t.path, t.app, t.environment, owner.file)
	case twice:
		f.Note("%s: left out %s in %s, which another file of %s has, too; where both change at once list one under also", t.path, t.app, t.environment, e.file)
	default:
		return false
	}
	return true
}

// becomesTheirs makes an entry for the same files with another key the business of its
// apps, where they are few and not in the other entry.
func (f *Findings) becomesTheirs(e, other *entry) bool {
	const few = 20
	apps := make(map[string]bool)
	for _, t := range e.sites {
		apps[t.app] = true
		if slices.ContainsFunc(other.sites, func(o *site) bool { return o.app == t.app }) {
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
		e.exclude = exclusions(byDirectory, claimed)
		slices.SortFunc(e.sites, func(a, b *site) int { return cmp.Compare(a.path, b.path) })
	}
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
