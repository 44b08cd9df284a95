package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestEdit(t *testing.T) {
	const before = "# api\nimage:\n    tag: v1   # here\n    digest: \"\"\n\nsidecar: registry.example.com:5000/side/car:v1\nreplicas: 3\nenabled: true\n"
	digest := "sha256:" + strings.Repeat("ab", 32)
	for _, c := range []struct {
		name string
		args []string
		exit int
		want string // the file afterwards
		says string // on either output
	}{
		{"a tag", []string{"--set", ".image.tag=v2"}, 0, strings.Replace(before, "tag: v1", "tag: v2", 1), ""},
		{"two at once", []string{"--set", ".image.tag=v2", "--set", ".image.digest=" + digest}, 0,
			strings.NewReplacer("tag: v1", "tag: v2", `digest: ""`, `digest: "`+digest+`"`).Replace(before), ""},
		{"a reference", []string{"--set", ".sidecar=registry.example.com:5000/side/car:v2"}, 0, strings.Replace(before, "car:v1", "car:v2", 1), ""},
		{"a new key", []string{"--create", "--set", ".image.build=v2"}, 0, strings.Replace(before, "\"\"\n", "\"\"\n    build: v2\n", 1), ""},
		{"a number", []string{"--set", ".replicas=5"}, 0, strings.Replace(before, "replicas: 3", "replicas: 5", 1), ""},
		{"a truth value", []string{"--set", ".enabled=false"}, 0, strings.Replace(before, "enabled: true", "enabled: false", 1), ""},
		{"a tag for a digest", []string{"--set", ".image.digest=v2"}, exitBadInput, before, "--set[0].value: writes no digest under the key digest; write {digest}, or set the key of the tag"},
		{"only the diff", []string{"--diff", "--set", ".image.tag=v2"}, 0, before, "-    tag: v1   # here\n+    tag: v2   # here\n"},
		{"said already", []string{"--set", ".image.tag=v1"}, exitUnchanged, before, ""},
		{"no such key", []string{"--set", ".image.tga=v2"}, exitFailed, before, "tag"},
		{"an empty value", []string{"--set", ".image.tag="}, exitBadInput, before, "no value behind the ="},
		{"half a digest", []string{"--set", ".image.digest=sha256:abc"}, exitBadInput, before, "64 digits"},
		{"no value", []string{"--set", ".image.tag"}, exitBadInput, before, "KEY=VALUE"},
		{"two images", []string{"--set", ".image.tag=v2", "--set", ".sidecar=x/y:v3"}, exitBadInput, before, "one image"},
		{"an expression that assigns", []string{"--set", ".image.tag = \"x\" | .a=v2"}, exitBadInput, before, "[0].key"},
		{"nothing to set", nil, exitBadInput, before, "required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "values.yaml")
			link := file + ".link"
			for _, err := range []error{os.WriteFile(file, []byte(before), 0o640), os.Symlink(file, link)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			out, errs, exit := run(t, append([]string{"edit", "--file", link}, c.args...)...)
			if exit != c.exit || !strings.Contains(out+errs, c.says) {
				t.Errorf("exit %d: %s%s", exit, out, errs)
			}
			after, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if string(after) != c.want {
				t.Errorf("the file is now:\n%s", after)
			}
			info, err := os.Lstat(file)
			if err != nil || info.Mode() != 0o640 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".tallyman-edit-*")); left != nil {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// What has no end is not read: a FIFO would wait for a writer, a device fill the memory.
func TestEditReadsRegularFilesOnly(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 2<<30); err != nil { // no block of it is on the disk
		t.Fatal(err)
	}
	for _, c := range []struct {
		file string
		exit int
		says string
	}{
		{fifo, exitBadInput, "not a regular file"},
		{"/dev/zero", exitBadInput, "not a regular file"},
		{dir, exitBadInput, "not a regular file"},
		{large, exitFailed, "at most 1048576 are read"},
	} {
		began := time.Now()
		out, errs, exit := run(t, "edit", "--file", c.file, "--set", ".image.tag=v2")
		if exit != c.exit || !strings.Contains(errs, c.says) {
			t.Errorf("%s: exit %d: %s%s", c.file, exit, out, errs)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: took %s", c.file, took)
		}
	}
}
