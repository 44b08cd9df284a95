package git

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// Trees are sorted as git sorts them, whatever is added in whatever order.
func TestTreesAreThoseThatGitMakes(t *testing.T) {
	server, err := gitserver.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	repo, err := server.CreateRepository("trees.git")
	if err != nil {
		t.Fatal(err)
	}
	file, err := repo.Git("hash-object", "-w", "--stdin", "-t", "blob")
	if err != nil {
		t.Fatal(err)
	}
	blob, _ := ParseHash(file)
	directory, err := repo.Git("mktree")
	if err != nil {
		t.Fatal(err)
	}
	tree, _ := ParseHash(directory)
	// Names that sort differently as files and as directories.
	names := []string{"a", "a.b", "a-b", "a0", "ab", "a/b", "b", "lib", "lib.c", "lib-x", "lib0", "ä", "Z", "_"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var data []byte
		var lines strings.Builder
		for _, n := range random.Perm(len(names)) {
			name, mode, kind, to := strings.ReplaceAll(names[n], "/", "+"), ModeFile, "blob", blob
			if random.IntN(2) == 0 {
				mode, kind, to = ModeDirectory, "tree", tree
			}
			if data, err = SetEntry(data, name, mode, to); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&lines, "%06s %s %s\t%s\n", mode, kind, to, name)
		}
		command := exec.Command("git", "mktree")
		command.Dir = repo.Dir
		command.Stdin = strings.NewReader(lines.String())
		out, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := (Object{KindTree, data}).Name().String(), strings.TrimSpace(string(out)); got != want {
			t.Fatalf("the tree is %s, git makes %s of\n%s", got, want, lines.String())
		}
	}
}

func TestReplaceMakesTheDirectoriesOnTheWay(t *testing.T) {
	d := NewDraft(memory{})
	content := d.Put(Object{KindBlob, []byte("x")}, Hash{})
	var root Hash
	var err error
	for _, path := range []string{"charts/shop/values.yaml", "charts/shop.yaml", "charts/shop-a/values.yaml", "a"} {
		if root, err = d.Replace(root, []Placed{{strings.Split(path, "/"), ModeFile, content}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"charts/shop/values.yaml", "charts/shop.yaml", "charts/shop-a/values.yaml", "a"} {
		if _, o, err := LookUp(d, root, strings.Split(path, "/")); err != nil || string(o.Data) != "x" {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := d.Replace(root, []Placed{{[]string{"a", "b"}, ModeFile, content}}); err == nil {
		t.Error("a file became a directory")
	}
	if _, err := d.Replace(root, []Placed{{[]string{"charts"}, ModeFile, content}}); err == nil {
		t.Error("a directory became a file")
	}
}

func TestMalformedTreesAreRefused(t *testing.T) {
	for _, tree := range []string{"x", "100644", "100644 ", "100644 a", "100644 a\x00short", "100644 \x00" + strings.Repeat("x", 20)} {
		if _, err := SetEntry([]byte(tree), "b", ModeFile, Hash{}); err == nil {
			t.Errorf("%q was taken", tree)
		}
		if _, _, err := FindEntry([]byte(tree), "b"); err == nil {
			t.Errorf("%q was read", tree)
		}
	}
}
