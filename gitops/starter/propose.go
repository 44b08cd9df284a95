// Package starter looks at a manifest repository and proposes a configuration: which
// files hold tags, for which apps and environments, of which images, and which tags each
// environment takes. It is pure: whoever calls it reads the repository.
//
// [Files] says of a tree's paths which files to read; [Find] looks at them;
// [Findings.Samples] says whose history tells more of tags; and
// [Findings.Configuration] writes the proposal, in which the names of apps stand in no
// line: patterns find them, as they will find the next one.
//
// It works by what files say, not by a list of layouts: each place that holds a tag is a
// path and a key, and of places that have the same shape it finds out which part of
// path or key names the environment, and which the app.
package starter

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Findings is what a repository was found to have.
type Findings struct {
	paths        []string
	read         map[string]bool // files whose contents were looked at
	left         int             // files of the kind that were not read
	entries      []*entry
	environments []string
	apps         map[string]*refinement
	tags         map[string]map[string]bool // that were seen, by environment
	notes        []string
	images       *images
}

// refinement is what one app has that its entry does not say.
type refinement struct {
	key, value string
	inside     string
	repository string
}

// Find looks at the contents of files: those that [Files] named, or some of them. A file
// that cannot be read is in failed, with the reason.
func Find(paths []string, contents map[string][]byte, failed map[string]error) *Findings {
	paths = slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return !isPlain(p) })
	f := &Findings{paths: paths, read: make(map[string]bool), apps: make(map[string]*refinement), tags: make(map[string]map[string]bool)}
	_, f.left = Files(paths)
	sites, others := f.look(contents, failed)
	var named, plain []*site
	for _, t := range sites {
		if t.environment != "" {
			named = append(named, t)
		} else {
			plain = append(plain, t)
		}
	}
	if rare(named, plain) {
		f.entries = f.onlyEnvironment(plain)
		f.noteRare(named)
	} else {
		f.entries = f.entriesOf(named)
		f.notePlain(plain)
	}
	f.resolve()
	f.addOthers(slices.Concat(named, others))
	f.nameEnvironments()
	f.excludeOthers()
	f.findImages()
	for _, e := range f.entries {
		for _, t := range e.sites {
			if !isForeign(t.repository) {
				f.See(t.environment, t.tag)
			}
		}
	}
	f.noteForeign()
	f.noteAutomation(contents)
	return f
}

// look finds the sites of all files; others are those of images that teams use and do not
// build.
func (f *Findings) look(contents map[string][]byte, failed map[string]error) (sites, others []*site) {
	f.images = newImages()
	unread := maps.Clone(failed)
	if unread == nil {
		unread = make(map[string]error)
	}
	var spots []spot
	foreign := make(map[string]bool)
	for _, path := range slices.Sorted(maps.Keys(contents)) {
		f.read[path] = true
		file, err := findSpots(path, contents[path])
		if err != nil {
			unread[path] = err
			continue
		}
		for _, s := range file.spots {
			s.repository = cmp.Or(s.repository, file.templated(s))
			f.images.add(s)
			if s.tag != "" || s.digest {
				spots = append(spots, s)
			}
		}
	}
	for path := range failed {
		f.read[path] = true
	}
	for _, s := range spots {
		if s.repository == "" {
			s.repository = f.images.of(s)
		}
		if isForeign(s.repository) {
			foreign[s.repository] = true
			others = append(others, newSite(s))
		} else {
			sites = append(sites, newSite(s))
		}
	}
	f.noteUnread(unread)
	if len(foreign) > 0 {
		f.Note("images of others are left alone: %s", some(slices.Sorted(maps.Keys(foreign))))
	}
	return sites, others
}

// addOthers adds to entries whose key names the apps what else has such a key in such a
// file: the discovery finds it, too.
func (f *Findings) addOthers(all []*site) {
	has := make(map[*site]bool)
	for _, e := range f.entries {
		for _, t := range e.sites {
			has[t] = true
		}
	}
	for _, e := range f.entries {
		if !e.namesApps() {
			continue
		}
		var names []string
		first := e.sites[0]
		for _, t := range all {
			if has[t] || t.shape() != first.shape() || !isName(t.texts[first.appAt]) {
				continue
			}
			t.app, t.appAt = t.texts[first.appAt], first.appAt
			if o := split([]*site{t}, 0)[0]; o.file == e.file && o.key == e.key && o.inside == e.inside {
				e.sites = append(e.sites, t)
				names, has[t] = append(names, t.app), true
			}
		}
		if slices.Sort(names); len(names) > 0 {
			f.Note("the key of %s finds these, too, which may be no apps of yours: %s", e.file, some(slices.Compact(names)))
		}
	}
}

