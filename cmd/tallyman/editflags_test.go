package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every field of a set can be tried on a file.
func TestEditFlags(t *testing.T) {
	const anchors = "version: &v v1\napi: {tag: *v}\nworker: {tag: *v}\n"
	const mirrored = "image: mirror.example.com/shop/api:v1\n"
	const application = "spec:\n  source:\n    helm:\n      values: |\n        image:\n          tag: v1\n"
	digest := "sha256:" + strings.Repeat("ab", 32)
	for _, c := range []struct {
		name, before string
		args         []string
		exit         int
		want         string // the file afterwards; "" when it stays as it is
		says         string // on either output
	}{
		{"a shared anchor", anchors, []string{"--set", ".version=v2"}, exitFailed, "", ".worker.tag"},
		{"an anchor that others follow", anchors, []string{"--anchor", "follow", "--set", ".api.tag=v2"}, 0, strings.Replace(anchors, "v1", "v2", 1), "changes .api.tag, .version, .worker.tag"},
		{"only those that are listed", anchors, []string{"--anchor=follow", "--follows", ".version", "--follows", ".worker.tag", "--set", ".api.tag=v2"}, 0, strings.Replace(anchors, "v1", "v2", 1), ""},
		{"one is not listed", anchors, []string{"--anchor=follow", "--follows", ".version", "--set", ".api.tag=v2"}, exitFailed, "", ".worker.tag"},
		{"all of them set at once", anchors, []string{"--set", ".version=v2", "--set", ".api.tag=v2", "--set", ".worker.tag=v2"}, 0, strings.Replace(anchors, "v1", "v2", 1), ""},
		{"a block of YAML", application, []string{"--inside", ".spec.source.helm.values", "--set", ".image.tag=v2"}, 0, strings.Replace(application, "v1", "v2", 1), ""},
		{"a new key in it", application, []string{"--inside", ".spec.source.helm.values", "--create", "--set", ".image.tag=v2", "--set", ".image.digest=" + digest}, 0,
			strings.Replace(application, "tag: v1\n", "tag: v2\n          digest: "+digest+"\n", 1), ""},
		{"a missing key", "a: 1\n", []string{"--create", "--set", ".image.tag=v2"}, exitFailed, "", "has no image"},
		{"with its parents", "a: 1\n", []string{"--create=parents", "--set", ".image.tag=v2"}, 0, "a: 1\nimage:\n  tag: v2\n", ""},
		{"no keys at all", "image: {}\n", []string{"--create=false", "--set", ".image.tag=v2"}, exitFailed, "", "has no tag"},
		{"another repository", mirrored, []string{"--set", ".image=registry.example.com/api:v2"}, exitFailed, "", "replaces"},
		{"which it may replace", mirrored, []string{"--replaces", "other.example.com/x", "--replaces", "mirror.example.com/shop/api", "--set", ".image=registry.example.com/api:v2"}, 0, "image: registry.example.com/api:v2\n", ""},
		{"an unknown way to create", mirrored, []string{"--create=all", "--set", ".image=v2"}, exitBadInput, "", "must be key or parents"},
		{"an unknown way to follow", mirrored, []string{"--anchor=lead", "--set", ".image=v2"}, exitBadInput, "", "--anchor: must be follow"},
		{"nothing to follow", mirrored, []string{"--follows", ".x", "--set", ".image=v2"}, exitBadInput, "", "--follows: needs anchor: follow"},
		{"a key that is not one", mirrored, []string{"--inside", ".a = 1", "--set", ".image=v2"}, exitBadInput, "", "--inside: "},
		{"a mirror with a tag", mirrored, []string{"--replaces", "x/y:v1", "--set", ".image=v2"}, exitBadInput, "", "--replaces[0]: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "values.yaml")
			if err := os.WriteFile(file, []byte(c.before), 0o600); err != nil {
				t.Fatal(err)
			}
			out, errs, exit := run(t, append([]string{"edit", "--file", file}, c.args...)...)
			if exit != c.exit || !strings.Contains(out+errs, c.says) {
				t.Errorf("exit %d: %s%s", exit, out, errs)
			}
			want := c.want
			if want == "" {
				want = c.before
			}
			if after, err := os.ReadFile(file); err != nil || string(after) != want {
				t.Errorf("the file is now, %v:\n%s", err, after)
			}
		})
	}
}
