package starter

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

func isName(name string) bool { return gitops.CheckName("", name) == nil }

// nameApps decides for sites of one shape which text names the app, and returns those
// that have one, and the others: the place that tells most of them apart and agrees best
// with what the images and resources are called.
func nameApps(sites []*site) (named, nameless []*site) {
	best, most := candidate{at: -1}, score{}
	for _, c := range candidates(sites) {
		if s := c.judge(sites); best.at < 0 || s.compare(most) > 0 {
			best, most = c, s
		}
	}
	if best.at < 0 {
		return nil, sites
	}
	for _, t := range sites {
		if p, ok := t.appIn(best); ok {
			t.app, t.appAt = p.name, best.at
			named = append(named, t)
		} else {
			nameless = append(nameless, t)
		}
	}
	return named, nameless
}

// candidates are the places where sites of one shape may name the app, the likeliest of
// equals first.
func candidates(sites []*site) (all []candidate) {
	first := sites[0]
	for i := first.segments - 2; i >= 0; i-- {
		all = append(all, candidate{at: i})
	}
	all = append(all, candidate{at: first.segments - 1, file: true})
	for i := first.segments; i < len(first.texts); i++ {
		all = append(all, candidate{at: i})
	}
	return slices.DeleteFunc(all, func(c candidate) bool {
		return !slices.ContainsFunc(sites, func(t *site) bool { _, ok := t.appIn(c); return ok })
	})
}

// score says how well a candidate names the apps.
type score struct{ points, apps int }

func (s score) compare(other score) int {
	return cmp.Or(cmp.Compare(s.points, other.points), cmp.Compare(s.apps, other.apps))
}

// judge scores a candidate: an app that is called like its image or resource counts for
// it, and two sites that would be the same app in the same environment count against it.
func (c candidate) judge(sites []*site) score {
	var s score
	apps, targets := make(map[string]bool), make(map[[2]string]bool)
	for _, t := range sites {
		p, ok := t.appIn(c)
		if !ok {
			s.points -= 3
			continue
		}
		target := [2]string{p.name, t.environment}
		if targets[target] {
			s.points -= 5
		}
		apps[p.name], targets[target] = true, true
		s.points += t.agreement(p.name)
		if c.at < t.segments-1 && slices.Contains(directories, strings.ToLower(p.name)) {
			s.points -= 2
		}
	}
	s.apps = len(apps)
	return s
}

// agreement says how well a name goes with what the image and the resource are called.
func (t *site) agreement(app string) int {
	app = strings.ToLower(app)
	image, resource := strings.ToLower(lastName(t.repository)), strings.ToLower(t.name)
	switch {
	case app == image:
		return 3
	case image != "" && (strings.HasSuffix(image, "-"+app) || strings.HasPrefix(image, app+"-") || strings.HasSuffix(app, "-"+image) || strings.HasPrefix(app, image+"-")):
		return 2
	case app == resource:
		return 2
	case strings.Contains("/"+t.repository+"/", "/"+app+"/"):
		return 1
	}
	return 0
}

// entry is a layout: the pattern of the files and the key in them, with the sites that
// have it.
type entry struct {
	file   string
	inside string
	key    string
	value  string
	sites  []*site

	repository    string
	repositoryKey string
	environments  []string // that it is for, where these are not all
	exclude       []string
	more          []string // further keys of the same tag
	fixed         string   // the environment, where nothing names one
}

// layouts groups sites whose app is known into entries.
func layouts(sites []*site) (entries []*entry) {
	byPattern := make(map[string][]*site)
	for _, t := range sites {
		inside, key := t.keys()
		pattern := strings.Join([]string{t.directoryShape(), t.filePattern(), inside, key, t.value}, "\x00")
		byPattern[pattern] = append(byPattern[pattern], t)
	}
	for _, shape := range slices.Sorted(maps.Keys(byPattern)) {
		entries = append(entries, split(byPattern[shape], 0)...)
	}
	return entries
}

// split makes an entry of sites that differ in nothing but the names of directories:
// where one of them differs, it is any, unless that would make two files of one target
// or it is the first, which keeps apart what a repository keeps apart.
func split(sites []*site, from int) []*entry {
	const fewRoots = 4
	first := sites[0]
	for i := from; i < first.segments-1; i++ {
		byName := make(map[string][]*site)
		for _, t := range sites {
			byName[t.segment(i)] = append(byName[t.segment(i)], t)
		}
		if len(byName) == 1 || (i > 0 || len(byName) > fewRoots) && !collide(sites) {
			continue
		}
		var entries []*entry
		for _, name := range slices.Sorted(maps.Keys(byName)) {
			entries = append(entries, split(byName[name], i+1)...)
		}
		return entries
	}
	inside, key := first.keys()
	e := &entry{inside: inside, key: key, value: first.value, sites: sites}
	var segments []string
	for i := range first.segments - 1 {
		name := first.segment(i)
		if slices.ContainsFunc(sites, func(t *site) bool { return t.segment(i) != name }) {
			name = "*"
		}
		segments = append(segments, name)
	}
	e.file = strings.Join(append(segments, first.filePattern()), "/")
	return []*entry{e}
}

func collide(sites []*site) bool {
	seen := make(map[[2]string]bool)
	for _, t := range sites {
		target := [2]string{t.app, t.environment}
		if seen[target] {
			return true
		}
		seen[target] = true
	}
	return false
}

// directoryShape says which of the directories name the app and the environment.
func (t *site) directoryShape() string {
	names := make([]string, t.segments)
	for i := range t.segments - 1 {
		if name := t.segment(i); strings.Contains(name, "{") {
			names[i] = name
		}
	}
	return strings.Join(names, "/")
}

// segment is a directory of the path, as it is in a pattern.
func (t *site) segment(i int) string {
	switch text := t.texts[i]; {
	case i == t.envAt:
		return t.env.before + envName + t.env.after
	case i == t.appAt || text == t.app && t.appAt >= 0:
		return appName
	case t.envAt >= 0 && text == t.environment:
		return envName
	default:
		return text
	}
}

// filePattern is the file's name, as it is in a pattern.
func (t *site) filePattern() string {
	stem := t.texts[t.segments-1]
	if t.envAt == t.segments-1 {
		return withApp(t.env.before, t.app) + envName + withApp(t.env.after, t.app) + t.ending
	}
	return withApp(stem, t.app) + t.ending
}

// withApp puts {app} into the place of an app's name that stands in a text by itself, or
// between separators.
func withApp(text, app string) string {
	all := pieces(text)
	for _, from := range all {
		rest, ok := strings.CutPrefix(text[from.from:], app)
		if ok && app != "" && slices.ContainsFunc(all, func(to span) bool { return to.to == len(text)-len(rest) }) {
			return text[:from.from] + appName + rest
		}
	}
	return text
}
