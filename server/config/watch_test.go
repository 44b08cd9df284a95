package config_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/server/config"
)

// Each change is reported once, when the file rests, whichever way it is written.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tallyman.yaml")
	steps := 0
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		steps++ // file systems count time in steps: each write has a time of its own
		at := time.Unix(int64(1_000_000+steps), 0)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write(path, "a: 1")
	reports := 0
	watcher := config.NewWatcher(path)
	look := func() {
		if watcher.Look() {
			reports++
		}
	}
	write(path, "a: 1.5")
	want := func(what string, n int) {
		t.Helper()
		for range 3 {
			look()
		}
		if reports != n {
			t.Errorf("%s: %d reports, want %d", what, reports, n)
		}
		reports = 0
	}
	want("between it was read and watched", 1)
	want("as it was", 0)
	write(path, "a: 2")
	want("written in place", 1)
	want("after that", 0)
	write(filepath.Join(dir, "new"), "a: 3")
	must(os.Rename(filepath.Join(dir, "new"), path))
	want("renamed", 1)
	must(os.Remove(path))
	want("removed", 0)
	if watcher.Settled() {
		t.Error("a file that is not there has settled")
	}
	write(path, "a: 4")
	want("there again", 1)

	// As Kubernetes swaps what it mounts.
	for _, version := range []string{"v1", "v2"} {
		must(os.Mkdir(filepath.Join(dir, version), 0o700))
		write(filepath.Join(dir, version, "tallyman.yaml"), "a: "+version)
	}
	must(os.Remove(path))
	must(os.Symlink("v1", filepath.Join(dir, "..data")))
	must(os.Symlink("..data/tallyman.yaml", path))
	want("mounted", 1)
	must(os.Symlink("v2", filepath.Join(dir, "..next")))
	must(os.Rename(filepath.Join(dir, "..next"), filepath.Join(dir, "..data")))
	want("swapped", 1)

	// While it is being written it is not reported.
	for i := range 5 {
		write(path, "a: "+string(rune('5'+i)))
		look()
		if reports != 0 || watcher.Settled() {
			t.Errorf("%d reports while it was written, and it has settled: %t", reports, watcher.Settled())
		}
	}
	want("written in pieces", 1)
	if !watcher.Settled() {
		t.Error("it never settles")
	}

	// A directory in its place is a change, too: to read it says what is wrong.
	must(os.Remove(path))
	must(os.Mkdir(path, 0o700))
	want("replaced by a directory", 1)
}
