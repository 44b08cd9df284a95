package values_test

import (
	"bytes"
	"errors"
	"regexp"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// fuzzKeys are keys with the paths they may change, as the oracle writes them.
var fuzzKeys = []struct {
	key    string
	create bool
	paths  *regexp.Regexp
}{
	{key: ".image.tag", paths: regexp.MustCompile(`^\d+/image/tag$`)},
	{key: ".image.tag", create: true, paths: regexp.MustCompile(`^\d+/image/tag$`)},
	{key: ".tag", paths: regexp.MustCompile(`^\d+/tag$`)},
	{key: ".tag", create: true, paths: regexp.MustCompile(`^\d+/tag$`)},
	{key: ".", paths: regexp.MustCompile(`^\d+$`)},
	{key: ".base.tag", paths: regexp.MustCompile(`^\d+/base/tag$`)},
	{key: ".svc.tag", paths: regexp.MustCompile(`^\d+/svc/tag$`)},
	{key: ".tags[1]", paths: regexp.MustCompile(`^\d+/tags/1$`)},
	{key: ".images[0].newTag", create: true, paths: regexp.MustCompile(`^\d+/images/0/newTag$`)},
	{key: `.images[] | select(.name == "shop") | .newTag`, paths: regexp.MustCompile(`^\d+/images/[^/]*/newTag$`)},
	{key: `.images[] | select(.name == "shop") | .newTag`, create: true, paths: regexp.MustCompile(`^\d+/images/[^/]*/newTag$`)},
	{key: `.*.tag`, paths: regexp.MustCompile(`^\d+/[^/]*/tag$`)},
}

// FuzzSet holds every edit to the promise: the decoded file differs at exactly
// the key, its new value is the wanted string, and every other byte is the same.
func FuzzSet(f *testing.F) {
	tags := []string{"v2.0.0", "1.10", "1234567", "yes", "8f3c2d1", "2024-01-01", "0x1F"}
	for i, c := range loadCases(f) {
		for j, k := range fuzzKeys {
			if c.Set[0].Key == k.key {
				f.Add(c.original, uint8(j), tags[i%len(tags)])
			}
		}
	}
	edits := make([]*values.Edit, len(fuzzKeys))
	for i, k := range fuzzKeys {
		var err error
		if edits[i], err = values.Compile([]values.Target{{Key: k.key, Create: k.create}}); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte, which uint8, tag string) {
		k := int(which) % len(fuzzKeys)
		out, changed, err := edits[k].Apply(file, values.Vars{Tag: tag})
		if err != nil {
			var refusal values.Refusal
			if !errors.As(err, &refusal) || gitops.CodeOf(err) != refusal.Code() || out != nil || changed {
				t.Fatalf("an error that is no refusal: %v", err)
			}
			return
		}
		if !changed {
			if !bytes.Equal(out, file) {
				t.Fatal("unchanged, but not the same bytes")
			}
			return
		}
		checkBytes(t, file, out, fuzzKeys[k].create)
		paths, err := judge(file, out, tag)
		if errors.Is(err, errUnjudged) {
			return
		}
		if err != nil {
			t.Fatalf("%v\n%q\n%q", err, file, out)
		}
		if len(paths) == 1 && fuzzKeys[k].paths.MatchString(paths[0]) {
			return
		}
		if len(paths) == 0 && bytes.Equal(withoutQuotes(file), withoutQuotes(out)) {
			return // 2024-01-01 is a string to Helm, and a date to others
		}
		// Maps that merge the one that was edited show the new value too.
		merged := false
		for _, p := range paths {
			merged = merged || bytes.Contains(file, []byte("<<")) && fuzzKeys[k].paths.MatchString(p)
		}
		if len(paths) < 2 || !merged {
			t.Fatalf("differs at %v\n%q\n%q", paths, file, out)
		}
		if again, changed, err := edits[k].Apply(out, values.Vars{Tag: tag}); err != nil || changed || !bytes.Equal(again, out) {
			t.Fatalf("a second time: %v, %v", changed, err)
		}
	})
}

func withoutQuotes(text []byte) []byte {
	return bytes.ReplaceAll(text, []byte(`"`), nil)
}

// checkBytes holds the difference to one place within one line.
func checkBytes(t *testing.T, before, after []byte, create bool) {
	start := 0
	for start < len(before) && start < len(after) && before[start] == after[start] {
		start++
	}
	end := 0
	for end < len(before)-start && end < len(after)-start && before[len(before)-1-end] == after[len(after)-1-end] {
		end++
	}
	removed, added := before[start:len(before)-end], after[start:len(after)-end]
	if bytes.ContainsAny(removed, "\r\n") || !create && bytes.ContainsAny(added, "\r\n") || bytes.Count(added, []byte("\n")) > 1 {
		t.Fatalf("%q became %q", removed, added)
	}
}

// FuzzCompile holds keys and templates to being understood or rejected.
func FuzzCompile(f *testing.F) {
	for _, c := range loadCases(f) {
		for _, s := range c.Set {
			f.Add(s.Key, s.Value, c.original)
		}
	}
	for _, bad := range badKeys {
		f.Add(bad, "{tag}", []byte("a: [{b: 1}]\n"))
	}
	f.Fuzz(func(t *testing.T, key, value string, file []byte) {
		edit, err := values.Compile([]values.Target{{Key: key, Value: value}})
		if err != nil {
			if gitops.CodeOf(err) != gitops.Invalid {
				t.Fatal(err)
			}
			return
		}
		vars := values.Vars{Tag: "v2.0.0", Repository: "shop", Digest: ""}
		out, changed, err := edit.Apply(file, vars)
		if err == nil && changed {
			checkBytes(t, file, out, false)
		}
	})
}
