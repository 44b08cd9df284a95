package git

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestAFileIsFoundOrItIsSaidWhyNot(t *testing.T) {
	m := make(memory)
	content := m.put(KindBlob, []byte("x"))
	below := m.put(KindTree, treeOf(ModeFile, []string{"values.yaml"}, []Hash{content}))
	root := slices.Concat(
		treeOf(ModeDirectory, []string{"charts"}, []Hash{below}),
		treeOf("0100644", []string{"file"}, []Hash{content}), // as some old tools wrote it
		treeOf(ModeSymlink, []string{"link"}, []Hash{content}),
		treeOf(ModeSubmodule, []string{"sub"}, []Hash{content}),
	)
	d, err := NewDirectory(m.put(KindTree, root), m, NewIndex(nil), 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		"file": nil, "charts/values.yaml": nil, "none": ErrNoEntry, "charts": ErrDirectory, "charts/none": ErrNoEntry,
		"file/x": ErrNotDirectory, "link": ErrSymlink, "link/x": ErrSymlink, "sub": ErrSubmodule,
	} {
		if f, err := d.Find(strings.Split(path, "/")); !errors.Is(err, want) || (f == nil) != (want != nil) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
		_, err := d.Replace([]Change{{strings.Split(path, "/"), []byte("y")}}, NewDraft())
		if (err == nil) != (want == nil) {
			t.Errorf("%s is replaced: %v", path, err)
		}
	}
}

// A directory of 40 is found by name, one of 1 is read.
func TestADirectoryThatChangesSharesWhatStayed(t *testing.T) {
	before, m := testDirectory(t, 40)
	after := spliceOne(t, NewDraft(), before, 7, 1)
	for app := range 40 {
		was, err := before.Find(path(app))
		if err != nil {
			t.Fatal(err)
		}
		is, err := after.Find(path(app))
		if err != nil {
			t.Fatal(err)
		}
		if (was == is) != (app != 7) {
			t.Errorf("app %d: the same file: %t", app, was == is)
		}
	}
	if f, _ := before.Find(path(7)); f.Name != (Object{KindBlob, []byte(file(7, "none"))}).Name() {
		t.Error("the directory that it was made from has changed")
	}
	// The same by a fetch, which brings only the trees that are new.
	fetched := make(memory)
	x := NewIndex(after)
	x.Object(Hash{})
	for name := range x.directories {
		if _, old := m[name]; !old {
			fetched[name], _ = x.Object(name)
		}
	}
	if len(fetched) != 3 {
		t.Fatalf("%d trees are new, want 3", len(fetched))
	}
	again, err := NewDirectory(after.Name, fetched, NewIndex(before), 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	for app := range 40 {
		f, err := again.Find(path(app))
		if err != nil {
			t.Fatal(err)
		}
		if _, here, _ := f.Content(); here != (app != 7) {
			t.Errorf("app %d: the content is here: %t", app, here)
		}
	}
	delete(fetched, again.below[0].directory.Name)
	if _, err := NewDirectory(after.Name, fetched, NewIndex(before), 1<<40); !errors.Is(err, ErrMissingObject) {
		t.Errorf("without a tree: %v", err)
	}
}

func TestADirectoryThatMovedIsKnown(t *testing.T) {
	before, m := testDirectory(t, 20)
	charts := before.below[0].directory.Name
	root := m.put(KindTree, treeOf(ModeDirectory, []string{"moved"}, []Hash{charts}))
	after, err := NewDirectory(root, memory{root: m[root]}, NewIndex(before), 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := after.Find(append([]string{"moved"}, path(3)[1:]...)); err != nil || f.Name.IsZero() {
		t.Errorf("got %v", err)
	}
}

// Ten trees of ten that are all the same would be ten billion.
func TestATreeThatIsInManyPlacesIsMadeOnce(t *testing.T) {
	m := make(memory)
	below := m.put(KindTree, treeOf(ModeFile, []string{"x"}, []Hash{m.put(KindBlob, nil)}))
	var names []string
	for n := range 10 {
		names = append(names, fmt.Sprint(n))
	}
	for range 10 {
		below = m.put(KindTree, treeOf(ModeDirectory, names, slices.Repeat([]Hash{below}, 10)))
	}
	d, err := NewDirectory(below, m, NewIndex(nil), 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	x := NewIndex(d)
	if _, found := x.Object(below); !found || len(x.directories) != 11 {
		t.Errorf("%d directories, want 11", len(x.directories))
	}
}

// Of a file that is not kept nothing can be made: a server's delta against it would not
// fit.
func TestAnIndexGivesNoFileThatIsNotKept(t *testing.T) {
	d, _ := testDirectory(t, 2)
	f, err := d.Find(path(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, found := NewIndex(d).Object(f.Name); !found {
		t.Error("a file that is here is not given")
	}
	why := errors.New("too large")
	f.Refuse(why)
	if data, here, err := f.Content(); !here || data != nil || !errors.Is(err, why) {
		t.Errorf("the content is %q, here %t, %v", data, here, err)
	}
	if _, found := NewIndex(d).Object(f.Name); found {
		t.Error("a file that is not kept is given")
	}
}
