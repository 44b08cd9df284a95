package starter

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// noteUnread says which files could not be read, and why.
func (f *Findings) noteUnread(unread map[string]error) {
	const shown = 5
	for i, p := range slices.Sorted(maps.Keys(unread)) {
		if i == shown {
			f.Note("%d more files cannot be read", len(unread)-shown)
			return
		}
		f.Note("%s cannot be read, and is left out: %s", p, gitops.Clip(gitops.PublicOf(unread[p]), 200))
	}
}

// notePlain says which tags stand in files that name no environment, of apps that have
// none in others.
func (f *Findings) notePlain(plain []*site) {
	covered := make(map[string]bool)
	for _, e := range f.entries {
		for _, t := range e.sites {
			covered[path.Dir(t.path)] = true
			covered[t.repository] = t.repository != "" || covered[t.repository]
		}
	}
	var beside, alone []string
	for _, t := range plain {
		switch {
		case t.tag == "" || inNoEnvironment(t):
		case covered[path.Dir(t.path)] || covered[t.repository]:
			beside = append(beside, t.path)
		default:
			alone = append(alone, t.path)
		}
	}
	if len(beside) > 0 {
		f.Note("tags in files that name no environment are what charts fall back to, or an environment's: %s; where they are one's, add an entry with that file and environments: [NAME]", some(slices.Compact(beside)))
	}
	if len(alone) > 0 {
		f.Note("no environment is named by %s: add an entry with that file and environments: [NAME] where an update is to change it", some(slices.Compact(alone)))
	}
}

// noteRare says which files are left out because most name no environment.
func (f *Findings) noteRare(named []*site) {
	var files []string
	for _, t := range named {
		files = append(files, t.path)
	}
	if slices.Sort(files); len(files) > 0 {
		f.Note("few files have the name of an environment, and are left out: %s", some(slices.Compact(files)))
	}
}

// foreign are files of tools whose output, not whose source, has a place for a tag.
var foreign = []struct {
	is   func(name string) bool
	what string
}{
	{func(n string) bool { return strings.HasSuffix(n, ".jsonnet") || strings.HasSuffix(n, ".libsonnet") }, "Jsonnet"},
	{func(n string) bool { return n == "cdk8s.yaml" }, "cdk8s"},
	{func(n string) bool { return strings.HasSuffix(n, ".cue") }, "CUE"},
	{func(n string) bool { return n == "kcl.mod" }, "KCL"},
	{func(n string) bool { return strings.HasSuffix(n, ".tf") }, "Terraform"},
	{func(n string) bool { return strings.HasSuffix(n, ".gotmpl") }, "Go templates"},
}

// noteForeign says which tools' files are not understood.
func (f *Findings) noteForeign() {
	for _, tool := range foreign {
		var files []string
		for _, p := range f.paths {
			if tool.is(path.Base(p)) && !strings.Contains(p, "/vendor/") && !strings.Contains(p, "/node_modules/") {
				files = append(files, p)
			}
		}
		if len(files) > 0 {
			f.Note("%s is not understood (%s): put the tag into a YAML or JSON file that it reads, and add an entry for that", tool.what, some(files))
		}
	}
	if f.left > 0 {
		f.Note("%d files were not read, since there are more than %d: what matches a pattern counts as found", f.left, MaxFiles)
	}
}

// noteAutomation says where Flux's image automation writes the same tags.
func (f *Findings) noteAutomation(contents map[string][]byte) {
	var files []string
	for _, t := range f.Targets() {
		if bytes.Contains(contents[t.File], []byte(`{"$imagepolicy":`)) {
			files = append(files, t.File)
		}
	}
	if slices.Sort(files); len(files) > 0 {
		f.Note("Flux's image automation writes tags here, too (%s): take its markers out, or each of the two undoes what the other wrote", some(slices.Compact(files)))
	}
}

// Summary says what was found and what was not understood, in lines for a person.
func (f *Findings) Summary() string {
	var b strings.Builder
	apps := make(map[string]bool)
	targets := 0
	for _, e := range f.entries {
		own := make(map[string]bool)
		for _, t := range e.sites {
			apps[t.app], own[t.app] = true, true
		}
		targets += len(e.sites)
		fmt.Fprintf(&b, "found: %s, %s: %s (%s)\n", e.file, e.describe(), count(len(own), "app"), some(slices.Sorted(maps.Keys(own))))
	}
	if len(f.entries) == 0 {
		b.WriteString("found: no file with the tag of an image in the place of an environment\n")
	} else {
		fmt.Fprintf(&b, "found: %s in %s (%s): %s to write\n", count(len(apps), "app"), count(len(f.environments), "environment"), strings.Join(f.environments, ", "), count(targets, "place"))
	}
	for _, note := range f.notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	return b.String()
}

// count is a number of things, in words.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// describe says what an update sets in the entry's files.
func (e *entry) describe() string {
	if isPreset(e.key) {
		return "set " + e.key
	}
	return "key " + e.key
}

// Targets are the apps that the proposal finds, with the file of each in each
// environment.
func (f *Findings) Targets() (all []Target) {
	for _, e := range f.entries {
		for _, t := range e.sites {
			all = append(all, Target{t.app, t.environment, t.path})
		}
	}
	slices.SortFunc(all, compareTargets)
	return all
}

func compareTargets(a, b Target) int {
	return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Environment, b.Environment))
}

// Target is one app in one environment, and the file that an update of it changes.
type Target struct{ App, Environment, File string }
