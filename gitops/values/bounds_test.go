package values_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/values"
)

// dense are files of at most 5 MiB of which a reader would make gigabytes, or take
// minutes for.
var dense = map[string]func() string{
	"%TAG lines":       func() string { return repeat("%%TAG !%d! !\n", 200_000) + "---\nimage: {tag: v1}\n" },
	"flow list":        func() string { return "image: {tag: v1}\nl: [" + strings.Repeat("a,", 2_600_000) + "]\n" },
	"one-letter items": func() string { return "image: {tag: v1}\nl:\n" + strings.Repeat("- a\n", 1_300_000) },
	"empty items":      func() string { return "image: {tag: v1}\nl:\n" + strings.Repeat("-\n", 2_600_000) },
	"documents":        func() string { return "image: {tag: v1}\n" + strings.Repeat("---\na\n", 600_000) },
	"keys":             func() string { return "image: {tag: v1}\n" + repeat("k%d: a\n", 460_000) },
	"kustomize images": func() string { return "images:\n" + repeat("- name: a%d\n  newTag: b\n", 150_000) },
	"comments":         func() string { return "image: {tag: v1}\nl: [\n" + strings.Repeat("#\na,\n", 600_000) + "]\n" },
	"aliases":          func() string { return "x: &a 1\nimage: {tag: v1}\nl: [" + strings.Repeat("*a,", 800_000) + "]\n" },
	"brackets":         func() string { return "image: {tag: v1}\nl: " + strings.Repeat("[", 2_000_000) },
	"after a quote": func() string {
		return "q: [ \"\n]\nx: |\n  \", " + strings.Repeat("a,", 2_000_000) + "]\nimage: {tag: v1}\n"
	},
	"in a comment": func() string { return "q: \"\n # \"\nl: [" + strings.Repeat("a,", 2_000_000) + "]\nimage: {tag: v1}\n" },
}

func repeat(line string, n int) string {
	var b strings.Builder
	for i := range n {
		if strings.Contains(line, "%d") {
			fmt.Fprintf(&b, line, i)
			continue
		}
		b.WriteString(line)
	}
	return b.String()
}

// A file that would need more than it is worth is refused before a reader sees it:
// what the refusal needs is next to nothing.
func TestDenseFilesAreRefusedUnread(t *testing.T) {
	edit, err := values.Compile([]values.Target{{Key: ".image.tag"}})
	if err != nil {
		t.Fatal(err)
	}
	edit = edit.Within(values.Limits{Bytes: values.MaxFile, Nodes: values.MaxNodes}) // also where most is allowed
	for name, make := range dense {
		t.Run(name, func(t *testing.T) {
			file := []byte(make())
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			_, _, err := edit.Apply(file, values.Vars{Tag: "v2"})
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, values.FileTooLarge) {
				t.Fatalf("got %v", err)
			}
			allocated := after.TotalAlloc - before.TotalAlloc
			if refusal := err.Error(); name != "%TAG lines" && (!strings.Contains(refusal, "limits.file.nodes") || !strings.Contains(refusal, "400000")) {
				t.Errorf("the refusal does not name the bound and its field: %s", refusal)
			}
			t.Logf("%d KiB: %s, %d KiB allocated: %v", len(file)>>10, took, allocated>>10, err)
			if allocated > 1<<20 {
				t.Errorf("%d KiB were allocated", allocated>>10)
			}
		})
	}
}

// What real files have is far below the bounds.
func TestLargeFilesAreEdited(t *testing.T) {
	edit, err := values.Compile([]values.Target{{Key: ".image.tag"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{
		"1 MiB of values":                  chartValues(53_000),
		"most of a MiB of text in a block": []byte("image:\n  tag: v1\ndashboard: |\n" + strings.Repeat(`  {"id": 1, "title": "a panel", "type": "graph"},`+"\n", 15_000)),
		"a hundred directive lines":        []byte(repeat("%%TAG !x%d! tag:example.com,2000:\n", 99) + "---\nimage: {tag: v1}\n"),
	} {
		if _, changed, err := edit.Apply(file, values.Vars{Tag: "v2"}); err != nil || !changed {
			t.Errorf("%s (%d KiB): %v", name, len(file)>>10, err)
		}
	}
}

// An edit must not make a file that the next edit refuses.
func TestFileThatWouldBecomeTooLarge(t *testing.T) {
	edit, err := values.Compile([]values.Target{{Key: ".tag"}})
	if err != nil {
		t.Fatal(err)
	}
	file := append([]byte("tag: v1\n#"), bytes.Repeat([]byte("x"), 1<<20-9)...)
	_, _, err = edit.Apply(file, values.Vars{Tag: "v1.0"})
	if !errors.Is(err, values.FileTooLarge) {
		t.Fatalf("got %v", err)
	}
	open, err := values.Open(file, values.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open.Prepare(edit, values.Vars{Tag: "v1.0"}); !errors.Is(err, values.FileTooLarge) {
		t.Fatalf("in an open file: %v", err)
	}
}
