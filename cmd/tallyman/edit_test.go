package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEdit(t *testing.T) {
	const before = "# api\nimage:\n    tag: v1   # here\n    digest: \"\"\n\nsidecar: registry.example.com:5000/side/car:v1\n"
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
		{"only the diff", []string{"--diff", "--set", ".image.tag=v2"}, 0, before, "-    tag: v1   # here\n+    tag: v2   # here\n"},
		{"said already", []string{"--set", ".image.tag=v1"}, exitUnchanged, before, ""},
		{"no such key", []string{"--set", ".image.tga=v2"}, exitFailed, before, "tag"},
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
