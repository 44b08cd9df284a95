package values_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// badKeys do something else than select, or cost more than a look at the file.
var badKeys = []string{
	"", " ", "# comment", "image.tag.", ".a.[", ".a[", "(.a", `."a`, ".a }",
	`.image.tag = "x"`, `.image.tag |= "x"`, `.a += 1`, `.a *= .b`, `del(.a)`, `with(.a; .b)`, `.a style="double"`,
	`load("/etc/passwd")`, `load_str("/etc/passwd")`, `.a | load("x")`, `strenv(HOME)`, `env(HOME)`, `.a | envsubst`, `.a | envsubst(ne)`,
	`system("id")`, `.["\(.x)"]`, `.["${HOME}"] | eval(.a)`, `eval(".a")`, `.a as $x | $x`, `$x`, `.a ref $x | .b`,
	`.a[5000000].b`, `.a[99999999999999999999]`, `.a[-10000]`, `.a[0x10]`, `.a[1.5]`, `.a[true]`, `.a[null]`, `.a[.b]`, `.a[1:2]`, `.a[0, 1]`,
	`..`, `...`, `.. | select(. == "v1")`, `.a, .b`, `.a // .b`, `.a + .b`, `"x"`, `1`, `[.a]`, `{"a": .b}`, `.a | keys`, `.a | to_entries`, `.a | length`,
	`.a | path(.)`, `parent`, `.a | parent`, `.a | sort`, `first(.a)`, `.a | with_entries(.)`, `if .a then .b else .c end`, `.a | tag`, `.a | line`, `now`,
	`.a[] | select(.b == .c)`, `.a[] | select(.b[] == "x")`, `.a[] | select(.*.b == "x")`, `.a[] | select(.b = "x")`, `.a[] | select(test("(")) | .b`, `.a[] | select(test(.b)) | .c`,
	`.a[] | select(load("x"))`, `.a[] | select(.. == "x")`, `.[][][][][]`, `.*.*.*.*.*`, `.images[] | select(.name == {app}) | .newTag`, `.a{app}`,
	"." + strings.Repeat("a", 2000),
}

func TestCompileRejectsWhatDoesNotSelect(t *testing.T) {
	for _, key := range badKeys {
		_, err := values.Compile([]values.Target{{Key: ".ok"}, {Key: key}})
		var e *gitops.Error
		if !errors.As(err, &e) || e.Code != gitops.Invalid || e.Field != "[1].key" {
			t.Errorf("%q: %v", key, err)
			continue
		}
		t.Logf("%.60q: %s", key, e.Message)
	}
}

func TestCompileNamesTheFieldAtFault(t *testing.T) {
	for _, c := range []struct {
		name    string
		targets []values.Target
		field   string
	}{
		{"no targets", nil, ""},
		{"unknown variable", []values.Target{{Key: ".a", Value: "{tog}"}}, "[0].value"},
		{"a tag for a digest", []values.Target{{Key: ".image.digest"}}, "[0].value"},
		{"a tag for a digest, by another name", []values.Target{{Key: `.images[] | select(.name == "x") | .imageDigest`, Value: "{repository}:{tag}"}}, "[0].value"},
		{"open brace", []values.Target{{Key: ".a", Value: "{tag}{"}}, "[0].value"},
		{"close brace", []values.Target{{Key: ".a", Value: "{tag}}"}}, "[0].value"},
		{"forgotten braces", []values.Target{{Key: ".a", Value: "tag"}}, "[0].value"},
		{"two lines", []values.Target{{Key: ".a", Value: "{tag}\n"}}, "[0].value"},
		{"not UTF-8", []values.Target{{Key: ".a", Value: "{tag}\xff"}}, "[0].value"},
		{"too long", []values.Target{{Key: ".a", Value: "{tag}" + strings.Repeat("x", 600)}}, "[0].value"},
		{"create the root", []values.Target{{Key: ".", Create: true}}, "[0].create"},
		{"create a list item", []values.Target{{Key: ".a[0]", Create: true}}, "[0].create"},
		{"create what a pattern says", []values.Target{{Key: ".a.t*", Create: true}}, "[0].create"},
		{"create an odd name", []values.Target{{Key: `.a["b c"]`, Create: true}}, "[0].create"},
		{"the same key twice", []values.Target{{Key: ".a"}, {Key: ".b"}, {Key: " .a"}}, "[2].key"},
		{"the same key in brackets", []values.Target{{Key: ".a.b"}, {Key: `.a["b"]`}}, "[1].key"},
		{"the same key through a pipe", []values.Target{{Key: ".a.b"}, {Key: `."a" | .b`}}, "[1].key"},
		{"the same selection", []values.Target{{Key: `.a[]|select(.n=="x")|.t`}, {Key: `.a.[] | select(.["n"] == "x") | .t`}}, "[1].key"},
		{"an unknown anchor word", []values.Target{{Key: ".a", Anchor: "Follow"}}, "[0].anchor"},
		{"follows without anchor", []values.Target{{Key: ".a", Follows: []string{".b"}}}, "[0].follows"},
		{"a wrong key that follows", []values.Target{{Key: ".a", Anchor: "follow", Follows: []string{".b", "del(.a)"}}}, "[0].follows[1]"},
		{"a wrong key inside", []values.Target{{Key: ".a", Inside: "a b"}}, "[0].inside"},
		{"replaces a reference with a tag", []values.Target{{Key: ".a", Replaces: []string{"r/a:v1"}}}, "[0].replaces[0]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := values.Compile(c.targets)
			var e *gitops.Error
			if !errors.As(err, &e) || e.Code != gitops.Invalid || e.Field != c.field {
				t.Fatalf("got %v, want an invalid %q", err, c.field)
			}
		})
	}
}

