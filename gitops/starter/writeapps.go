package starter

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// writeEnvironments writes each environment with the rule for its tags.
func (f *Findings) writeEnvironments(w *writer) {
	w.comment(0, "The environments that the files name, and the tags that each takes: the rules take all that the files and their history have, and others of their kind. Narrow them where you can.")
	w.line(0, "environments:")
	for _, name := range f.environments {
		tags := f.tagsOf(name)
		rule, ok := ruleFor(tags)
		w.line(1, "%s:", quote(name))
		if !ok {
			if len(tags) > 0 {
				w.comment(2, "These tags have too little in common for a rule: %s", some(tags))
			} else {
				w.comment(2, "No tag is known here.")
			}
			w.line(2, "tags: {match: %s}", fill("a regular expression for the whole tag, such as main-[0-9a-f]{7,40}; or semver in its place"))
			continue
		}
		w.comment(2, "seen: %s", some(tags))
		w.line(2, "tags: %s", rule)
	}
	if len(f.environments) == 0 {
		w.line(1, "dev:")
		w.line(2, "tags: {match: %s}", fill("a regular expression for the whole tag, such as main-[0-9a-f]{7,40}; or semver in its place"))
	}
	w.line(0, "")
}

func (f *Findings) tagsOf(environment string) []string {
	return slices.Sorted(maps.Keys(f.tags[environment]))
}

// String is the rule as YAML.
func (r Rule) String() string {
	var fields []string
	if r.Match != "" {
		fields = append(fields, "match: "+single(r.Match))
	}
	if r.Semver != "" {
		fields = append(fields, `semver: "`+r.Semver+`"`)
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

func single(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// writeDiscover writes the patterns that find the apps.
func (f *Findings) writeDiscover(w *writer) {
	w.comment(0, "Which files have the apps' tags. What the branch has that matches is an app, at once; no app needs a line here. {app} and {env} stand for names, * for any text.")
	w.line(0, "discover:")
	for _, e := range f.entries {
		f.writeEntry(w, e)
	}
	if len(f.entries) == 0 {
		w.line(1, "- file: %s", fill("the pattern of the files that hold the tags, such as charts/{app}/values-{env}.yaml"))
	}
}

func (f *Findings) writeEntry(w *writer, e *entry) {
	apps := make(map[string]bool)
	for _, t := range e.sites {
		apps[t.app] = true
	}
	w.comment(1, "%s: %s", count(len(apps), "app"), some(slices.Sorted(maps.Keys(apps))))
	w.line(1, "- file: %s", quote(e.file))
	if len(e.environments) > 0 {
		w.comment(2, "The images of each environment are in a registry of its own.")
	}
	if only := e.only(); only != nil {
		w.line(2, "environments: %s", flowList(only))
	}
	if len(e.exclude) > 0 {
		w.comment(2, "These match, and hold no tag of an app that an update could change.")
		w.list(2, "exclude", e.exclude)
	}
	switch {
	case e.repository != "":
		w.line(2, "repository: %s", quote(e.repository))
	case e.repositoryKey != "":
		w.comment(2, "The images have no pattern in common: this key of each file says which it is.")
		w.line(2, "repositoryKey: %s", quote(e.repositoryKey))
	default:
		w.comment(2, "No file says which image is whose: pushes reach the apps with a repository under apps, and orders all.")
	}
	if len(e.more) == 0 {
		w.set(2, []string{e.key}, e.value, e.inside)
	} else {
		w.set(2, e.keys(), e.value, e.inside)
	}
}

// list writes a field with a list, on one line where it is short.
func (w *writer) list(indent int, field string, items []string) {
	if line := flowList(items); len(line) < 90 {
		w.line(indent, "%s: %s", field, line)
		return
	}
	w.line(indent, "%s:", field)
	for _, item := range items {
		w.line(indent+1, "- %s", quote(item))
	}
}

// set writes what an update sets: a common list by its name, or keys.
func (w *writer) set(indent int, keys []string, value, inside string) {
	if len(keys) == 1 && isPreset(keys[0]) {
		w.line(indent, "set: %s", keys[0])
		return
	}
	w.line(indent, "set:")
	for _, key := range keys {
		dash := "- "
		for _, field := range [][2]string{{"inside", inside}, {"key", key}, {"value", value}} {
			if field[1] == "" || field[0] == "value" && value == tagValue {
				continue
			}
			w.line(indent+1, "%s%s: %s", dash, field[0], quote(field[1]))
			dash = "  "
		}
	}
}

// writeApps writes what single apps have of their own.
func (f *Findings) writeApps(w *writer) {
	if len(f.apps) == 0 {
		return
	}
	w.line(0, "")
	w.comment(0, "What these apps have of their own: it takes the place of what their entry above says.")
	w.line(0, "apps:")
	for _, app := range slices.Sorted(maps.Keys(f.apps)) {
		r := f.apps[app]
		w.line(1, "%s:", quote(app))
		if r.repository != "" {
			w.line(2, "repository: %s", quote(r.repository))
		}
		if r.key != "" {
			w.set(2, []string{r.key}, r.value, r.inside)
		}
	}
}

// Sample is a file whose history tells which tags an environment had.
type Sample struct {
	Path        string
	Environment string
	sites       []*site
}

// Samples are some files of each environment, in the order in which their histories
// are worth reading.
func (f *Findings) Samples(perEnvironment int) (samples []Sample) {
	chosen := make(map[string][]Sample)
	for _, e := range f.entries {
		for _, t := range e.sites {
			of := chosen[t.environment]
			i := slices.IndexFunc(of, func(s Sample) bool { return s.Path == t.path })
			switch {
			case isForeign(t.repository):
				continue
			case i >= 0:
				of[i].sites = append(of[i].sites, t)
			case len(of) < perEnvironment && t.key != nil:
				of = append(of, Sample{t.path, t.environment, []*site{t}})
			}
			chosen[t.environment] = of
		}
	}
	for i := range perEnvironment {
		for _, environment := range f.environments {
			if of := chosen[environment]; i < len(of) {
				samples = append(samples, of[i])
			}
		}
	}
	return samples
}

// Tags are the tags that the sample's file had, in one of its versions.
func (s Sample) Tags(file []byte) (tags []string, err error) {
	was, err := findSpots(s.Path, file)
	if err != nil {
		return nil, fmt.Errorf("reading an old version of %s: %w", s.Path, err)
	}
	for _, spot := range was.spots {
		same := slices.ContainsFunc(s.sites, func(t *site) bool {
			return renderKey(t.spot.inside) == renderKey(spot.inside) && renderKey(t.key) == renderKey(spot.key)
		})
		if same && spot.tag != "" {
			tags = append(tags, spot.tag)
		}
	}
	return tags, nil
}
