package starter

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/config"
)

// directory makes the directory of the files, with their contents.
func (files tree) directory(t *testing.T) *git.Directory {
	t.Helper()
	objects := make(map[git.Hash]git.Object)
	root, err := git.NewDirectory(files.put(objects), objects, git.NewIndex(nil), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range files {
		file, err := root.Find(strings.Split(path, "/"))
		if err != nil {
			t.Fatal(path, err)
		}
		file.SetContent([]byte(text))
	}
	return root
}

// put makes the objects of the files, and returns the name of their tree.
func (files tree) put(objects map[git.Hash]git.Object) git.Hash {
	below := make(map[string]tree)
	type entry struct {
		mode, name string
		hash       git.Hash
	}
	var entries []entry
	add := func(o git.Object, mode, name string) {
		objects[o.Name()] = o
		entries = append(entries, entry{mode, name, o.Name()})
	}
	for path, text := range files {
		name, rest, within := strings.Cut(path, "/")
		if !within {
			add(git.Object{Kind: git.KindBlob, Data: []byte(text)}, git.ModeFile, name)
			continue
		}
		if below[name] == nil {
			below[name] = make(tree)
		}
		below[name][rest] = text
	}
	for name, files := range below {
		entries = append(entries, entry{git.ModeDirectory, name, files.put(objects)})
	}
	order := func(e entry) string {
		if e.mode == git.ModeDirectory {
			return e.name + "/"
		}
		return e.name
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(order(a), order(b)) })
	var data []byte
	for _, e := range entries {
		data = append(append(data, e.mode+" "+e.name+"\x00"...), e.hash[:]...)
	}
	o := git.Object{Kind: git.KindTree, Data: data}
	objects[o.Name()] = o
	return o.Name()
}

var missingValue = regexp.MustCompile(`'<fill in: [^\n]*>'`)

// filledIn is a proposal with values for what only a person knows.
func filledIn(text []byte) []byte {
	text = regexp.MustCompile(`(repositoryID: )'<fill in: [^\n]*>'`).ReplaceAll(text, []byte("${1}17273051"))
	text = regexp.MustCompile(`(repository: )'<fill in: [^\n]*>'`).ReplaceAll(text, []byte("${1}myshop/api"))
	text = regexp.MustCompile(`(apps: )'<fill in: [^\n]*>'`).ReplaceAll(text, []byte("${1}[api]"))
	return missingValue.ReplaceAll(text, []byte("main"))
}

// checkFound checks that a proposal is a configuration, that what it says is what the
// findings say, and that the discovery finds by it what the proposal claims, no more and
// no less, without a problem.
func checkFound(t *testing.T, files tree, f *Findings) {
	t.Helper()
	text := f.Configuration(about)
	if left := missingValue.Find(text); left != nil {
		if _, err := config.Parse(text); err == nil || !strings.Contains(err.Error(), "is not filled in yet") {
			t.Errorf("%s is left, and the error is %v", left, err)
		}
	}
	c, err := config.Parse(filledIn(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(f.entries) == 0 {
		return
	}
	var entries []discover.Entry
	for i, d := range c.Discover {
		set := d.Set.Targets()
		for i := range set {
			set[i].Value = cmp.Or(set[i].Value, tagValue)
		}
		entries = append(entries, discover.Entry{Field: config.DiscoverField(i), File: d.File, Exclude: d.Exclude, Environments: d.Environments, Repository: d.Repository, RepositoryKey: d.RepositoryKey, Set: set})
	}
	if diff := gocmp.Diff(f.Entries(), entries); diff != "" {
		t.Errorf("written otherwise than found:\n%s", diff)
	}
	if diff := gocmp.Diff(f.Targets(), discovered(t, files, f.Environments(), entries)); diff != "" {
		t.Errorf("the discovery finds others:\n%s\n%s", diff, text)
	}
}

func discovered(t *testing.T, files tree, environments []string, entries []discover.Entry) (found []Target) {
	t.Helper()
	rules, err := discover.Compile(discover.Config{Entries: entries, Environments: environments, Set: func(string) []values.Target { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	result := rules.Look(files.directory(t), func(_ string, file *git.File, parse func([]byte) error) error {
		text, _, err := file.Content()
		if err != nil {
			return err
		}
		return parse(text)
	})
	for _, p := range result.Problems {
		// No exclusion can name such a path; whoever reads the summary is told.
		if slices.ContainsFunc(p.Files, func(path string) bool { return !isPlain(path) }) {
			continue
		}
		t.Errorf("a problem of %s in %s (%v): %s", p.App, p.Environment, p.Files, p.Message)
	}
	if len(result.Unknown) > 0 {
		t.Errorf("environments that nobody configured, of which check warns: %v", result.Unknown)
	}
	for _, r := range result.Found {
		found = append(found, Target{r.App, r.Environment, r.File})
	}
	slices.SortFunc(found, compareTargets)
	return found
}

func TestTheDiscoveryFindsWhatIsProposed(t *testing.T) {
	t.Parallel()
	for _, name := range layoutNames {
		t.Run(name, func(t *testing.T) {
			files := readTree(t, "testdata/layouts/"+name)
			checkFound(t, files, files.find())
		})
	}
	for _, v := range slices.Concat(variants, mixtures) {
		t.Run(v.name, func(t *testing.T) { checkFound(t, v.files, v.files.find()) })
	}
}
