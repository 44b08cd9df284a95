package starter

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// images knows which image a key is of where one file has the tag and another the name.
type images struct {
	at    map[string]string // by directory and key
	named map[string]string // by a resource's or a directory's name and key; empty where several are called so
}

func newImages() *images {
	return &images{at: make(map[string]string), named: make(map[string]string)}
}

// parentKey is the key of the map that holds a tag.
func parentKey(s spot) string {
	return renderKey(s.inside) + "\x00" + renderKey(s.key[:len(s.key)-1])
}

func (i *images) add(s spot) {
	if s.repository == "" {
		return
	}
	directory, key := path.Dir(s.path), parentKey(s)
	i.at[directory+"\x00"+key] = s.repository
	for _, name := range []string{s.name, path.Base(directory)} {
		if name == "" || name == "." {
			continue
		}
		by := name + "\x00" + key
		if known, ok := i.named[by]; ok && known != s.repository {
			i.named[by] = ""
		} else {
			i.named[by] = s.repository
		}
	}
}

// of finds the image of a tag: in a file of the same directory, or of those above it, or
// in one that is called alike.
func (i *images) of(s spot) string {
	key := parentKey(s)
	directory := path.Dir(s.path)
	for range 3 {
		if repository := i.at[directory+"\x00"+key]; repository != "" {
			return repository
		}
		directory = path.Dir(directory)
	}
	stem := strings.TrimSuffix(path.Base(s.path), path.Ext(s.path))
	names := []string{s.name, path.Base(path.Dir(s.path)), stem}
	for _, at := range pieces(stem) {
		names = append(names, stem[at.from:at.to])
	}
	for _, name := range names {
		if repository := i.named[name+"\x00"+key]; name != "" && repository != "" {
			return repository
		}
	}
	return ""
}

// goField is a field of an element in the template of an ApplicationSet.
var goField = regexp.MustCompile(`\{\{-?\s*\.?([A-Za-z0-9_]+)\s*-?\}\}`)

// templated is the image that the template of an ApplicationSet gives an element.
func (f *source) templated(s spot) string {
	if s.kind != "ApplicationSet" || len(s.key) < 2 {
		return ""
	}
	fields := s.key[len(s.key)-2].fields
	for _, name := range slices.Sorted(maps.Keys(f.templates)) {
		unknown := false
		repository := goField.ReplaceAllStringFunc(f.templates[name], func(text string) string {
			key := goField.FindStringSubmatch(text)[1]
			i := slices.IndexFunc(fields, func(f field) bool { return f.key == key })
			if i < 0 {
				unknown = true
				return ""
			}
			return fields[i].value
		})
		if !unknown && isRepository(repository) {
			return repository
		}
	}
	return ""
}

// findImages says for each entry how its images are called: by a pattern that holds for
// all, by a key of the file, by a pattern for each environment, or else app by app.
func (f *Findings) findImages() {
	var entries []*entry
	for _, e := range f.entries {
		switch {
		case e.onePattern(), e.oneKey():
		default:
			if each := e.byEnvironment(); each != nil {
				entries = append(entries, each...)
				continue
			}
			f.refineImages(e)
		}
		entries = append(entries, e)
	}
	f.entries = entries
}

// onePattern finds the pattern of all images that are known. One image for all apps is
// that of each only where every file says so.
func (e *entry) onePattern() bool {
	patterns := e.patterns()
	for text, n := range patterns {
		if len(patterns) == 1 && (strings.Contains(text, appName) || n == len(e.sites)) {
			e.repository = text
			return true
		}
	}
	return false
}

// patterns are the patterns of the images, with how many sites have each; an image
// without its app's name in it is its own.
func (e *entry) patterns() map[string]int {
	patterns := make(map[string]int)
	for _, t := range e.sites {
		if t.repository == "" {
			continue
		}
		text, ok := pattern(t.repository, t.app)
		if !ok {
			text = t.repository
		}
		patterns[text]++
	}
	return patterns
}

// oneKey finds the key that holds the image in each of the files.
func (e *entry) oneKey() bool {
	key := ""
	for _, t := range e.sites {
		of := t.repositoryKey
		if of == nil || t.spot.inside != nil || t.value == referenceValue { // which has the tag, too
			return false
		}
		text := renderKey(t.generalize(of))
		if key != "" && text != key {
			return false
		}
		key = text
	}
	e.repositoryKey = key
	return key != ""
}

// byEnvironment makes an entry for each environment, where the images of each have a
// pattern of their own: a registry for each.
func (e *entry) byEnvironment() (each []*entry) {
	sites := make(map[string][]*site)
	for _, t := range e.sites {
		sites[t.environment] = append(sites[t.environment], t)
	}
	if len(sites) < 2 {
		return nil
	}
	for _, environment := range slices.SortedFunc(maps.Keys(sites), compareEnvironments) {
		one := *e
		one.sites, one.environments = sites[environment], []string{environment}
		if !one.onePattern() {
			return nil
		}
		each = append(each, &one)
	}
	return each
}

// refineImages gives the entry the pattern that most of its own images have, and the other
// apps their images.
func (f *Findings) refineImages(e *entry) {
	patterns := e.patterns()
	best, own := "", 0
	for _, t := range e.sites {
		if t.repository != "" && !isForeign(t.repository) {
			own++
		}
	}
	for _, text := range slices.Sorted(maps.Keys(patterns)) {
		if 2*patterns[text] > own && strings.Contains(text, appName) {
			best = text
		}
	}
	e.repository = best
	several := make(map[string]bool)
	for _, t := range e.sites {
		if text, _ := pattern(t.repository, t.app); t.repository == "" || text == best && best != "" {
			continue
		}
		r := f.refine(t.app)
		if r.repository != "" && r.repository != t.repository {
			several[t.app] = true
		}
		r.repository = t.repository
	}
	for _, app := range slices.Sorted(maps.Keys(several)) {
		f.Note("%s has another image in each environment: see apps.<name>.repositories in the documentation", app)
	}
}

func (f *Findings) refine(app string) *refinement {
	if f.apps[app] == nil {
		f.apps[app] = &refinement{}
	}
	return f.apps[app]
}