func TestPresets(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	vars := values.Vars{Tag: "v2", Digest: digest, Repository: "registry.example/shop"}
	for _, c := range []struct{ preset, before, after string }{
		{"helm", "image:\n  tag: v1\n", "image:\n  tag: v2\n"},
		{"helm-digest", "image:\n  tag: v1\n  digest: \"\"\n", "image:\n  tag: v2\n  digest: \"" + digest + "\"\n"},
		{"kustomize", "images:\n- name: shop-api\n  newTag: v1\n- name: shop\n  newTag: v0\n", "images:\n- name: shop-api\n  newTag: v2\n- name: shop\n  newTag: v0\n"},
		{"kustomize", "images:\n- name: registry.example/shop\n  newTag: v1\n", "images:\n- name: registry.example/shop\n  newTag: v2\n"},
		{"kustomize", "images:\n- name: x\n  newName: registry.example/shop\n  newTag: v1\n- name: y\n  newTag: v1\n", "images:\n- name: x\n  newName: registry.example/shop\n  newTag: v2\n- name: y\n  newTag: v1\n"},
		{"kustomize-digest", "images:\n- name: shop-api\n  newTag: v1\n", "images:\n- name: shop-api\n  digest: " + digest + "\n  newTag: v2\n"},
		{"kustomize-digest", "images:\n- name: shop-api\n  newTag: v1\n  digest: sha256:" + strings.Repeat("b", 64) + "\n", "images:\n- name: shop-api\n  newTag: v2\n  digest: " + digest + "\n"},
		{"image", "image: registry.example/shop:v1\n", "image: registry.example/shop:v2\n"},
	} {
		targets, ok := values.Preset(c.preset)
		if !ok {
			t.Fatalf("no preset %s", c.preset)
		}
		edit, err := values.Compile(values.Bind(targets, values.Names{App: "shop-api", Environment: "dev", Repository: vars.Repository}))
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := edit.Apply([]byte(c.before), vars)
		if diff := cmp.Diff(c.after, string(out)); err != nil || diff != "" {
			t.Errorf("%s: %v %s", c.preset, err, diff)
		}
	}
	for _, name := range values.Presets() {
		if _, ok := values.Preset(name); !ok {
			t.Errorf("%s is listed and not there", name)
		}
	}
	if _, ok := values.Preset("jsonnet"); ok {
		t.Error("a preset that is not listed")
	}
}

