package manifest

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
	blob, _ := parseHash(file)
	directory, err := repo.Git("mktree")
	if err != nil {
		t.Fatal(err)
	}
	tree, _ := parseHash(directory)
	// Names that sort differently as files and as directories.
	names := []string{"a", "a.b", "a-b", "a0", "ab", "a/b", "b", "lib", "lib.c", "lib-x", "lib0", "ä", "Z", "_"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var data []byte
		var lines strings.Builder
		for _, n := range random.Perm(len(names)) {
			name, mode, kind, to := strings.ReplaceAll(names[n], "/", "+"), modeFile, "blob", blob
			if random.IntN(2) == 0 {
				mode, kind, to = modeDirectory, "tree", tree
			}
			if data, err = setEntry(data, name, mode, to); err != nil {
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
		if got, want := (object{kindTree, data}).name().String(), strings.TrimSpace(string(out)); got != want {
			t.Fatalf("the tree is %s, git makes %s of\n%s", got, want, lines.String())
		}
	}
}

func TestReplaceMakesTheDirectoriesOnTheWay(t *testing.T) {
	d := newDraft(&snapshot{})
	content := d.put(object{kindBlob, []byte("x")}, hash{})
	var root hash
	var err error
	for _, path := range []string{"charts/shop/values.yaml", "charts/shop.yaml", "charts/shop-a/values.yaml", "a"} {
		if root, err = d.replace(root, []placed{{strings.Split(path, "/"), modeFile, content}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"charts/shop/values.yaml", "charts/shop.yaml", "charts/shop-a/values.yaml", "a"} {
		if _, o, err := lookUp(d, root, strings.Split(path, "/")); err != nil || string(o.data) != "x" {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := d.replace(root, []placed{{[]string{"a", "b"}, modeFile, content}}); err == nil {
		t.Error("a file became a directory")
	}
	if _, err := d.replace(root, []placed{{[]string{"charts"}, modeFile, content}}); err == nil {
		t.Error("a directory became a file")
	}
}

func TestMalformedTreesAreRefused(t *testing.T) {
	for _, tree := range []string{"x", "100644", "100644 ", "100644 a", "100644 a\x00short", "100644 \x00" + strings.Repeat("x", 20)} {
		if _, err := setEntry([]byte(tree), "b", modeFile, hash{}); err == nil {
			t.Errorf("%q was taken", tree)
		}
		if _, _, err := findEntry([]byte(tree), "b"); err == nil {
			t.Errorf("%q was read", tree)
		}
	}
}
