package discover_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// files are a repository's, by path. One that begins with "-> " is a symbolic link, and
// "submodule" is one.
type files map[string]string

// with is a copy in which files are others; an empty content takes one away.
func (f files) with(changes files) files {
	all := maps.Clone(f)
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_, content string) bool { return content == "" })
	return all
}

// tree makes the directory of the files. All contents are here.
func tree(tb testing.TB, all files) *git.Directory {
	tb.Helper()
	objects := make(map[git.Hash]git.Object)
	contents := make(map[git.Hash][]byte)
	root, err := git.NewDirectory(put(objects, contents, all), objects, git.NewIndex(nil), 1<<40)
	if err != nil {
		tb.Fatal(err)
	}
	setContents(root, contents)
	return root
}

func put(objects map[git.Hash]git.Object, contents map[git.Hash][]byte, all files) git.Hash {
	type entry struct{ mode, name, order string }
	below := make(map[string]files)
	entries := make(map[entry]git.Hash)
	for path, content := range all {
		name, rest, within := strings.Cut(path, "/")
		if within {
			if below[name] == nil {
				below[name] = make(files)
			}
			below[name][rest] = content
			continue
		}
		blob := git.Object{Kind: git.KindBlob, Data: []byte(content)}
		contents[blob.Name()] = blob.Data
		mode := git.ModeFile
		if strings.HasPrefix(content, "-> ") {
			mode = git.ModeSymlink
		} else if content == "submodule" {
			mode = git.ModeSubmodule
		}
		entries[entry{mode, name, name}] = blob.Name()
	}
	for name, within := range below {
		entries[entry{git.ModeDirectory, name, name + "/"}] = put(objects, contents, within)
	}
	var data []byte
	for _, e := range slices.SortedFunc(maps.Keys(entries), func(a, b entry) int { return strings.Compare(a.order, b.order) }) {
		hash := entries[e]
		data = append(append(data, e.mode+" "+e.name+"\x00"...), hash[:]...)
	}
	object := git.Object{Kind: git.KindTree, Data: data}
	objects[object.Name()] = object
	return object.Name()
}

func setContents(d *git.Directory, contents map[git.Hash][]byte) {
	for e, below := range d.Entries() {
		switch {
		case below.Directory != nil:
			setContents(below.Directory, contents)
		case below.File != nil:
			below.File.SetContent(contents[e.Hash])
		}
	}
}

// compile makes rules for the environments dev, staging and prod.
func compile(tb testing.TB, entries ...discover.Entry) *discover.Rules {
	tb.Helper()
	rules, err := discover.Compile(config(entries...))
	if err != nil {
		tb.Fatal(err)
	}
	return rules
}

func config(entries ...discover.Entry) discover.Config {
	for i := range entries {
		entries[i].Field = "discover[" + string(rune('0'+i)) + "]"
	}
	helm, _ := values.Preset("helm")
	return discover.Config{Entries: entries, Environments: []string{"dev", "staging", "prod"}, Set: func(string) []values.Target { return helm }}
}

// read reads what is here.
func read(_ string, file *git.File, parse func([]byte) error) error {
	text, _, err := file.Content()
	if err != nil {
		return err
	}
	return parse(text)
}

// list is what was found, each as "app env file".
func list(r *discover.Result) []string {
	var all []string
	for _, f := range r.Found {
		all = append(all, f.App+" "+f.Environment+" "+f.File)
	}
	slices.Sort(all)
	return all
}

func messages(r *discover.Result) []string {
	var all []string
	for _, p := range r.Problems {
		all = append(all, p.Message)
	}
	return all
}

// same wants two lists to be the same.
func same(tb testing.TB, what string, got, want []string) {
	tb.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// bomb is a directory in which each is the same as the ones beside it.
func bomb(tb testing.TB, width, depth int) *git.Directory {
	tb.Helper()
	objects := make(map[git.Hash]git.Object)
	blob := git.Object{Kind: git.KindBlob, Data: []byte("x")}
	hash, mode, name := blob.Name(), git.ModeFile, "dev.yaml"
	for range depth + 1 {
		var data []byte
		n := width
		if mode == git.ModeFile {
			n = 1
		}
		for i := range n {
			if mode != git.ModeFile {
				name = "d" + string(rune('a'+i/100)) + string(rune('a'+i/10%10)) + string(rune('a'+i%10))
			}
			data = append(append(data, mode+" "+name+"\x00"...), hash[:]...)
		}
		object := git.Object{Kind: git.KindTree, Data: data}
		objects[object.Name()] = object
		hash, mode = object.Name(), git.ModeDirectory
	}
	root, err := git.NewDirectory(hash, objects, git.NewIndex(nil), 1<<40)
	if err != nil {
		tb.Fatal(err)
	}
	return root
}