// entriesOf finds the layouts of sites.
func (f *Findings) entriesOf(sites []*site) (entries []*entry) {
	shapes := make(map[string][]*site)
	for _, t := range sites {
		shapes[t.shape()] = append(shapes[t.shape()], t)
	}
	var files []string
	for _, shape := range slices.Sorted(maps.Keys(shapes)) {
		var named []*site
		for _, group := range byRoot(shapes[shape]) {
			has, hasNot := nameApps(group)
			named = append(named, has...)
			for _, t := range hasNot {
				files = append(files, t.path)
			}
		}
		entries = append(entries, layouts(named)...)
	}
	if slices.Sort(files); len(files) > 0 {
		f.Note("left out, since neither path nor key has what can be an app's name: %s", some(slices.Compact(files)))
	}
	return entries
}

// byRoot keeps sites apart that differ in the directory at the root, where there are few
// of those: charts and services may be laid out in different ways.
func byRoot(sites []*site) (groups [][]*site) {
	const fewRoots = 4
	roots := make(map[string][]*site)
	for _, t := range sites {
		root := ""
		if t.segments > 2 && t.envAt != 0 {
			root = t.texts[0]
		}
		roots[root] = append(roots[root], t)
	}
	if len(roots) > fewRoots {
		return [][]*site{sites}
	}
	for _, root := range slices.Sorted(maps.Keys(roots)) {
		groups = append(groups, roots[root])
	}
	return groups
}

// oneEnvironment is what the environment is called where nothing names one.
const oneEnvironment = "prod"

// rare reports whether so few places name an environment that the repository is of one,
// and those names mean something else.
func rare(named, plain []*site) bool {
	const times = 4
	own := 0
	for _, t := range plain {
		if !inNoEnvironment(t) {
			own++
		}
	}
	return times*len(named) <= own
}

// onlyEnvironment takes places that name no environment as those of the only one.
func (f *Findings) onlyEnvironment(plain []*site) []*entry {
	for _, t := range plain {
		t.environment = oneEnvironment
	}
	entries := f.entriesOf(slices.DeleteFunc(plain, func(t *site) bool { return inNoEnvironment(t) }))
	for _, e := range entries {
		e.fixed = oneEnvironment
	}
	if len(entries) > 0 {
		f.Note("no path names an environment: there is one, called %s here; give it the name that it has, in all places", oneEnvironment)
	}
	return entries
}

// inNoEnvironment reports whether a file is in a directory of examples or what others
// are made from.
func inNoEnvironment(t *site) bool {
	return slices.ContainsFunc(t.texts[:t.segments-1], func(name string) bool {
		return strings.HasPrefix(name, "_") || slices.Contains([]string{"template", "templates", "example", "examples", "sample", "samples", "skeleton"}, strings.ToLower(name))
	})
}

// See notes tags that an environment has, or had: what its rule must take.
func (f *Findings) See(environment string, tags ...string) {
	if f.tags[environment] == nil {
		f.tags[environment] = make(map[string]bool)
	}
	for _, tag := range tags {
		if tag != "" && tag != "latest" && isTag(tag) {
			f.tags[environment][tag] = true
		}
	}
}

// Note adds a line for a person to the summary.
func (f *Findings) Note(format string, args ...any) {
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
}

// some is a list of names, cut where it gets long.
func some(names []string) string {
	const shown = 5
	if len(names) > shown {
		return strings.Join(names[:shown], ", ") + fmt.Sprintf(" and %d more", len(names)-shown)
	}
	return strings.Join(names, ", ")
}

func (f *Findings) nameEnvironments() {
	seen := make(map[string]bool)
	for _, e := range f.entries {
		for _, t := range e.sites {
			seen[t.environment] = true
		}
	}
	f.environments = slices.SortedFunc(maps.Keys(seen), compareEnvironments)
}
