package starter

import (
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the proposals in testdata/golden")

// tree is the files of a repository by their paths.
type tree map[string]string

// readTree reads a directory of testdata.
func readTree(t *testing.T, directory string) tree {
	t.Helper()
	files := make(tree)
	err := fs.WalkDir(os.DirFS(directory), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(directory, path))
		files[path] = string(text)
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", directory, len(files), err)
	}
	return files
}

func (files tree) paths() []string {
	var paths []string
	for path := range files {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// find looks at a tree as the command does.
func (files tree) find() *Findings {
	contents := make(map[string][]byte)
	wanted, _ := Files(files.paths())
	for _, path := range wanted {
		contents[path] = []byte(files[path])
	}
	return Find(files.paths(), contents, nil)
}

var about = About{URL: "https://github.com/myshop/manifests.git", Branch: "main", Commit: "0123456789abcdef0123456789abcdef01234567"}

// checkGolden compares with a file of testdata, and writes it with -update.
func checkGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (go test ./gitops/starter -update writes it):\n%s", file, diff)
	}
}

func sorted(names map[string]bool) []string { return slices.Sorted(maps.Keys(names)) }
