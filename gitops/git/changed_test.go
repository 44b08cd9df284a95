package git

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// directoryWith makes the directory of these files, by path. What is there of an
// earlier one is shared with it.
func directoryWith(t *testing.T, files map[string]string, earlier *Directory) *Directory {
	t.Helper()
	m := make(memory)
	d, err := NewDirectory(m.put(KindTree, treeWith(m, files)), m, NewIndex(earlier), 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// treeWith is a tree object with these files below it.
func treeWith(m memory, files map[string]string) (tree []byte) {
	below := make(map[string]map[string]string) // by directory
	entries := make(map[string][]byte)          // by what git sorts them by
	for path, text := range files {
		name, rest, within := strings.Cut(path, "/")
		if !within {
			entries[name] = treeOf(ModeFile, []string{name}, []Hash{m.put(KindBlob, []byte(text))})
			continue
		}
		if below[name] == nil {
			below[name] = make(map[string]string)
		}
		below[name][rest] = text
	}
	for name, files := range below {
		entries[name+"/"] = treeOf(ModeDirectory, []string{name}, []Hash{m.put(KindTree, treeWith(m, files))})
	}
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		tree = append(tree, entries[key]...)
	}
	return tree
}

// Random directories, with names that sort differently as files and as directories,
// some with many entries: what is found is what a comparison of all files finds.
func TestChangedIsWhatDiffers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "a-b", "a.b", "a0", "ab", "b"}
	for n := range manyEntries {
		names = append(names, fmt.Sprint("many", n))
	}
	pick := func() string { return names[random.IntN(len(names))] }
	files := make(map[string]string)
	was := directoryWith(t, files, nil)
	for range 500 {
		next := maps.Clone(files)
		for range random.IntN(12) {
			path := pick()
			if random.IntN(3) > 0 {
				path += "/" + pick()
			}
			// A path is a file or a directory: what is in its way goes.
			maps.DeleteFunc(next, func(other, _ string) bool {
				return strings.HasPrefix(other+"/", path+"/") || strings.HasPrefix(path+"/", other+"/")
			})
			if random.IntN(4) > 0 {
				next[path] = fmt.Sprint(random.IntN(3))
			}
		}
		now := directoryWith(t, next, was)
		var want []string
		for path := range files {
			if _, ok := next[path]; !ok || next[path] != files[path] {
				want = append(want, path)
			}
		}
		for path := range next {
			if _, ok := files[path]; !ok {
				want = append(want, path)
			}
		}
		got, _ := now.Changed(was)
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("from %v to %v: %s", files, next, diff)
		}
		files, was = next, now
	}
	all, _ := was.Changed(nil)
	slices.Sort(all)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(files)), all); diff != "" {
		t.Errorf("since nothing was there: %s", diff)
	}
}

// BenchmarkChanged compares two tips of 10,000 apps that differ in one file.
func BenchmarkChanged(b *testing.B) {
	was, _ := testDirectory(b, 10_000)
	now := spliceOne(b, NewDraft(), was, 5_000, 1)
	for b.Loop() {
		if paths, _ := now.Changed(was); len(paths) != 1 {
			b.Fatal(paths)
		}
	}
}
