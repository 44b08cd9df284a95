package values

import (
	"errors"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v4"

	"github.com/tallyman-dev/tallyman/gitops"
)

func TestReadTag(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, c := range []struct {
		value, file, tag string
		code             gitops.Code
	}{
		{"", "x: v1", "v1", ""},
		{"{tag}", "x: \"1.20\"", "1.20", ""},
		{"{tag}", "x: 1.10", "1.10", ""},
		{"{tag}", "x:", "", ""},
		{"{repository}:{tag}", "x: host:5000/shop/api:1.2.3", "1.2.3", ""},
		{"{repository}:{tag}@{digest}", "x: host/api:1.2.3" + digest, "1.2.3", ""},
		{"v{tag}", "x: v1", "1", ""},
		{"v{tag}", "x: 1", "", gitops.Invalid},
		{"{repository}:{tag}", "x: host/api", "", gitops.Invalid},
		{"{tag}", `x: "v1\nv2"`, "", gitops.Invalid},
		{"{digest}", "x: " + digest[1:], "", gitops.NotFound},
		{"{tag}", "y: v1", "", gitops.NotFound},
	} {
		t.Run(c.value+" "+c.file, func(t *testing.T) {
			edit, err := Compile([]Target{{Key: ".x", Value: c.value}})
			if err != nil {
				t.Fatal(err)
			}
			tag, err := edit.ReadTag([]byte(c.file + "\n"))
			if tag != c.tag || (err == nil) != (c.code == "") || err != nil && gitops.CodeOf(err) != c.code {
				t.Errorf("read %q, %v", tag, err)
			}
		})
	}
}

// What is beside the tag may be missing: it is not what is asked for.
func TestReadTagReadsTheTagAlone(t *testing.T) {
	targets, _ := Preset("helm-digest")
	targets[0], targets[1] = targets[1], targets[0]
	edit, err := Compile(targets)
	if err != nil {
		t.Fatal(err)
	}
	if tag, err := edit.ReadTag([]byte("image: {tag: 'v1'}\n")); tag != "v1" || err != nil {
		t.Errorf("read %q, %v", tag, err)
	}
	_, err = edit.ReadTag([]byte("image: {tog: 'v1'}\n"))
	var e *gitops.Error
	if !errors.Is(err, NothingSelected) || !errors.As(err, &e) || e.Field != ".image.tag" {
		t.Errorf("a file without the key: %v", err)
	}
}

// A document that no evaluation stands is an error of its own.
func TestReadTagSurvivesAPanic(t *testing.T) {
	edit, err := Compile([]Target{{Key: ".x"}})
	if err != nil {
		t.Fatal(err)
	}
	broken := &Document{&source{docs: []*yaml.Node{nil}}}
	if tag, err := broken.Tag(edit); tag != "" || !errors.Is(err, Unverified) {
		t.Errorf("read %q, %v", tag, err)
	}
}

// The tag is read where the edit would write it: through an alias, or in the text
// of a block. A file that must not be edited can be read.
func TestReadTagWhereItIsWritten(t *testing.T) {
	for _, c := range []struct {
		target    Target
		file, tag string
		refusal   error
	}{
		{Target{Key: ".a.tag", Anchor: "follow"}, "v: &v v1\na: {tag: *v}\n", "v1", nil},
		{Target{Key: ".a.tag"}, "v: &v v1\na: {tag: *v}\n", "", Alias},
		{Target{Key: ".tag", Inside: ".v"}, "v: |\n  tag: v1\n", "v1", nil},
		{Target{Key: ".tag", Inside: ".w"}, "v: |\n  tag: v1\n", "", NothingSelected},
		{Target{Key: ".tag"}, "tag: v1\nsops: {mac: x}\n", "v1", nil},
	} {
		edit, err := Compile([]Target{c.target})
		if err != nil {
			t.Fatal(err)
		}
		tag, err := edit.ReadTag([]byte(c.file))
		if tag != c.tag || !errors.Is(err, c.refusal) {
			t.Errorf("%+v: %q, %v", c.target, tag, err)
		}
	}
}

