package git

import (
	"fmt"
	"slices"
	"testing"
)

// A directory's entries come in the tree's order, each with what it stands for, and are
// found by name, in a small directory and in a large one.
func TestEntries(t *testing.T) {
	m := make(memory)
	content := m.put(KindBlob, []byte("x"))
	below := m.put(KindTree, treeOf(ModeFile, []string{"values.yaml"}, []Hash{content}))
	for _, more := range []int{0, 30} {
		var names []string
		var hashes []Hash
		for i := range more {
			names, hashes = append(names, fmt.Sprintf("z%02d", i)), append(hashes, content)
		}
		root, err := NewDirectory(m.put(KindTree, slices.Concat(
			treeOf(ModeDirectory, []string{"charts"}, []Hash{below}),
			treeOf(ModeExecutable, []string{"charts.sh"}, []Hash{content}),
			treeOf(ModeSymlink, []string{"link"}, []Hash{content}),
			treeOf(ModeSubmodule, []string{"sub"}, []Hash{content}),
			treeOf(ModeFile, names, hashes))), m, NewIndex(nil), 1<<40)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for e, b := range root.Entries() {
			got = append(got, fmt.Sprint(e.Mode, " ", string(e.Name), " ", b.Directory != nil, " ", b.File != nil))
			if b.Directory != nil && b.Directory.Name != e.Hash || b.File != nil && b.File.Name != e.Hash {
				t.Errorf("%s stands for something else", e.Name)
			}
			found, at, ok := root.Lookup(string(e.Name))
			if !ok || string(found.Name) != string(e.Name) || found.Hash != e.Hash || at != b {
				t.Errorf("%s is not found as it is listed", e.Name)
			}
		}
		want := []string{"40000 charts true false", "100755 charts.sh false true", "120000 link false false", "160000 sub false false"}
		for _, name := range names {
			want = append(want, "100644 "+name+" false true")
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if _, _, found := root.Lookup("none"); found {
			t.Error("an entry that is not there is found")
		}
		for range root.Entries() {
			break // and no entry after it is yielded
		}
	}
}