func TestBind(t *testing.T) {
	for _, c := range [][2]string{
		{".apps[{app}].tag", `.apps["a-b"].tag`},
		{".apps.{app}.tag", `.apps."a-b".tag`},
		{`.apps["x-{app}"].tag`, `.apps["x-a-b"].tag`},
		{`.i[] | select(.name == "r/{app}" or .name == {repository}).t`, `.i[] | select(.name == "r/a-b" or .name == "e.x/y").t`},
		{`.c[] | select(.image | test("^{repository}[:@]")) | .image`, `.c[] | select(.image | test("^e.x/y[:@]")) | .image`},
		{".{env}.{app}.tag", `."qa-1"."a-b".tag`},
		{`.e[] | select(.app == "{app}" and .env == {env}) | .tag`, `.e[] | select(.app == "a-b" and .env == "qa-1") | .tag`},
		{`.e["{env}/{app}"].tag`, `.e["qa-1/a-b"].tag`},
		{".image.tag", ".image.tag"},
	} {
		in := []values.Target{{Key: c[0], Value: "{tag}", Create: true, Anchor: "follow", Inside: c[0], Follows: []string{c[0]}, Replaces: []string{"m.x/{env}/{repository}"}}}
		want := []values.Target{{Key: c[1], Value: "{tag}", Create: true, Anchor: "follow", Inside: c[1], Follows: []string{c[1]}, Replaces: []string{"m.x/qa-1/e.x/y"}}}
		got := values.Bind(in, values.Names{App: "a-b", Environment: "qa-1", Repository: "e.x/y"})
		if diff := cmp.Diff(want, got); diff != "" || in[0].Key != c[0] {
			t.Errorf("%s: %s", c[0], diff)
		}
		if _, err := values.Compile(got); err != nil {
			t.Errorf("%s: %v", c[0], err)
		}
	}
}

// Two configurations that set one place are found by the key's meaning.
func TestSameKey(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{".image.tag", `.image["tag"]`, true},
		{".image.tag", ` .["image"] | .tag `, true},
		{".a[0].tag", `.a[0] | ."tag"`, true},
		{".image.tag", ".image.Tag", false},
		{".a[].t", ".a[0].t", false},
		{`.a[] | select(.n == "x") | .t`, `.a[] | select(.n == "y") | .t`, false},
		{`.a[] | select(.n == "x") | .t`, `.a[] | select(.n != "x") | .t`, false},
	} {
		a, errA := values.SameKey(c.a)
		b, errB := values.SameKey(c.b)
		if errA != nil || errB != nil || (a == b) != c.same {
			t.Errorf("%s and %s: %q, %q, %v, %v", c.a, c.b, a, b, errA, errB)
		}
	}
	if _, err := values.SameKey("del(.a)"); gitops.CodeOf(err) != gitops.Invalid {
		t.Errorf("a key that does not select: %v", err)
	}
}

func TestTooLarge(t *testing.T) {
	edit, err := values.Compile([]values.Target{{Key: ".tag"}})
	if err != nil {
		t.Fatal(err)
	}
	file := []byte("tag: v1\n" + strings.Repeat("#", values.MaxFile))
	_, _, err = edit.Apply(file, values.Vars{Tag: "v2"})
	if !errors.Is(err, values.FileTooLarge) || gitops.CodeOf(err) != gitops.TooLarge {
		t.Fatalf("got %v", err)
	}
}

// Every refusal has a case, and a code of the closed set.
func TestRefusalsAreCovered(t *testing.T) {
	covered := map[values.Refusal]bool{
		values.FileTooLarge: true, // [TestTooLarge]
		values.Unverified:   true, // TestWhatDoesNotVerifyIsSaid
	}
	for _, c := range loadCases(t) {
		covered[c.Refusal] = true
	}
	for _, r := range values.Refusals() {
		if !covered[r] {
			t.Errorf("no case for %s", r)
		}
	}
}

func TestEditIsSafeForConcurrentUse(t *testing.T) {
	edit, err := values.Compile([]values.Target{
		{Key: `.images[] | select(.name == "shop") | .newTag`},
		{Key: ".base.tag"},
		{Key: ".new", Create: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := []byte("images:\n- name: shop\n  newTag: v1\nbase: &b\n  tag: v1\nsvc:\n  <<: *b\n  tag: own\nname: x\n")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				tag := fmt.Sprintf("v%d.%d", i, j)
				out, changed, err := edit.Apply(file, values.Vars{Tag: tag})
				if err != nil || !changed || strings.Count(string(out), tag) != 3 {
					t.Errorf("%v %v %s", err, changed, out)
				}
				if _, err := values.Compile([]values.Target{{Key: ".a | envsubst(ne)"}}); err == nil {
					t.Error("compiled what only a lexer should see")
				}
			}
		})
	}
	wg.Wait()
}