// byExpression is the same as tagIn, slowly: the first {tag} is the group.
func byExpression(template, text string) (tag string, ok bool) {
	pattern := regexp.QuoteMeta(template)
	pattern = strings.Replace(pattern, `\{tag\}`, `([A-Za-z0-9_][A-Za-z0-9._-]{0,127})`, 1)
	for _, other := range []string{`\{tag\}`, `\{digest\}`, `\{repository\}`} {
		pattern = strings.ReplaceAll(pattern, other, `.*`)
	}
	found := regexp.MustCompile(`^` + pattern + `$`).FindStringSubmatch(text)
	if found == nil {
		return "", false
	}
	return found[1], true
}

func checkTagIn(t *testing.T, text string, template template) {
	t.Helper()
	tag, ok := template.tagIn(text)
	want, wantOK := byExpression(template.String(), text)
	if tag != want || ok != wantOK {
		t.Errorf("%s of %q: %q, %t; by expression %q, %t", template, text, tag, ok, want, wantOK)
	}
}

// Random templates and texts of few different letters, so that every way to read
// one is met: tagIn agrees with the regular expression.
func TestTagInAgreesWithAnExpression(t *testing.T) {
	const seed = 12
	r := rand.New(rand.NewPCG(seed, seed))
	pick := func(most int, of ...string) string {
		var b strings.Builder
		for range r.IntN(most + 1) {
			b.WriteString(of[r.IntN(len(of))])
		}
		return b.String()
	}
	pieces := []string{"a", ":", "-", ".", "aa", "é", "{tag}", "{digest}", "{repository}"}
	matched := 0
	for range 20_000 {
		template, err := parseTemplate(pick(4, pieces...) + "{tag}" + pick(4, pieces...))
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, p := range template {
			text += p.literal
			if p.variable != "" {
				text += pick(3, "a", "a", "b", "-", ".", "é", ":a")
			}
		}
		switch r.IntN(20) {
		case 0:
			text += pick(2, "a", ":", "\n")
		case 1:
			text += strings.Repeat("a", 120+r.IntN(20))
		}
		checkTagIn(t, text, template)
		if _, ok := template.tagIn(text); ok {
			matched++
		}
	}
	if matched < 5_000 {
		t.Errorf("only %d texts had a tag", matched)
	}
}

func FuzzTagIn(f *testing.F) {
	f.Add("{repository}:{tag}@{digest}", "host:5000/shop/api:1.2.3@sha256:00")
	f.Add("x-{tag}-{tag}", "x-1-2-3")
	f.Add("{repository}{tag}", strings.Repeat("a", 300))
	f.Fuzz(func(t *testing.T, value, text string) {
		template, err := parseTemplate(value)
		if err != nil || !template.uses("tag") || !utf8.ValidString(text) || len(text) > 1_000 {
			return
		}
		checkTagIn(t, text, template)
	})
}

// A template is read back from whatever it was filled with, as far as only one
// reading is possible.
func TestTagInIsTheInverseOfRender(t *testing.T) {
	vars := Vars{Tag: "v1.2.3-rc.1", Repository: "host:5000/shop/api", Digest: "sha256:" + strings.Repeat("0f", 32)}
	for _, value := range []string{"{tag}", "{repository}:{tag}", "{repository}:{tag}@{digest}", "x:{tag}@{digest}", "{tag}+build"} {
		template, err := parseTemplate(value)
		if err != nil {
			t.Fatal(err)
		}
		text, err := template.render(vars)
		if err != nil {
			t.Fatal(err)
		}
		if tag, ok := template.tagIn(text); !ok || tag != vars.Tag {
			t.Errorf("%s made %q, read back %q, %t", value, text, tag, ok)
		}
	}
}

// A hostile text costs time in proportion to its length.
func BenchmarkTagIn(b *testing.B) {
	for name, text := range map[string]string{"usual": "host:5000/shop/api:1.2.3", "long": strings.Repeat("a:", 1<<20)} {
		template, err := parseTemplate("{repository}:{tag}@{digest}")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				template.tagIn(text)
			}
		})
	}
}
