package values_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// fuzzKeys are targets with the paths they may change, as the oracle writes them.
var fuzzKeys = []struct {
	values.Target
	paths *regexp.Regexp
}{
	{Target: values.Target{Key: ".image.tag"}, paths: regexp.MustCompile(`^\d+/image/tag$`)},
	{Target: values.Target{Key: ".image.tag", Create: true}, paths: regexp.MustCompile(`^\d+/image/tag$`)},
	{Target: values.Target{Key: ".image.tag", CreateParents: true}, paths: regexp.MustCompile(`^\d+/image/tag$`)},
	{Target: values.Target{Key: ".tag"}, paths: regexp.MustCompile(`^\d+/tag$`)},
	{Target: values.Target{Key: ".tag", Create: true}, paths: regexp.MustCompile(`^\d+/tag$`)},
	{Target: values.Target{Key: "."}, paths: regexp.MustCompile(`^\d+$`)},
	{Target: values.Target{Key: ".base.tag"}, paths: regexp.MustCompile(`^\d+/base/tag$`)},
	{Target: values.Target{Key: ".a.tag"}, paths: regexp.MustCompile(`^\d+/a/tag$`)},
	{Target: values.Target{Key: ".dev.image.tag"}, paths: regexp.MustCompile(`^\d+/dev/image/tag$`)},
	{Target: values.Target{Key: ".svc.tag"}, paths: regexp.MustCompile(`^\d+/svc/tag$`)},
	{Target: values.Target{Key: ".tags[1]"}, paths: regexp.MustCompile(`^\d+/tags/1$`)},
	{Target: values.Target{Key: ".images[0].newTag", Create: true}, paths: regexp.MustCompile(`^\d+/images/0/newTag$`)},
	{Target: values.Target{Key: `.images[] | select(.name == "shop") | .newTag`}, paths: regexp.MustCompile(`^\d+/images/[^/]*/newTag$`)},
	{Target: values.Target{Key: `.images[] | select(.name == "shop") | .newTag`, Create: true}, paths: regexp.MustCompile(`^\d+/images/[^/]*/newTag$`)},
	{Target: values.Target{Key: `.l[] | select(.kind == "A") | .tag`}, paths: regexp.MustCompile(`^\d+/l/[^/]*/tag$`)},
	{Target: values.Target{Key: `.*.tag`}, paths: regexp.MustCompile(`^\d+/[^/]*/tag$`)},
	{Target: values.Target{Key: ".versions.shop", Anchor: "follow"}, paths: regexp.MustCompile(``)},
	{Target: values.Target{Key: ".base.tag", Anchor: "follow"}, paths: regexp.MustCompile(``)},
	{Target: values.Target{Key: ".tag", Inside: ".v"}, paths: regexp.MustCompile(`^\d+/v$`)},
	{Target: values.Target{Key: ".tag", Inside: ".v", Create: true}, paths: regexp.MustCompile(`^\d+/v$`)},
}

// FuzzSet holds every edit to the promise: of the decoded file, with aliases and
// merge keys applied, exactly the key differs, its new value is the wanted string,
// and every other byte is the same.
func FuzzSet(f *testing.F) {
	tags := []string{"v2.0.0", "1.10", "1234567", "yes", "8f3c2d1", "2024-01-01", "0x1F"}
	for i, c := range loadCases(f) {
		for j, k := range fuzzKeys {
			if c.Set[0].Key == k.Key {
				f.Add(c.original, uint8(j), tags[i%len(tags)])
			}
		}
	}
	edits := make([]*values.Edit, len(fuzzKeys))
	for i, k := range fuzzKeys {
		var err error
		if edits[i], err = values.Compile([]values.Target{k.Target}); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte, which uint8, tag string) {
		k := int(which) % len(fuzzKeys)
		result, err := edits[k].Set(file, values.Vars{Tag: tag})
		if err != nil {
			var refusal values.Refusal
			if !errors.As(err, &refusal) || gitops.CodeOf(err) != refusal.Code() || result.Text != nil || result.Changed {
				t.Fatalf("an error that is not a refusal: %v", err)
			}
			return
		}
		if !result.Changed {
			if !bytes.Equal(result.Text, file) {
				t.Fatal("unchanged, but not the same bytes")
			}
			return
		}
		checkResult(t, fuzzKeys[k].Target, fuzzKeys[k].paths, file, result, tag)
		if again, err := edits[k].Set(result.Text, values.Vars{Tag: tag}); err != nil || again.Changed {
			t.Fatalf("a second time: %v, %v\n%q", again.Changed, err, result.Text)
		}
	})
}

func checkResult(t *testing.T, k values.Target, allowed *regexp.Regexp, file []byte, result values.Result, tag string) {
	t.Helper()
	checkBytes(t, file, result.Text, k.Create || k.CreateParents)
	if json.Valid(file) && !json.Valid(result.Text) {
		t.Fatalf("JSON became something else\n%q\n%q", file, result.Text)
	}
	for name, leavesOf := range map[string]func([]byte) (map[string]any, error){"YAML 1.1": helmLeaves, "YAML 1.2": coreLeaves} {
		wanted := []string{tag}
		if k.Inside != "" {
			if now, err := leavesOf(result.Text); err == nil {
				wanted = []string{fmt.Sprint(now["0/v"]), fmt.Sprint(now["1/v"])}
			}
		}
		paths, err := judgeBy(leavesOf, file, result.Text, wanted...)
		switch {
		case errors.Is(err, errUnjudged):
		case err != nil:
			t.Fatalf("%s: %v\n%q\n%q", name, err, file, result.Text)
		case len(paths) == 0 && bytes.Equal(withoutQuotes(file), withoutQuotes(result.Text)):
			// 2024-01-01 is a string to Helm, and a date to others
		case len(paths) == 1 && allowed.MatchString(paths[0]), len(paths) > 0 && k.Anchor != "":
		default:
			t.Fatalf("%s: differs at %v\n%q\n%q", name, paths, file, result.Text)
		}
	}
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
	if bytes.ContainsAny(removed, "\r\n") || !create && bytes.ContainsAny(added, "\r\n") || bytes.Count(added, []byte("\n")) > 2 {
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
